"""The audit of the disclosure control: reads only what is published and decides exactly whether the promise holds.

It shares no code with the protection, so that a mistake there cannot hide here.
"""

from mm_pipeline.disclosure.audit.judgement import Audit, audit
from mm_pipeline.disclosure.audit.versions import with_versions

__all__ = ["Audit", "audit", "with_versions"]

"""Audit of the disclosure control: whether the promise holds, decided exactly and from the published tables alone.

It shares no code with the protection, so that a mistake there cannot hide here.
"""

from mm_pipeline.disclosure.audit.findings import Audit, audit
from mm_pipeline.disclosure.audit.versions import with_versions

__all__ = ["Audit", "audit", "with_versions"]

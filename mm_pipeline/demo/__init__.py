"""Synthetic deliveries, for trying and testing the pipeline without data on real persons.

``synthesize`` writes what the health insurers would deliver: the right files and columns, realistic sizes and rates, and
the oddities that the pipeline must survive. It follows the published figures of ``facts``; ``places``, ``people``,
``houses``, ``registrations``, ``contributions``, ``violations``, ``billing`` and ``residents`` build on each other in that
order. The rules of ``docs/capitation.md`` are obeyed, but for the few cases of ``violations``. Nothing of the statistic is
computed here, and nothing here is used by the pipeline itself.
"""

from mm_pipeline.demo.deliveries import synthesize

__all__ = ["synthesize"]

"""The asset checks, one file a stage, and the suites of rules on aggregates (``suites/*.json``, Great Expectations)."""

"""Operations on an installation: backfill, staleness, status, sign-off, purge, recovery after a kill.

Code here works on the lake, the release and Dagster's history as a whole. What makes one table is in ``defs/``.
"""

"""What operators do with an installation: build years again, see what is stale, sign, purge, recover after a kill.

What belongs here works on the lake, the release and Dagster's history as a whole. What makes one table is in ``defs/``.
"""

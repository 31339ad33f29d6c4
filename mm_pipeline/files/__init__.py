"""Files on disk: atomic replacement, locks, permissions, safe names, checksums.

Code here works on paths and knows nothing of settings, of the lake's tables or of Dagster.
"""

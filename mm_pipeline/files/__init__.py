"""Files on disk: atomic replacement, locks, permissions, names that are safe, checksums.

What belongs here works on paths and knows nothing of settings, of the lake's tables or of Dagster.
"""

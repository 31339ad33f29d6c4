"""Files on disk: atomic replacement, locks, permissions, safe names, checksums. Knows no settings, no tables, no Dagster."""

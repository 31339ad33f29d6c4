"""The public release, made from protected tables only. Knows nothing of Dagster, the lake or the definition."""

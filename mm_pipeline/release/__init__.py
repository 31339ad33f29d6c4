"""What the public gets. Made from protected tables only; knows nothing of Dagster, the lake or the definition."""

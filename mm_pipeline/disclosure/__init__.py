"""What may be shown: pure functions from a year's rates to the table that the public may see. No Dagster, no I/O."""

"""Where tables are kept and what computes on them: the Parquet lake and the engine. No rule of the statistic here."""

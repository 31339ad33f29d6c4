"""Storage and engines: the Parquet lake, and DuckDB or Spark that compute on it. No rule of the statistic here."""

"""The attributed patients, the cells and the rates of a year (columns of ``attributed_patients``, ``beneficiary_counts`` and
``sector_rates``), sorted and written to Parquet: by the product, and by others."""

"""The attributed patients, the cells and the rates of a year (columns of ``attributed_patients``, ``beneficiary_counts`` and
``sector_rates``), sorted and written to Parquet: by the product, and by others. All but pandas also make the tables that
explain who is attributed (``registrations``, ``forfaits_per_patient``)."""

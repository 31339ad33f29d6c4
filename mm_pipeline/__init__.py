"""mm_pipeline: how many beneficiaries of the Belgian health insurance are affiliated to a maison médicale.

The package makes the statistic ``stat_003_007`` from the yearly extracts of the health insurers. Read it in the
order of the data: ``ingest`` (deliveries in), ``reference`` (geography in), ``statistic`` (the definition),
``disclosure`` (what may be shown), ``release`` (what the public gets). ``storage`` keeps the tables in between;
``assets``, ``checks`` and ``automation`` join all of it in Dagster; ``definitions`` puts the Dagster objects together.
"""

__version__ = "0.1.0"

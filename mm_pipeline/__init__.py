"""mm_pipeline: how many beneficiaries of the Belgian health insurance are affiliated to a maison médicale.

The package makes the statistic ``stat_003_007`` from the yearly extracts of the health insurers. Read it in the
order of the data: ``ingest`` (deliveries in), ``reference`` (geography in), ``statistic`` (the definition),
``disclosure`` (what may be shown), ``release`` (what the public gets). ``storage`` keeps the tables in between;
``defs`` joins all of it in Dagster (assets, checks, jobs, schedules, sensors), and ``definitions`` puts it together.
``operations`` is what operators do with an installation; ``files`` knows how to replace, lock and protect files.
"""

__version__ = "0.1.0"

"""The definition of stat_003_007 as pure Ibis expressions. No Dagster, no paths, no I/O; they run on every Ibis engine.

In the order of the reasoning: ``registrations`` (who was registered where and when) -> ``forfaits`` (how many forfaits has
a patient) -> ``attribution`` (who is a patient of a maison médicale) -> ``residence`` (where does a beneficiary live) ->
``cells`` (counts of persons) -> ``rates`` (every area, every breakdown). ``sensitivity`` does the same for other minimum
numbers of forfaits; ``houses`` and ``contributions`` are beside the statistic.
"""

"""The definition of stat_003_007, as pure Ibis expressions in the order of the reasoning.

``forfaits`` (how many forfaits has a patient) -> ``attribution`` (who is a patient of a maison médicale) ->
``residence`` (where does a beneficiary live) -> ``cells`` (counts of persons) -> ``rates`` (every area, every
breakdown). No Dagster, no paths, no I/O: the same expressions run on every engine that Ibis speaks to.
"""

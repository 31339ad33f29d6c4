"""Geography: the areas of a year, read from the files of ``data/reference``.

Here: the file formats of reference data, their validation with errors that an operator can act on, the area table of a
year, and outlines of areas for maps. Not here: anything about people or deliveries, joining them to areas (``statistic``),
judging whether a vintage is complete (``defs.checks``), Dagster, and downloads: reference data is put there by hand, so
that a run gives the same figures next year.

For the other packages: ``areas.areas``, ``areas.reference_files``, ``areas.expected_counts``, ``sectors.table_for``,
``outlines.outlines_for`` and ``outlines.outline_files``. They are not imported here, because a function ``areas`` in this
namespace would hide the module of that name.

Codes and names come from Statbel (Directorate-general Statistics - Statistics Belgium), REFNIS and statistical sectors,
CC BY 4.0; ``data/reference/README.md`` says what was changed. Outlines of the provinces: Natural Earth, public domain.
"""

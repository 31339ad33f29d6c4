"""Geography: the areas of a year, read from the files of ``data/reference``.

``areas`` makes the area table of a year, ``outlines`` the maps; the others read the files, with errors that an operator can
act on. Nothing is downloaded: reference data is put there by hand, so that a run gives the same figures next year. Whether
a vintage is complete is judged in ``defs.checks``.

Codes and names come from Statbel (Directorate-general Statistics - Statistics Belgium), REFNIS and statistical sectors,
CC BY 4.0; ``data/reference/README.md`` says what was changed. Outlines of the provinces: Natural Earth, public domain.
"""

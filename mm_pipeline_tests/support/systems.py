"""Small systems of disclosure control, written by hand, and the names of their cells."""

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import KEY
from mm_pipeline.disclosure.suppression import SuppressionPattern

COLUMNS = ["level", "area_code", "parent_code", "dimension", "category", "beneficiaries", "patients"]


DIMENSION = {"total": "total", "M": "sex", "F": "sex", "0": "preferential", "1": "preferential"}


DIMENSION |= dict.fromkeys(["0-17", "18-64", "65+"], "age_group")


def table(*rows):
    """Rows as "level area parent category", N, n; the age classes are written "class 0-17"."""
    cells = []
    for where, people, patients in rows:
        level, area, parent, category = where.split(maxsplit=3)
        if category.startswith("class "):
            dimension, category = "age_class", category.removeprefix("class ")
        else:
            dimension = DIMENSION[category]
        cells.append((level, area, "" if parent == "-" else parent, dimension, category, people, patients))
    return pd.DataFrame(cells, columns=COLUMNS)


def names(system):
    return [f"{level} {area} {category}" for level, area, _, category in system.cells[KEY].itertuples(index=False)]


def at(system, name):
    """The position of "level area category"; of an age class only where no other category is called like that."""
    (position,) = (position for position, each in enumerate(names(system)) if each == name)
    return position


def lines(system):
    """{(total, parts)}, by name; each line adds up, with its total first."""
    name, result = names(system), []
    for number in range(system.line.max() + 1 if len(system.line) else 0):
        cells, signs = system.cell[system.line == number], system.sign[system.line == number]
        assert signs.tolist() == [1] + [-1] * (len(cells) - 1)
        assert (signs * system.beneficiaries[cells]).sum() == (signs * system.patients[cells]).sum() == 0
        result.append((name[cells[0]], frozenset(name[cell] for cell in cells[1:])))
    assert len(set(result)) == len(result)
    return set(result)


def pattern_of(system, *hidden):
    """``hidden`` as "N level area category" or "n ..."; nothing besides, but the residuals."""
    pattern = SuppressionPattern(system.is_residual.copy(), system.is_residual.copy())
    for each in hidden:
        figure, name = each.split(maxsplit=1)
        pattern["beneficiaries" if figure == "N" else "patients"][at(system, name)] = True
    return pattern


def line_of(*counts):
    """Municipalities 11001, 11002 ... of an arrondissement, each (N, n)."""
    rows = [(f"municipality 1100{number} 11000 total", *count) for number, count in enumerate(counts, 1)]
    return table(("arrondissement 11000 10000 total", *np.sum(counts, axis=0)), *rows)

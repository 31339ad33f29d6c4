"""The checks of the publication: for every state a fault that reaches it, and what is said then."""

import hashlib

import pyarrow.parquet as pq
import pytest

from mm_pipeline.catalogue import PROTECTED_RATES, SECTOR_RATES
from mm_pipeline.checks import publication as checks
from mm_pipeline.checks.framework import FAILED, PASSED
from mm_pipeline_tests.checks.little_year import YEAR

KEY = ("level", "area_code", "dimension", "category")
SHOWN = ("patients", "rate_per_10000", "rate_percent")


def key(row):
    return tuple(row[name] for name in KEY)


def truth(year):
    return {key(row): row for row in year.rows(SECTOR_RATES)}


def sensitive(row, threshold=5):
    people, patients = row["beneficiaries"], row["patients"]
    few = [0 < number < threshold for number in (people, patients, people - patients)]
    return any(few) or (people == patients > 0)


def find(year, status, *, is_sensitive, **values):
    """A cell of the protected table with this status, sensitive or not, and these values."""
    true = truth(year)
    for row in year.rows(PROTECTED_RATES):
        if (
            row["status"] == status
            and sensitive(true[key(row)]) == is_sensitive
            and all(row[name] == value for name, value in values.items())
        ):
            return row
    raise AssertionError(f"the little country has no such cell: {status}, {values}")


def change(year, cell, **values):
    year.change(PROTECTED_RATES, lambda row: row | values if key(row) == key(cell) else row)


def publish(year, cell):
    change(year, cell, status="published", **{name: truth(year)[key(cell)][name] for name in ("beneficiaries", *SHOWN)})


def suppress(year, cell):
    change(year, cell, status="suppressed", **dict.fromkeys(SHOWN))


def publish_everything(year, *, but=()):
    """The statistic as it is, with only these cells suppressed."""
    rows = []
    for row in year.rows(SECTOR_RATES):
        if not row["area_code"].endswith("ZZZZ"):
            hidden = key(row) in but
            rows.append(
                row | {"status": "suppressed", **dict.fromkeys(SHOWN)} if hidden else row | {"status": "published"}
            )
    year.put(PROTECTED_RATES, rows)


def fails(year, said):
    outcome = year.say(checks.nothing_hidden_shows)
    assert outcome.state == FAILED
    assert said in outcome.text
    assert (
        f"Nothing of {YEAR} may be published: materialise protected_rates again, and report it if it stays."
        in outcome.text
    )
    return outcome


# --- nothing_hidden_shows: cells --------------------------------------------------------------------------------------


def test_nothing_hidden_shows(year):
    outcome = year.say(checks.nothing_hidden_shows)
    rows = year.rows(PROTECTED_RATES)
    hidden = sum(row["status"] == "suppressed" for row in rows)
    assert outcome.state == PASSED
    assert outcome.text.startswith(f"{len(rows)} cells: no sensitive one is published")
    assert outcome.metadata == {"published_cells": len(rows) - hidden, "suppressed_cells": hidden}
    assert hidden > 10


@pytest.mark.parametrize("dimension", ["total", "sex", "age_group", "age_class", "preferential"])
def test_a_sensitive_cell_is_published(year, dimension):
    publish(year, find(year, "suppressed", is_sensitive=True, dimension=dimension))
    fails(year, "1 sensitive cells are published")


@pytest.mark.parametrize(
    ("people", "patients", "must_hide"),
    [
        (100, 0, False),
        (100, 1, True),
        (100, 4, True),
        (100, 5, False),
        (100, 95, False),
        (100, 96, True),
        (100, 99, True),
        (100, 100, True),
        (4, 0, True),
        (5, 0, False),
        (0, 0, False),
    ],
)
def test_both_sides_of_every_bound(year, people, patients, must_hide):
    """One sector at the bounds of the rule, everything published: the lines do not matter here."""
    cell = find(year, "published", is_sensitive=False, level="sector")
    share = {"beneficiaries": people, "patients": patients, "rate_per_10000": None, "rate_percent": None}
    rows = [row | share if key(row) == key(cell) else row for row in year.rows(SECTOR_RATES)]
    year.put(SECTOR_RATES, [row for row in rows if not sensitive(row) or key(row) == key(cell)])
    publish_everything(year)
    outcome = year.say(checks.nothing_hidden_shows)
    assert ("1 sensitive cells are published" in outcome.text) == must_hide


def test_the_threshold_is_a_setting(year):
    assert year.with_settings(disclosure_threshold=8).say(checks.nothing_hidden_shows).state == FAILED


@pytest.mark.parametrize("column", SHOWN)
def test_a_suppressed_cell_still_shows(year, column):
    cell = find(year, "suppressed", is_sensitive=True)
    change(year, cell, **{column: truth(year)[key(cell)][column]})
    fails(year, "1 suppressed cells still show patients or a rate")


def test_a_small_number_of_beneficiaries_shows(year):
    true = truth(year)
    cell = next(row for row in year.rows(PROTECTED_RATES) if 0 < true[key(row)]["beneficiaries"] < 5)
    assert cell["beneficiaries"] is None
    change(year, cell, beneficiaries=true[key(cell)]["beneficiaries"])
    fails(year, "1 cells show a number of beneficiaries below the threshold")


def test_an_unknown_sector_is_published(year):
    unknown = next(row for row in year.rows(SECTOR_RATES) if row["area_code"].endswith("ZZZZ"))
    hidden = dict.fromkeys(("beneficiaries", *SHOWN)) | {"status": "suppressed"}
    year.put(PROTECTED_RATES, [*year.rows(PROTECTED_RATES), unknown | hidden])
    rows = len(year.rows(PROTECTED_RATES))
    fails(year, f"1 unknown-sector rows are published; {rows} cells are there instead of {rows - 1}")


@pytest.mark.parametrize("column", ["beneficiaries", *SHOWN])
def test_a_published_figure_is_another(year, column):
    cell = find(year, "published", is_sensitive=False, level="region", dimension="total")
    change(year, cell, **{column: cell[column] + 1})
    fails(year, "1 published cells differ from the statistic")


@pytest.mark.parametrize("column", SHOWN)
def test_a_published_figure_is_missing(year, column):
    change(year, find(year, "published", is_sensitive=False, level="region", dimension="total"), **{column: None})
    fails(year, "1 published cells differ from the statistic")


def test_the_people_of_a_suppressed_cell_are_others(year):
    cell = next(row for row in year.rows(PROTECTED_RATES) if row["status"] == "suppressed" and row["beneficiaries"])
    change(year, cell, beneficiaries=cell["beneficiaries"] + 1)
    fails(year, "1 published cells differ from the statistic")


def test_a_status_that_is_none(year):
    change(year, find(year, "published", is_sensitive=False), status="shown")
    fails(year, "1 cells are neither published nor suppressed")


def test_a_cell_that_is_not_in_the_statistic(year):
    cell = find(year, "published", is_sensitive=False, level="sector")
    change(year, cell, area_code="99999A00-")
    fails(year, "1 cells are not in the statistic")


def test_a_cell_is_there_twice(year):
    rows = year.rows(PROTECTED_RATES)
    year.put(PROTECTED_RATES, [*rows, find(year, "published", is_sensitive=False, level="country")])
    fails(year, f"1 cells are there twice; {len(rows) + 1} cells are there instead of {len(rows)}")


def test_a_cell_is_missing(year):
    rows = year.rows(PROTECTED_RATES)
    year.put(PROTECTED_RATES, [row for row in rows if key(row) != ("country", "BE", "total", "total")])
    fails(year, f"{len(rows) - 1} cells are there instead of {len(rows)}")


# --- nothing_hidden_shows: lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        ("region", "03000", "total", "total"),
        ("province", "60000", "preferential", "1"),
        ("arrondissement", "21000", "sex", "M"),
        ("municipality", "62063", "age_group", "65+"),
        ("country", "BE", "age_class", "25-44"),
        ("sector", "11002A101", "total", "total"),
    ],
    ids=lambda cell: f"{cell[0]} {cell[2]}",
)
def test_one_hidden_cell_in_a_line(year, cell):
    """Everything published but one: subtraction gives it away, along every kind of line."""
    enlarge(year)
    publish_everything(year, but=[cell])
    fails(year, "have exactly one hidden number of patients, which subtraction gives away")


@pytest.mark.parametrize(
    ("dimension", "category"), [("sex", "M"), ("age_group", "65+"), ("preferential", "0"), ("age_class", "45-64")]
)
def test_one_hidden_category_everywhere(year, dimension, category):
    """The areas hide each other then; it is the other categories that give the hidden one away."""
    enlarge(year)
    hidden = [cell for cell in truth(year) if cell[2:] == (dimension, category)]
    publish_everything(year, but=hidden)
    with_classes = [cell for cell in hidden if cell[0] not in ("municipality", "sector")]
    lines = len(hidden) + (len(with_classes) if dimension == "age_group" else 0)  # a group is a total of classes, too
    fails(year, f"{lines} lines have exactly one hidden number of patients")


def enlarge(year):
    """A country in which nothing is sensitive."""

    def edit(row):
        return row | {"beneficiaries": row["beneficiaries"] * 1000, "patients": row["patients"] * 100 + 5}

    year.change(SECTOR_RATES, lambda row: edit(row) if row["beneficiaries"] else row)
    publish_everything(year)
    assert year.say(checks.nothing_hidden_shows).state == PASSED


def test_two_hidden_cells_in_every_line_are_enough(year):
    """Both sectors of a municipality of two: nothing tells them apart."""
    enlarge(year)
    sectors = [("sector", code, "total", "total") for code in ("11002J81-", "11002A101")]
    publish_everything(year, but=sectors)
    assert year.say(checks.nothing_hidden_shows).state == PASSED
    publish_everything(year, but=sectors[:1])
    fails(year, "1 lines have exactly one hidden number of patients")


def test_a_sector_beside_people_of_unknown_sector(year):
    """These are never published, so one hidden sector beside them cannot be had by subtraction."""
    enlarge(year)
    publish_everything(year, but=[("sector", "62063A10-", "total", "total")])
    assert year.say(checks.nothing_hidden_shows).state == PASSED


def test_people_of_unknown_sector_are_given_away(year):
    """All sectors and the municipality published: the difference is a small number of patients."""
    enlarge(year)
    year.change(SECTOR_RATES, lambda row: row | {"patients": 2} if row["area_code"] == "62063ZZZZ" else row)
    fails(year, "1 lines have exactly one hidden number of patients")


def test_people_without_a_municipality_are_given_away(year):
    """The country less its regions is a small number of beneficiaries."""
    publish_everything(year)
    assert "lines have exactly one hidden number of beneficiaries" in year.say(checks.nothing_hidden_shows).text


def test_one_hidden_number_of_beneficiaries_in_a_line(year):
    enlarge(year)
    cell = {"level": "province", "area_code": "60000", "dimension": "sex", "category": "F"}
    change(year, cell, beneficiaries=None)
    fails(year, "lines have exactly one hidden number of beneficiaries, which subtraction gives away")


# --- release_checksums ------------------------------------------------------------------------------------------------


def test_the_release_is_as_it_was_made(year):
    outcome = year.say(checks.release_checksums)
    assert outcome.state == PASSED
    rows = len(year.rows(PROTECTED_RATES))
    assert outcome.text == f"The files of data/published/{YEAR} match their checksums; {rows} rows."


def change_file(folder):
    path = folder / "rates.csv"
    path.write_text(path.read_text().replace("published", "Published", 1))


def add_file(folder):
    (folder / "notes.txt").write_text("mine")


@pytest.mark.parametrize(
    ("spoil", "file"),
    [
        (change_file, "rates.csv"),
        (add_file, "notes.txt"),
        (lambda folder: (folder / "rates.parquet").unlink(), "rates.parquet"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS"),
    ],
    ids=["changed", "added", "removed", "no checksums"],
)
def test_somebody_changed_the_release(year, spoil, file):
    spoil(year.settings.published_dir / str(YEAR))
    outcome = year.say(checks.release_checksums)
    assert outcome.state == FAILED
    assert outcome.text == (
        f"data/published/{YEAR}: {file} not as in SHA256SUMS. Somebody changed the release: materialise published_year "
        f"for {YEAR} again."
    )


def test_the_release_is_of_another_table(year):
    folder = year.settings.published_dir / str(YEAR)
    table = pq.read_table(folder / "rates.parquet", partitioning=None)
    pq.write_table(table.slice(1), folder / "rates.parquet")
    sums = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("rates.csv", "rates.parquet")
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))
    outcome = year.say(checks.release_checksums)
    assert outcome.state == FAILED
    assert outcome.text.startswith(
        f"data/published/{YEAR}/rates.parquet has {len(table) - 1} rows, protected_rates {len(table)}: materialise"
    )

"""The checks of the publication: for every state a fault that reaches it, and what is said then."""

import shutil

import pyarrow.parquet as pq
import pytest

from mm_pipeline.defs.checks import publication as checks
from mm_pipeline.operations.sign_off import waiting_folder
from mm_pipeline.operations.status import FAILED, NOT_APPLICABLE, PASSED, WARNING
from mm_pipeline.release.files import write_checksums
from mm_pipeline.schemas import (
    DISCLOSED_RATES,
    PROTECTED_RATES,
    PROTECTED_SENSITIVITY,
    SECTOR_RATES,
    SHOWN_SENSITIVITY,
    THRESHOLD_COUNTS,
)
from mm_pipeline_tests.support.examples import how_many
from mm_pipeline_tests.support.small_year import YEAR

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
    raise AssertionError(f"the small country has no such cell: {status}, {values}")


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
    outcome = year.outcome_of(checks.nothing_hidden_shows)
    assert outcome.state == FAILED
    assert said in outcome.text
    assert (
        f"Nothing of {YEAR} may be published: materialise protected_rates again, and report it if it stays."
        in outcome.text
    )
    return outcome


# --- nothing_hidden_shows: cells --------------------------------------------------------------------------------------


def test_nothing_hidden_shows(year):
    outcome = year.outcome_of(checks.nothing_hidden_shows)
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
    rows = [row for row in rows if not sensitive(row) or key(row) == key(cell)]
    year.put(SECTOR_RATES, rows)
    told = {"release": 1, "digest": "", "threshold": 5, "shows_patients": True, "shows_beneficiaries": True}
    columns = set(DISCLOSED_RATES.column_names)
    year.put(DISCLOSED_RATES, [{k: v for k, v in {**row, **told}.items() if k in columns} for row in rows])
    publish_everything(year)
    outcome = year.outcome_of(checks.nothing_hidden_shows)
    assert ("1 sensitive cells are published" in outcome.text) == must_hide


def test_the_threshold_is_a_setting(year):
    assert year.with_settings(disclosure_threshold=8).outcome_of(checks.nothing_hidden_shows).state == FAILED


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


# --- disclosure_audit -------------------------------------------------------------------------------------------------


def test_the_promise_holds(year):
    outcome = year.outcome_of(checks.disclosure_audit)
    assert outcome.state == PASSED
    assert outcome.text.startswith(f"Whoever knows all that is published of {YEAR} cannot tell")
    assert outcome.metadata["seconds"] >= 0
    assert outcome.metadata["narrowest_interval"] >= 4
    head, _, *rows = outcome.metadata["visibility"].value.splitlines()
    assert head == ("| level | dimension | cells | visible | hidden | people in visible areas | narrowest interval |")
    assert len(rows) == 4 * 5 + 4 + 1
    cells = [row.strip("| ").split(" | ") for row in rows]
    there = [row["status"] == "published" for row in year.rows(PROTECTED_RATES)]
    assert sum(int(row[3]) for row in cells) == sum(there)
    assert sum(int(row[2]) for row in cells) == len(there)
    assert outcome.metadata["hidden_cells"] == len(there) - sum(there)
    # An unbounded or known figure aside, nothing that could be small is narrower than the promise.
    assert all(int(row[6]) >= 4 for row in cells if len(row) > 6 and row[6])


def test_a_complementary_cell_is_published(year):
    """What was hidden for another one's sake gives that one away."""
    found = []
    true = truth(year)
    complementary = [
        row
        for row in year.rows(PROTECTED_RATES)
        if row["status"] == "suppressed" and not sensitive(true[key(row)]) and true[key(row)]["patients"] > 0
    ]
    for row in complementary[: how_many(len(complementary), 10)]:
        publish(year, row)
        outcome = year.outcome_of(checks.disclosure_audit)
        if outcome.state == FAILED:
            found.append(outcome.text)
        year.change(PROTECTED_RATES, lambda now, row=row: row if key(now) == key(row) else now)
    assert found
    assert all(f"Nothing of {YEAR} may be published; report it." in text for text in found)
    assert any("hidden figures can be told to be below 5, or narrowed to fewer than 5 values" in text for text in found)


def test_a_sensitive_cell_is_published_and_audited(year):
    cell = find(year, "suppressed", is_sensitive=True, level="sector")
    publish(year, cell)
    assert year.outcome_of(checks.disclosure_audit).state == FAILED


def test_the_whole_statistic_is_published(year):
    publish_everything(year)
    outcome = year.outcome_of(checks.disclosure_audit)
    assert outcome.state == FAILED
    number = int(outcome.text.split(" hidden figures", maxsplit=1)[0])
    assert number > 20
    assert outcome.text.count("/") == 5 * 4
    assert f" and {number - 5} more." in outcome.text


def test_a_release_that_contradicts_itself(year):
    cell = find(year, "published", is_sensitive=False, level="region", dimension="total")
    change(year, cell, patients=cell["patients"] + 1)
    outcome = year.outcome_of(checks.disclosure_audit)
    assert outcome.state == FAILED
    assert outcome.text.startswith("The published table contradicts itself")
    assert outcome.text.endswith(f"Nothing of {YEAR} may be published; report it.")


def test_the_audit_takes_the_threshold_of_the_settings(year):
    assert year.with_settings(disclosure_threshold=8).outcome_of(checks.disclosure_audit).state == FAILED
    assert year.with_settings(disclosure_threshold=2).outcome_of(checks.disclosure_audit).state == PASSED


# --- sensitivity_audit ------------------------------------------------------------------------------------------------


def test_the_other_thresholds_keep_the_promise(year):
    outcome = year.outcome_of(checks.sensitivity_audit)
    assert (outcome.state, outcome.text) == (
        PASSED,
        "From the other thresholds nobody can work out a small number either.",
    )
    assert [line.split("|")[1].strip() for line in outcome.metadata["cells_by_area"].value.splitlines()[2:]] == [
        row["area_code"]
        for row in year.rows(THRESHOLD_COUNTS)
        if row["threshold"] == 1 and row["level"] in ("country", "region")
    ]


def show_all_thresholds(year):
    """As if nothing had to be protected."""
    counts = {
        (row["area_code"], row["threshold"]): row["patients"]
        for row in year.rows(THRESHOLD_COUNTS)
        if row["level"] in ("country", "region")
    }

    def edit(row):
        area, threshold = row["area_code"], row["threshold"]
        patients = counts[area, threshold]
        if row["rule"] == "exactly":
            patients -= counts[area, threshold + 1]
        return row | {"patients": patients, "status": "published"}

    year.change(PROTECTED_SENSITIVITY, edit)


def test_all_thresholds_give_somebody_away(year):
    """In the small country few people have any other number of forfaits than twelve."""
    show_all_thresholds(year)
    outcome = year.outcome_of(checks.sensitivity_audit)
    assert outcome.state == FAILED
    assert outcome.text.startswith("The sensitivity table: ")
    assert f"Nothing of {YEAR} may be published" in outcome.text


def test_a_threshold_shows_another_number_than_was_counted(year):
    """The table is in itself in order: every threshold has the patients of the main one, plus and minus some."""

    def more(row):
        return row | {"patients": row["patients"] + 7} if row["dimension"] == "threshold" else row

    year.change(DISCLOSED_RATES, more)
    outcome = year.outcome_of(checks.sensitivity_audit)
    assert outcome.state == FAILED
    assert "What it shows is not what was counted." in outcome.text


def test_a_later_release_shows_no_threshold_that_an_earlier_one_hid(year):
    year.publish()
    assert year.outcome_of(checks.sensitivity_audit).state == PASSED
    shown = [row for row in year.rows(SHOWN_SENSITIVITY) if row["threshold"] == year.settings.minimum_forfaits]
    others = [row for row in year.rows(SHOWN_SENSITIVITY) if row["threshold"] != year.settings.minimum_forfaits]
    if not others:
        pytest.skip("the small country shows no other threshold")
    year.put(SHOWN_SENSITIVITY, shown)
    assert "was not shown by an earlier release" in year.outcome_of(checks.sensitivity_audit).text


# --- revisions_audit ----------------------------------------------------------------------------------------------------


def revise(year, by=6):
    """More patients at an unknown address: only the country changes, and what is worked out from it."""

    def more(row):
        male = row["category"] in ("total", "M", "18-64", "25-44", "0")
        return row | {"patients": row["patients"] + by} if row["level"] == "country" and male else row

    year.change(SECTOR_RATES, more)
    year.protect()


def test_a_year_that_was_not_revised(year):
    outcome = year.outcome_of(checks.revisions_audit)
    assert outcome.state == NOT_APPLICABLE
    year.protect()
    assert year.outcome_of(checks.revisions_audit).state == NOT_APPLICABLE, "the same again is no revision"


def test_a_revised_year(year):
    revise(year)
    outcome = year.outcome_of(checks.revisions_audit)
    assert outcome.state == PASSED
    assert outcome.text == f"Nor can anybody who has all releases of {YEAR}."


def test_what_never_went_out_is_forgotten(year):
    """A table that a check stopped must not stand in the way of the next one."""

    def country(release):
        rows = (row for row in year.rows(DISCLOSED_RATES) if row["release"] == release)
        return next(row["patients"] for row in rows if key(row) == ("country", "BE", "total", "total"))

    revise(year)
    stopped = country(2)
    revise(year)
    assert {row["release"] for row in year.rows(DISCLOSED_RATES)} == {1, 2}
    assert (country(1), country(2)) == (stopped - 6, stopped + 6)


def test_back_to_what_was_released_before(year):
    before = year.rows(SECTOR_RATES)
    first = year.rows(DISCLOSED_RATES)[0]["digest"]
    revise(year)
    year.publish()
    year.put(SECTOR_RATES, before)
    year.protect()
    kept = {row["release"]: row["digest"] for row in year.rows(DISCLOSED_RATES)}
    assert len(kept) in (2, 3)
    if len(kept) == 2:
        assert kept[2] == first
    assert year.outcome_of(checks.revisions_audit).state == PASSED


def shown_now(year, *, threshold=None):
    """An earlier release that showed everything."""
    rows = year.rows(DISCLOSED_RATES)
    past = [row | {"shows_patients": True, "shows_beneficiaries": True} for row in rows]
    past = [row for row in past if not row["area_code"].endswith("ZZZZ")]
    if threshold:
        past = [row | {"threshold": threshold} for row in past]
    year.put(DISCLOSED_RATES, [*past, *(row | {"release": 2} for row in rows)])


def test_an_earlier_release_gives_it_away(year):
    shown_now(year)
    outcome = year.outcome_of(checks.revisions_audit)
    assert outcome.state == WARNING
    assert outcome.text.startswith("Together with an earlier release: ")
    assert "The earlier ones gave them away already, which cannot be taken back." in outcome.text


def test_the_newest_release_gives_it_away(year):
    rows = [row for row in year.rows(DISCLOSED_RATES) if not row["area_code"].endswith("ZZZZ")]
    shown = {"release": 2, "shows_patients": True, "shows_beneficiaries": True}
    year.put(DISCLOSED_RATES, [*rows, *(row | shown for row in rows)])
    outcome = year.outcome_of(checks.revisions_audit)
    assert outcome.state == FAILED
    assert f"Nothing of {YEAR} may be published." in outcome.text


def test_an_earlier_release_with_a_lower_threshold_cannot_be_taken_back(year):
    shown_now(year, threshold=2)
    outcome = year.outcome_of(checks.revisions_audit)
    assert outcome.state == WARNING
    assert "An earlier release was made with a lower threshold, which cannot be taken back." in outcome.text


def test_releases_that_contradict_each_other(year):
    rows = year.rows(DISCLOSED_RATES)
    others = [row | {"release": 2} for row in rows]
    top = next(row for row in others if row["level"] == "country" and row["dimension"] == "total")
    top["patients"] += 1
    year.put(DISCLOSED_RATES, [*rows, *others])
    outcome = year.outcome_of(checks.revisions_audit)
    assert outcome.state == FAILED
    assert outcome.text.startswith(f"The releases of {YEAR} together: The published table contradicts itself")


# --- release_checksums ------------------------------------------------------------------------------------------------


def test_the_release_is_as_it_was_made(year):
    outcome = year.outcome_of(checks.release_checksums)
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
    outcome = year.outcome_of(checks.release_checksums)
    assert outcome.state == FAILED
    assert outcome.text == (
        f"data/published/{YEAR}: {file} not as in SHA256SUMS. Somebody changed the release: build "
        f"{YEAR} again (job year)."
    )


def test_the_release_is_of_another_table(year):
    folder = year.settings.published_dir / str(YEAR)
    table = pq.read_table(folder / "rates.parquet", partitioning=None)
    pq.write_table(table.slice(1), folder / "rates.parquet")
    write_checksums(folder)
    outcome = year.outcome_of(checks.release_checksums)
    assert outcome.state == FAILED
    assert outcome.text.startswith(
        f"data/published/{YEAR}/rates.parquet has {len(table) - 1} rows, protected_rates {len(table)}: build"
    )


def test_the_table_is_of_what_awaits_its_signatures(year):
    """The release is the one before, and as it was made."""
    folder = year.settings.published_dir / str(YEAR)
    table = pq.read_table(folder / "rates.parquet", partitioning=None)
    waiting = year.with_settings(sign_off=True)
    with waiting_folder(waiting.settings, YEAR) as awaits:
        shutil.copytree(folder, awaits, dirs_exist_ok=True)
    pq.write_table(table.slice(1), folder / "rates.parquet")
    write_checksums(folder)
    assert waiting.outcome_of(checks.release_checksums).state == PASSED
    assert year.outcome_of(checks.release_checksums).state == FAILED

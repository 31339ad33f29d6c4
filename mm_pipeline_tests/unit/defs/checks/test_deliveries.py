"""The checks of the deliveries and the geography: for every state a fault that reaches it, and what is said then."""

import json
import shutil

import dagster as dg
import pytest

from mm_pipeline.defs.assets.deliveries import CONTRACT_CHECK, raw_beneficiaries, raw_dmg, raw_forfaits
from mm_pipeline.defs.checks import deliveries as checks
from mm_pipeline.defs.resources import resources
from mm_pipeline.disclosure.small_numbers import rounded
from mm_pipeline.errors import LakeError
from mm_pipeline.operations.status import FAILED, HELD, NOT_APPLICABLE, PASSED, WARNING
from mm_pipeline.schemas import GEOGRAPHY, RAW_BENEFICIARIES, RAW_CONTRIBUTIONS, RAW_DMG, RAW_FORFAITS
from mm_pipeline_tests.support.small_year import YEAR, deliveries

every_raw_table = pytest.mark.parametrize(
    "table", [RAW_FORFAITS, RAW_BENEFICIARIES, RAW_DMG], ids=lambda table: table.name
)

AGAIN = f"for {YEAR} again, and report it if it stays"


# --- delivery_contract ------------------------------------------------------------------------------------------------


def contract(year):
    """State and text of the check per dataset; run by Dagster, since the asset itself gives the result."""
    assets = [raw_forfaits, raw_beneficiaries, raw_dmg]
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize(
            assets,
            partition_key=str(year.year),
            instance=instance,
            resources=resources(year.settings),
            raise_on_error=False,
        )
    found = {}
    for result in run.get_asset_check_evaluations():
        assert result.check_name == CONTRACT_CHECK
        year.assert_safe(result.description, {})
        state = PASSED if result.passed else {"ERROR": FAILED, "WARN": WARNING}[result.severity.value]
        found[result.asset_key.to_user_string()] = (state, result.description)
    return found, {event.asset_key.to_user_string() for event in run.get_asset_materialization_events()}


def test_contract_holds(year):
    folder = year.settings.raw_dir / str(YEAR)
    (folder / "manifest.json").write_text(json.dumps({"version": "final", "files": {"dmg.csv": {"rows": 141}}}))
    found, materialised = contract(year)
    assert found == {
        "raw_forfaits": (PASSED, "forfaits.csv: 600 usable rows, all columns there, as announced (final)."),
        "raw_beneficiaries": (PASSED, "beneficiaries.csv: 600 usable rows, all columns there, as announced (final)."),
        "raw_dmg": (PASSED, "dmg.csv: 100 usable rows, all columns there, as announced (final)."),
    }
    assert materialised == set(found)


def test_a_second_file_of_the_same_data_is_told(year):
    """A part, or an earlier version: it is not read, and nobody should think that it is."""
    folder = year.settings.raw_dir / str(YEAR)
    for name in ("forfaits_part2.csv", "Forfaits old.CSV", "forfaits.pdf", "forfaits.csv.part", "dmg.csv.bak"):
        (folder / name).write_text("x")
    found, materialised = contract(year)
    state, said = found["raw_forfaits"]
    assert state == WARNING
    assert said == (
        "forfaits.csv: 600 usable rows, all columns there; no manifest to hold it against. Beside it lies Forfaits old.CSV, "
        "forfaits_part2.csv, which is not read: if it is a part of the delivery, join the two and build the year "
        "again; else "
        "move it away."
    )
    assert found["raw_dmg"][0] == PASSED
    assert materialised == set(found), "the year goes on"


def test_contract_is_broken(year):
    folder = year.settings.raw_dir / str(YEAR)
    earlier = year.lake.path(RAW_FORFAITS, YEAR).read_bytes()
    text = (folder / "forfaits.csv").read_text()
    (folder / "forfaits.csv").write_text(text.replace("quantity", "number", 1))
    (folder / "dmg.csv").unlink()
    found, materialised = contract(year)
    assert found["raw_beneficiaries"] == (
        PASSED,
        "beneficiaries.csv: 600 usable rows, all columns there; no manifest to hold it against.",
    )
    state, said = found["raw_forfaits"]
    assert state == FAILED
    assert said.startswith(f"{YEAR}/forfaits.csv, line 1: column quantity is missing; found patient_id")
    assert "Ask the sender for it" in said
    state, said = found["raw_dmg"]
    assert state == FAILED
    assert said.startswith(f"{YEAR}: dmg is missing; expected dmg.parquet or dmg.csv or dmg.csv.gz")
    assert materialised == {"raw_beneficiaries"}
    assert year.lake.path(RAW_FORFAITS, YEAR).read_bytes() == earlier


# --- row_accounting ---------------------------------------------------------------------------------------------------


@every_raw_table
def test_rows_are_accounted_for(year, table):
    outcome = year.outcome_of(checks.row_accounting, table=table)
    kept = rounded(year.account(table)["delivered"])
    assert outcome.state == PASSED
    assert f"kept {kept}, ignored fewer than 50, quarantined 0." in outcome.text


def test_ignored_and_quarantined_rows_are_accounted_for(year):
    rows = deliveries(YEAR)["forfaits"]
    year.deliver(
        forfaits=[rows[0] | {"nomenclature_code": "101032"}, rows[1] | {"quantity": "many"}, *rows[2:]],
    )
    outcome = year.outcome_of(checks.row_accounting, table=RAW_FORFAITS)
    assert outcome.state == PASSED
    assert "kept 600, ignored fewer than 50 (another nomenclature code than 109616), quarantined 1." in outcome.text


@every_raw_table
def test_a_lost_row_is_noticed(year, table):
    year.put(table, year.rows(table)[1:])
    outcome = year.outcome_of(checks.row_accounting, table=table)
    assert outcome.state == FAILED
    assert "1 rows are not accounted for" in outcome.text
    assert f"{table.name} {AGAIN}" in outcome.text


def test_a_row_too_many_is_noticed(year):
    rows = year.rows(RAW_DMG)
    year.put(RAW_DMG, [*rows, rows[0]])
    outcome = year.outcome_of(checks.row_accounting, table=RAW_DMG)
    assert outcome.state == FAILED
    assert "1 rows are there that were not delivered" in outcome.text


def test_a_lost_quarantine_is_noticed(year):
    rows = deliveries(YEAR)["forfaits"]
    year.deliver(forfaits=[*rows[:-7], *(row | {"quantity": "many"} for row in rows[-7:])])
    shutil.rmtree(year.lake.quarantine_path(RAW_FORFAITS, YEAR).parent)
    outcome = year.outcome_of(checks.row_accounting, table=RAW_FORFAITS)
    assert outcome.state == FAILED
    assert "quarantined 0: 7 rows are not accounted for" in outcome.text


def test_a_damaged_quarantine_is_said_in_words(year):
    year.lake.quarantine_path(RAW_FORFAITS, YEAR).write_bytes(b"no Parquet")
    with pytest.raises(LakeError, match=f"is damaged.*Materialise raw_forfaits for {YEAR} again"):
        year.outcome_of(checks.row_accounting, table=RAW_FORFAITS)


# --- quarantined_share ------------------------------------------------------------------------------------------------


@every_raw_table
def test_nothing_is_quarantined(year, table):
    outcome = year.outcome_of(checks.quarantined_share, table=table)
    assert (outcome.state, outcome.text) == (PASSED, f"No row of {year.account(table)['file']} is quarantined.")


def test_a_quarantined_row_warns(year):
    rows = deliveries(YEAR)["beneficiaries"]
    year.deliver(beneficiaries=[rows[0] | {"sex": "X"}, *rows[1:]])
    outcome = year.outcome_of(checks.quarantined_share, table=RAW_BENEFICIARIES)
    assert outcome.state == WARNING
    assert outcome.text.startswith("1 rows of beneficiaries.csv (0.17 %) cannot be used")
    assert "raw line; most often sex: not M or F. The year goes on without them" in outcome.text
    assert f"data/lake/quarantine/beneficiaries/year={YEAR}/part-0.parquet" in outcome.text
    assert "ask the sender" in outcome.text
    assert "| sex: not M or F (or 1 or 2) | 1 |" in outcome.metadata["reasons"].value


@pytest.mark.parametrize(("bad", "state"), [(6, WARNING), (7, FAILED)])
@every_raw_table
def test_the_quarantine_limit(year, table, bad, state):
    year.set_account(table, delivered=600, quarantined=bad, quarantined_by_reason={"column: reason": bad})
    outcome = year.outcome_of(checks.quarantined_share, table=table)
    assert outcome.state == state
    assert f"{bad} rows of" in outcome.text
    if state == FAILED:
        assert "more than 1.00 % (MM_QUARANTINE_LIMIT): the year stops here" in outcome.text
        assert "Have the delivery corrected" in outcome.text


def test_the_quarantine_limit_is_a_setting(year):
    year.set_account(RAW_DMG, delivered=600, quarantined=30, quarantined_by_reason={"practice_id: empty": 30})
    assert year.outcome_of(checks.quarantined_share, table=RAW_DMG).state == FAILED
    assert (
        year.with_settings(quarantine_limit=0.05).outcome_of(checks.quarantined_share, table=RAW_DMG).state == WARNING
    )


# --- key_collisions ---------------------------------------------------------------------------------------------------


@every_raw_table
def test_no_key_collides(year, table):
    outcome = year.outcome_of(checks.key_collisions, table=table)
    assert (outcome.state, outcome.text) == (PASSED, "No two pseudonyms share a key.")


@pytest.mark.parametrize(("collisions", "said"), [(1, "1 to 4"), (4, "1 to 4"), (5, "5")])
@every_raw_table
def test_keys_collide(year, table, collisions, said):
    year.set_account(table, key_collisions=collisions)
    outcome = year.outcome_of(checks.key_collisions, table=table)
    assert outcome.state == FAILED
    assert outcome.text.startswith(f"{said} keys stand for two different pseudonyms")
    assert "MM_ID_KEY" in outcome.text
    assert "rebuild every year" in outcome.text


# --- volume_against_previous_year -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "state", "change"),
    [
        (800, PASSED, "-20.0 %"),
        (1200, PASSED, "+20.0 %"),
        (799, WARNING, "-20.0 %"),
        (1201, WARNING, "+20.0 %"),
        (1250, WARNING, "+30.0 %"),
        (749, HELD, "-30.0 %"),
        (1251, HELD, "+30.0 %"),
    ],
)
@every_raw_table
def test_volume(year, table, now, state, change):
    year.in_year(YEAR - 1).set_account(table, delivered=1000)
    year.set_account(table, delivered=now)
    outcome = year.outcome_of(checks.volume_against_previous_year, table=table)
    assert outcome.state == state
    assert outcome.text.startswith(f"{rounded(now)} usable rows, 1000 in {YEAR - 1} ({change})")
    assert ("Ask the sender whether the extract is complete" in outcome.text) == (state in (WARNING, HELD))


def test_contributions_hold_no_year(year):
    """They came into use step by step, and no figure is made from them."""
    year.in_year(YEAR - 1).set_account(RAW_CONTRIBUTIONS, delivered=1000)
    year.set_account(RAW_CONTRIBUTIONS, delivered=3000)
    assert year.outcome_of(checks.volume_against_previous_year, table=RAW_CONTRIBUTIONS).state == WARNING


@every_raw_table
def test_volume_without_the_year_before(year, table):
    outcome = year.in_year(YEAR - 1).outcome_of(checks.volume_against_previous_year, table=table)
    assert outcome.state == NOT_APPLICABLE
    assert outcome.text == f"Not applicable: {YEAR - 2} has not been built, so there is nothing to compare with."


# --- only_mm_forfaits -------------------------------------------------------------------------------------------------


def test_only_mm_forfaits(year):
    assert year.outcome_of(checks.only_mm_forfaits).state == PASSED


def test_another_code_is_kept(year):
    first, *others = year.rows(RAW_FORFAITS)
    year.put(RAW_FORFAITS, [first | {"nomenclature_code": "101032"}, *others])
    outcome = year.outcome_of(checks.only_mm_forfaits)
    assert outcome.state == FAILED
    assert outcome.text.startswith("1 rows have another nomenclature code than 109616")
    assert f"raw_forfaits {AGAIN}" in outcome.text


def test_without_a_forfait_there_is_nothing_to_look_at(year):
    year.put(RAW_FORFAITS, [])
    outcome = year.outcome_of(checks.only_mm_forfaits)
    assert outcome.state == NOT_APPLICABLE
    assert outcome.text == "Not applicable: no row of forfaits was kept; see months_billed."


# --- months_billed ----------------------------------------------------------------------------------------------------


def test_every_month_is_billed(year):
    outcome = year.outcome_of(checks.months_billed)
    assert outcome.state == PASSED
    assert outcome.metadata["months"].value.count(f"| {YEAR}-") == 12


def test_months_are_missing(year):
    year.change(RAW_FORFAITS, lambda row: None if row["service_date"].month in (3, 11) else row)
    outcome = year.outcome_of(checks.months_billed)
    assert outcome.state == FAILED
    assert outcome.text.startswith(f"No forfait at all is billed in {YEAR}-03, {YEAR}-11.")
    assert "ask for the missing months" in outcome.text
    assert f"| {YEAR}-03 | 0 |" in outcome.metadata["months"].value


def test_a_month_of_regularisations_only_is_missing(year):
    year.change(RAW_FORFAITS, lambda row: row | {"quantity": -1} if row["service_date"].month == 12 else row)
    outcome = year.outcome_of(checks.months_billed)
    assert (outcome.state, f"billed in {YEAR}-12." in outcome.text) == (FAILED, True)


def test_no_month_at_all(year):
    year.put(RAW_FORFAITS, [])
    assert year.outcome_of(checks.months_billed).state == FAILED


def test_a_month_is_low(year):
    def thin(row):
        return None if row["service_date"].month == 12 and row["patient_key"] % 3 else row

    year.change(RAW_FORFAITS, thin)
    outcome = year.outcome_of(checks.months_billed)
    assert outcome.state == WARNING
    assert outcome.text.startswith(f"Less than 50.00 % of a usual month is billed in {YEAR}-12.")
    assert "Ask the sender" in outcome.text


# --- one_row_per_person -----------------------------------------------------------------------------------------------


def test_one_row_per_person(year):
    rows = deliveries(YEAR)["beneficiaries"]
    year.deliver(beneficiaries=[*rows, rows[0] | {"valid_from": f"{YEAR}-06-01"}])
    assert year.outcome_of(checks.one_row_per_person).state == PASSED


@pytest.mark.parametrize(("again", "said"), [(2, "1 to 4"), (9, "9")])
def test_a_person_is_there_twice(year, again, said):
    rows = year.rows(RAW_BENEFICIARIES)
    year.put(RAW_BENEFICIARIES, [*rows, *rows[:again]])
    outcome = year.outcome_of(checks.one_row_per_person)
    assert outcome.state == FAILED
    assert outcome.text.startswith(f"{said} rows are a second row of a person, who would be counted twice.")
    assert f"raw_beneficiaries {AGAIN}" in outcome.text


def test_without_a_beneficiary_the_year_stops(year):
    year.put(RAW_BENEFICIARIES, [])
    outcome = year.outcome_of(checks.one_row_per_person)
    assert outcome.state == FAILED
    assert outcome.text.startswith("There is no beneficiary")
    assert "have the delivery corrected" in outcome.text
    for look in (checks.population_profile, checks.municipalities_assigned, checks.sector_codes_known):
        outcome = year.outcome_of(look)
        assert outcome.state == NOT_APPLICABLE
        assert outcome.text == "Not applicable: there is no beneficiary; see one_row_per_person."


# --- population_profile -----------------------------------------------------------------------------------------------


def test_the_population_is_like_belgium(year):
    year.put(RAW_BENEFICIARIES, year.rows(RAW_BENEFICIARIES) * 20)
    outcome = year.outcome_of(checks.population_profile)
    assert outcome.state == PASSED
    assert outcome.metadata == {
        "women": "50.00 %",
        "under_18": "21.67 %",  # 2 600 of 12 000 in round numbers; in truth 22 %
        "from_65": "18.33 %",
        "from_85": "1.67 %",
        "preferential": "20.00 %",
        "mean_age": "40.3",
    }


def test_the_sexes_are_wrong(year):
    year.change(RAW_BENEFICIARIES, lambda row: row | {"sex": "M" if row["patient_key"] % 4 else "F"})
    outcome = year.outcome_of(checks.population_profile)
    assert outcome.state == HELD
    assert "The share of women is outside 49 to 53 %. Are the sexes coded 1 = male, 2 = female?" in outcome.text
    assert "Found: women some, under 18 some" in outcome.text


def test_the_ages_are_wrong(year):
    year.change(RAW_BENEFICIARIES, lambda row: row | {"birth_year": row["birth_year"] - 10})
    outcome = year.outcome_of(checks.population_profile)
    assert outcome.state == WARNING
    for wrong in ("under 18 is outside", "from 85 on is outside", "mean age is outside 38 to 46 years"):
        assert wrong in outcome.text
    assert "mean age 50.3" in outcome.text


def test_a_small_share_is_not_told(year):
    old = iter(range(3))

    def few_are_old(row):
        is_old = row["birth_year"] <= YEAR - 85
        return row | {"birth_year": YEAR - 80} if is_old and next(old, None) is None else row

    year.change(RAW_BENEFICIARIES, few_are_old)
    outcome = year.outcome_of(checks.population_profile)
    assert outcome.state == WARNING
    assert "from 85 some" in outcome.text
    assert outcome.metadata["from_85"] == "some"


# --- sector_codes_known -----------------------------------------------------------------------------------------------


def spoil_sectors(year, share, code, *, synthetic=False):
    """Give this share of the people with a sector code another one, in a real delivery or one for demonstration."""
    coded = [row for row in year.rows(RAW_BENEFICIARIES) if row["sector_code"] and "ZZZZ" not in row["sector_code"]]
    spoilt = {row["patient_key"] for row in coded[: int(share * len(coded))]}
    rows = (
        row | {"sector_code": code} if row["patient_key"] in spoilt else row for row in year.rows(RAW_BENEFICIARIES)
    )
    year.put(RAW_BENEFICIARIES, rows, synthetic=synthetic)


def without_sector_table(year):
    year.change(GEOGRAPHY, lambda row: None if row["level"] == "sector" else row)


def test_sector_codes_are_known(year):
    outcome = year.outcome_of(checks.sector_codes_known)
    assert outcome.state == PASSED
    assert outcome.text == (
        "Some of the delivered sector codes are known to the year's sector table, in their own municipality."
    )


@pytest.mark.parametrize("code", ["25112A001", "nonsense"])
@pytest.mark.parametrize(
    ("share", "state", "said"),
    [(0.03, WARNING, "; 99.00 % are expected"), (0.06, FAILED, "; at least 95.00 % are needed")],
)
def test_sector_codes_are_unknown(year, share, state, said, code):
    spoil_sectors(year, share, code)
    outcome = year.outcome_of(checks.sector_codes_known)
    assert outcome.state == state
    assert f"in their own municipality{said}. The others count as unknown sector" in outcome.text
    assert f"put sectors_{YEAR}.geojson[.zip] into data/reference and materialise geography" in outcome.text


def test_a_table_of_the_year_is_there_and_does_not_know_the_codes(year, tmp_path):
    """It is not the one that is missing."""
    reference = year.settings.data_dir / "reference"
    reference.mkdir(exist_ok=True)
    (reference / f"sectors_{YEAR}.geojson").write_text("{}")
    spoil_sectors(year, 0.06, "nonsense")
    outcome = year.outcome_of(checks.sector_codes_known)
    assert outcome.state == FAILED
    assert f"data/reference has Statbel's table of {YEAR}: ask the sender of which year the sectors" in outcome.text
    assert "put sectors_" not in outcome.text


def test_a_table_that_came_after_the_demonstration_stops_nothing(year):
    """Its made-up sectors are those of a time without the table; what to do is said."""
    spoil_sectors(year, 1.0, "nonsense", synthetic=True)
    outcome = year.outcome_of(checks.sector_codes_known)
    assert outcome.state == WARNING
    assert (
        f"made for demonstration before that table was there: make it again, with mm-pipeline synthesize --years {YEAR}"
    )
    assert "put sectors_" not in outcome.text


def test_a_sector_of_another_municipality_is_not_known(year):
    spoil_sectors(year, 1.0, "62063A10-")
    assert year.outcome_of(checks.sector_codes_known).state == FAILED


def test_without_a_sector_table_a_code_must_be_well_formed(year):
    without_sector_table(year)
    spoil_sectors(year, 0.5, "25112A001")
    outcome = year.outcome_of(checks.sector_codes_known)
    assert (outcome.state, outcome.text) == (
        PASSED,
        "Some of the delivered sector codes are well formed (no sector table).",
    )
    spoil_sectors(year, 0.03, "nonsense")
    outcome = year.outcome_of(checks.sector_codes_known)
    assert outcome.state == WARNING
    assert "Ask the sender how sectors are written: nine characters are expected" in outcome.text
    spoil_sectors(year, 0.2, "nonsense")
    assert year.outcome_of(checks.sector_codes_known).state == FAILED


@pytest.mark.parametrize("code", [None, "21004ZZZZ"])
def test_nobody_has_a_sector_code(year, code):
    year.change(RAW_BENEFICIARIES, lambda row: row | {"sector_code": code})
    outcome = year.outcome_of(checks.sector_codes_known)
    assert outcome.state == WARNING
    assert outcome.text.startswith("No beneficiary has a sector code")
    assert "Ask the sender" in outcome.text


def test_no_sectors_before_2005(year):
    outcome = year.in_year(2004).outcome_of(checks.sector_codes_known)
    assert (outcome.state, outcome.text) == (NOT_APPLICABLE, "Not applicable: sectors are published from 2005 on.")
    with pytest.raises(LakeError, match=r"2005: .* has not been built yet"):  # it looks
        year.in_year(2005).outcome_of(checks.sector_codes_known)


# --- municipalities_assigned ------------------------------------------------------------------------------------------


def unassign(year, number, code):
    chosen = {row["patient_key"] for row in year.rows(RAW_BENEFICIARIES)[:number]}
    year.change(
        RAW_BENEFICIARIES,
        lambda row: row | {"municipality_code": code if row["patient_key"] in chosen else "21004"},
    )


@pytest.mark.parametrize(
    ("number", "state", "said"),
    [
        (0, PASSED, "Fewer than 50"),  # that it is nobody, or a few, is not told
        (5, PASSED, "Fewer than 50"),
        (6, WARNING, "Fewer than 50"),
        (12, WARNING, "Fewer than 50"),
        (13, HELD, "Fewer than 50"),
        (300, HELD, "300"),
        (301, FAILED, "300"),
        (600, FAILED, "600"),
    ],
)
@pytest.mark.parametrize("code", [None, "999", "44001"])
def test_municipalities_assigned(year, number, state, said, code):
    unassign(year, number, code)
    outcome = year.outcome_of(checks.municipalities_assigned)
    assert outcome.state == state
    assert outcome.text.startswith(
        f"{said} beneficiaries have no municipality of {YEAR}; they count in the country only."
    )
    if state in (WARNING, HELD):
        assert f"are the codes those of another year than 31 December {YEAR}?" in outcome.text


def test_the_limit_that_holds_a_year_can_be_set(year):
    unassign(year, 6, None)
    lax, strict = (year.with_settings(hold_limits={"municipalities_assigned": limit}) for limit in (0.5, 0.009))
    assert [of.outcome_of(checks.municipalities_assigned).state for of in (lax, strict)] == [WARNING, HELD]
    unassign(year, 5, None)
    assert strict.outcome_of(checks.municipalities_assigned).state == PASSED, "5 of 600 are less than 0.9 %"


# --- same_people_as_the_year_before, dmg_of_beneficiaries -------------------------------------------------------------


def strangers(year, table, number):
    """The first rows of the table are of people whom nothing else knows."""
    rows = year.rows(table)
    changed = [row | {"patient_key": n + 1} if n < number else row for n, row in enumerate(rows)]
    year.put(table, changed, synthetic=False)


COMPARE = (
    "Compare some pseudonyms of both: capitals, padding, leading zeros, something added, another key of the sender."
)


@pytest.mark.parametrize(
    ("gone", "state"), [(0, PASSED), (3, PASSED), (300, PASSED), (301, FAILED), (597, FAILED), (600, FAILED)]
)
@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_the_people_of_the_year_before(year, gone, state, links, monkeypatch):
    if not links:  # a file system that has none
        monkeypatch.setattr(checks.os, "link", _cannot)
    strangers(year, RAW_BENEFICIARIES, gone)
    outcome = year.outcome_of(checks.same_people_as_the_year_before)
    assert outcome.state == state
    assert outcome.text.startswith(f"Some of the beneficiaries of {YEAR - 1} are there again")
    if state == FAILED:
        assert "; at least 50.00 % are needed. Most people stay insured" in outcome.text
        assert COMPARE in outcome.text
        assert f"build {YEAR} with MM_TOLERANCES=same_people_as_the_year_before=1.0." in outcome.text
    lax = year.with_settings(tolerances={"same_people_as_the_year_before": 1.0})
    assert lax.outcome_of(checks.same_people_as_the_year_before).state == PASSED


def _cannot(*_):
    raise PermissionError


@pytest.mark.parametrize(("gone", "state"), [(100, PASSED), (500, FAILED)])
def test_a_part_of_the_people_tells_the_share(year, gone, state, monkeypatch):
    monkeypatch.setattr(checks, "_LOOKED_FOR", 100)
    kept = sorted(year.rows(RAW_BENEFICIARIES), key=lambda row: row["patient_key"])
    changed = [row | {"patient_key": -n} if n < gone else row for n, row in enumerate(kept)]
    year.put(RAW_BENEFICIARIES, changed, synthetic=False)
    outcome = year.outcome_of(checks.same_people_as_the_year_before)
    assert outcome.state == state


def test_years_that_cannot_be_compared(year):
    def said(of=year):
        outcome = of.outcome_of(checks.same_people_as_the_year_before)
        assert outcome.state == NOT_APPLICABLE
        return outcome.text.removeprefix("Not applicable: ")

    assert said(year.in_year(YEAR - 1)) == f"{YEAR - 2} has not been built, so there is nothing to compare with."
    people = year.rows(RAW_BENEFICIARIES)
    year.put(RAW_BENEFICIARIES, people, synthetic=True)
    assert said() == f"of {YEAR} and {YEAR - 1} one is real and one is made for demonstration."
    year.put(RAW_BENEFICIARIES, people, synthetic=False, key_check="ffffffff")
    assert said() == f"{YEAR - 1} was built with another secret (MM_ID_KEY): build it again, and then this year."
    key_check = year.in_year(YEAR - 1).account(RAW_BENEFICIARIES)["key_check"]
    year.put(RAW_BENEFICIARIES, people, synthetic=False, key_check=key_check, sample=0.1)
    assert said() == "the deliveries are samples, which need not hold the same people."
    year.put(RAW_BENEFICIARIES, [], synthetic=False, kept=0)
    assert said() == "there is no beneficiary; see one_row_per_person."


@pytest.mark.parametrize(
    ("unknown", "state", "said"),
    [
        (0, PASSED, "."),
        (7, PASSED, "."),
        (8, WARNING, "; 95.00 % are expected. The patients of the others may have"),
        (70, WARNING, "; 95.00 % are expected."),
        (71, FAILED, "; at least 50.00 % are needed: patients with a DMG"),
        (141, FAILED, "; at least"),
    ],
)
def test_dmgs_are_of_beneficiaries(year, unknown, state, said):
    strangers(year, RAW_DMG, unknown)
    outcome = year.outcome_of(checks.dmg_of_beneficiaries)
    assert outcome.state == state
    assert outcome.text.startswith(f"Some of the DMGs are of a beneficiary{said}")
    assert (COMPARE in outcome.text) == (state != PASSED)


def test_dmgs_that_cannot_be_looked_up(year):
    """Read alone, or with another secret: then nothing further down joins them either, which says so."""
    rows = year.rows(RAW_DMG)
    year.put(RAW_DMG, rows, key_check="ffffffff")
    said = year.outcome_of(checks.dmg_of_beneficiaries).text
    assert said == "Not applicable: the beneficiaries were read with another secret (MM_ID_KEY)."
    for path in year.lake.path(RAW_BENEFICIARIES, YEAR).parent.iterdir():
        path.unlink()
    said = year.outcome_of(checks.dmg_of_beneficiaries).text
    assert said == "Not applicable: the beneficiaries of the year have not been read."


def test_no_dmg_and_no_beneficiary(year):
    year.put(RAW_BENEFICIARIES, [])
    assert year.outcome_of(checks.dmg_of_beneficiaries).text == "Not applicable: " + checks.NO_BENEFICIARY
    year.put(RAW_DMG, [])
    assert year.outcome_of(checks.dmg_of_beneficiaries).text == "Not applicable: no row of dmg was kept."


# --- hierarchy_complete -----------------------------------------------------------------------------------------------


def test_the_hierarchy_is_complete(year):
    year.put_whole_geography()
    outcome = year.outcome_of(checks.hierarchy_complete)
    assert (outcome.state, outcome.text) == (PASSED, "581 municipalities and all levels above them are there.")


def test_the_hierarchy_is_of_another_year(year):
    year.put_whole_geography()
    year.change(GEOGRAPHY, lambda row: None if row["area_code"] in ("11002", "20001") else row)
    outcome = year.outcome_of(checks.hierarchy_complete)
    assert outcome.state == FAILED
    assert (
        f"The hierarchy of {YEAR} is not complete: 10 of level province, 11 expected; 580 of level municipality, 581 "
        "expected."
    ) in outcome.text
    assert "REFNIS file in data/reference" in outcome.text
    assert "replace it by a newer one" in outcome.text

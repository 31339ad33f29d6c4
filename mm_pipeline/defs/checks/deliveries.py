"""Checks of the deliveries and the geography: is what arrived whole, and does it look like a year of Belgium?"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.checks.expectations import broken_rules
from mm_pipeline.defs.checks.framework import (
    SOME,
    Outcome,
    check,
    doubtful,
    failed,
    not_applicable,
    passed,
    percent,
    share_of_people,
    warning,
)
from mm_pipeline.defs.metadata import counted, markdown_table, usable_rows
from mm_pipeline.defs.year_context import YearContext
from mm_pipeline.dimensions import AGE_CLASS_STARTS, FIRST_SECTOR_YEAR, UNKNOWN_SECTOR
from mm_pipeline.disclosure.small_numbers import people, rounded, told
from mm_pipeline.ingest.contract import MM_FORFAIT
from mm_pipeline.ingest.ingest import Account
from mm_pipeline.reference.areas import expected_counts
from mm_pipeline.reference.geojson import files_by_year
from mm_pipeline.schemas import Table
from mm_pipeline.statistic.cells import SECTOR_CODE
from mm_pipeline.storage.scratch import scratch

EVERY_DELIVERY = (schemas.RAW_FORFAITS, schemas.RAW_BENEFICIARIES, schemas.RAW_DMG, schemas.RAW_CONTRIBUTIONS)

SECTORS_KNOWN_WARN, SECTORS_KNOWN_BLOCK = 0.99, 0.95
UNASSIGNED_WARN, UNASSIGNED_BLOCK = 0.01, 0.5
STRANGERS_WARN, STRANGERS_BLOCK = 0.05, 0.5
"""Of two tables that hold the same people, half must be found in the other, or their pseudonyms do not join at all."""
COMPARE = (
    "Compare some pseudonyms of both: capitals, padding, leading zeros, something added, another key of the sender."
)
_LOOKED_FOR = 200_000
"""About so many people tell what share of all is in another table; their keys are spread evenly."""
NO_FORFAIT = "no row of forfaits was kept; see months_billed."
NO_BENEFICIARY = "there is no beneficiary; see one_row_per_person."
MONTH_LOW = 0.5
"""A month with less than this share of the median month's rows is suspicious."""


def if_delivered(look: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Without a delivery of the table, which only an optional one may lack, there is nothing to look at."""

    @wraps(look)
    def looked(work: YearContext, *, table: Table, **arguments: str) -> Outcome:
        if not Account.of(work.lake, table, work.year).file:
            return not_applicable(f"no {table.name.removeprefix('raw_')} were delivered for {work.year}.")
        return look(work, table=table, **arguments)

    return looked


@check(EVERY_DELIVERY, blocking=True)
@if_delivered
def row_accounting(work: YearContext, *, table: Table) -> Outcome:
    """Delivered rows = kept + ignored by rule + quarantined.

    Kept and quarantined are counted again in the lake's files. Added up exactly, told in round numbers.
    """
    account = Account.of(work.lake, table, work.year)
    kept = work.lake.written(table, work.year).rows
    quarantined = work.lake.quarantined(table, work.year)
    ignored = f"ignored {told(account.ignored)}" + (f" ({account.ignored_reason})" if account.ignored else "")
    text = f"{account.file}: kept {told(kept)}, {ignored}, quarantined {quarantined}"
    if account.delivered == kept + account.ignored + quarantined:
        return passed(f"{text}. Every row is accounted for (here in round numbers).")
    lost = account.delivered - kept - account.ignored - quarantined
    wrong = f"{lost} rows are not accounted for" if lost > 0 else f"{-lost} rows are there that were not delivered"
    return failed(
        f"{text}: {wrong}. A file of the lake does not belong to this delivery: materialise "
        f"{table.name} for {work.year} again, and report it if it stays."
    )


@check(EVERY_DELIVERY, blocking=True)
@if_delivered
def quarantined_share(work: YearContext, *, table: Table) -> Outcome:
    """No row is quarantined (warns), and never more than MM_QUARANTINE_LIMIT (blocks)."""
    account = Account.of(work.lake, table, work.year)
    if account.quarantined == 0:
        return passed(f"No row of {account.file} is quarantined.")
    share, about = account.quarantined / account.delivered, rounded(usable_rows(account)) + account.quarantined
    reasons = markdown_table([{"column and reason": k, "rows": n} for k, n in account.quarantined_by_reason.items()])
    most = max(account.quarantined_by_reason, key=account.quarantined_by_reason.__getitem__).partition(" (")[0]
    where = work.lake.quarantine_path(table, work.year).relative_to(work.settings.data_dir.parent)
    text = (
        f"{account.quarantined} rows of {account.file} ({percent(account.quarantined / about)}) cannot be used; each is "
        f"in {where} with line, column, reason and raw line; most often {most}."
    )
    if share > work.settings.quarantine_limit:
        return failed(
            f"{text} That is more than {percent(work.settings.quarantine_limit)} (MM_QUARANTINE_LIMIT): the year stops "
            "here. Have the delivery corrected and materialise the year again.",
            reasons=reasons,
        )
    return warning(f"{text} The year goes on without them; ask the sender about them.", reasons=reasons)


@check(EVERY_DELIVERY, blocking=True)
@if_delivered
def key_collisions(work: YearContext, *, table: Table) -> Outcome:
    """No two pseudonyms of the delivery share a key."""
    collisions = Account.of(work.lake, table, work.year).key_collisions
    if collisions == 0:
        return passed("No two pseudonyms share a key.")
    return failed(
        f"{people(collisions, work.settings.disclosure_threshold)} keys stand for two different pseudonyms, so two persons "
        "would be counted as one. Set another secret (MM_ID_KEY) and rebuild every year."
    )


@check(EVERY_DELIVERY, hold_limit=0.25)
@if_delivered
def volume_against_previous_year(work: YearContext, *, table: Table) -> Outcome:
    """The number of delivered rows is within 20 % of the previous year's (suite delivery_volume); 25 % hold the year."""
    before = work.year - 1
    if not work.lake.is_usable(table, before):
        return not_applicable(f"{before} has not been built, so there is nothing to compare with.")
    if not Account.of(work.lake, table, before).file:
        return not_applicable(f"no {table.name.removeprefix('raw_')} were delivered for {before}.")
    now, then = (Account.of(work.lake, table, year) for year in (work.year, before))
    usable, earlier = usable_rows(now), usable_rows(then)
    change = f" ({100 * (rounded(usable) / rounded(earlier) - 1):+.1f} %)" if rounded(earlier) else ""
    text = f"{told(usable)} usable rows, {told(earlier)} in {before}{change}"
    ratio = now.delivered / then.delivered
    # No figure of the statistic is made from contributions, which came into use step by step.
    differs = 0.0 if table is schemas.RAW_CONTRIBUTIONS else abs(ratio - 1)
    broken = broken_rules(pd.DataFrame({"ratio": [ratio]}), "delivery_volume")
    if not broken and differs <= work.hold_limit:
        return passed(f"{text}.")
    return doubtful(work, f"{text}. {' '.join(broken)}".rstrip(), differs)


@check(schemas.RAW_FORFAITS, f"Only nomenclature code {MM_FORFAIT} is kept.", blocking=True)
def only_mm_forfaits(work: YearContext) -> Outcome:
    if work.lake.written(schemas.RAW_FORFAITS, work.year).rows == 0:
        return not_applicable(NO_FORFAIT)
    other = work.read(schemas.RAW_FORFAITS).filter(_.nomenclature_code != MM_FORFAIT).count().execute()
    if other == 0:
        return passed(f"All rows are forfaits {MM_FORFAIT}.")
    return failed(
        f"{other} rows have another nomenclature code than {MM_FORFAIT}. They must not be counted: materialise "
        f"raw_forfaits for {work.year} again, and report it if it stays."
    )


@check(schemas.RAW_FORFAITS, blocking=True)
def months_billed(work: YearContext) -> Outcome:
    """Every month of the year is billed; a month without any forfait blocks, an unusually low one warns."""
    billed = work.read(schemas.RAW_FORFAITS).filter(_.quantity > 0)  # regularisations of a month do not bill it
    rows = billed.group_by(month=_.service_date.month()).agg(rows=_.count()).to_pandas()
    by_month = dict.fromkeys(range(1, 13), 0) | dict(zip(rows["month"].tolist(), rows["rows"].tolist(), strict=True))
    median = float(pd.Series(by_month).median())
    table = markdown_table(
        [{"month": f"{work.year}-{month:02d}", "rows": told(n) if n else 0} for month, n in by_month.items()]
    )
    if missing := [f"{work.year}-{month:02d}" for month, n in by_month.items() if n == 0]:
        return failed(
            f"No forfait at all is billed in {', '.join(missing)}. The extract is incomplete: ask for the missing "
            "months and deliver the year again.",
            months=table,
        )
    if low := [f"{work.year}-{month:02d}" for month, n in by_month.items() if n < MONTH_LOW * median]:
        return warning(
            f"Less than {percent(MONTH_LOW)} of a usual month is billed in {', '.join(low)}. Ask the sender whether the "
            "extract was made before these months were complete.",
            months=table,
        )
    return passed("Every month of the year is billed.", months=table)


@check(schemas.RAW_BENEFICIARIES, blocking=True)
def one_row_per_person(work: YearContext) -> Outcome:
    """One person, one row: the last residence."""
    table = work.read(schemas.RAW_BENEFICIARIES)
    rows = work.lake.written(schemas.RAW_BENEFICIARIES, work.year).rows
    persons = int(table.select("patient_key").distinct().count().execute())  # nunique takes half as long again
    if rows == 0:
        return failed(
            "There is no beneficiary: no row of the delivery can be used. Look at quarantined_share, have the delivery "
            "corrected and materialise the year again."
        )
    if rows == persons:
        return passed("Every person has one row, the last residence known in the year.")
    return failed(
        f"{people(rows - persons, work.settings.disclosure_threshold)} rows are a second row of a person, who would be "
        f"counted twice. Materialise raw_beneficiaries for {work.year} again, and report it if it stays."
    )


@check(schemas.RAW_BENEFICIARIES, hold_limit=0.55)
def population_profile(work: YearContext) -> Outcome:
    """Sexes, ages and preferential tariff are plausible for Belgium (suite population_profile); 55 % of one sex hold it."""
    table = work.read(schemas.RAW_BENEFICIARIES)
    total = work.lake.written(schemas.RAW_BENEFICIARIES, work.year).rows
    if total == 0:
        return not_applicable(NO_BENEFICIARY)
    age = work.year - table.birth_year
    who = {
        "women": (table.sex == "F"),
        "under_18": age < AGE_CLASS_STARTS[0],
        "from_65": age >= 65,
        "from_85": age >= AGE_CLASS_STARTS[-1],
        "preferential": table.preferential == 1,
    }
    counts = table.agg(**{name: condition.sum() for name, condition in who.items()}, mean_age=age.mean()).to_pandas()
    frame = counts.assign(**{name: counts[name] / total for name in who})
    shown = {name: share_of_people(int(counts[name].iloc[0]), total) for name in who}
    shown["mean_age"] = f"{frame['mean_age'].iloc[0]:.1f}"
    of_one_sex = max(frame["women"].iloc[0], 1 - frame["women"].iloc[0])
    broken = broken_rules(frame, "population_profile")
    if broken or of_one_sex > work.hold_limit:
        found = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shown.items())
        text = " ".join(["The population looks unlike Belgium's.", *broken, f"Found: {found}."])
        return doubtful(work, text, of_one_sex, **shown)
    return passed("Sexes, ages and preferential tariff are as expected of Belgium.", **shown)


@check(schemas.RAW_BENEFICIARIES, blocking=True, after=(schemas.GEOGRAPHY,))
def sector_codes_known(work: YearContext) -> Outcome:
    """Delivered sector codes are known to the year: below 99 % warns, below 95 % blocks."""
    if work.year < FIRST_SECTOR_YEAR:
        return not_applicable(f"sectors are published from {FIRST_SECTOR_YEAR} on.")
    if work.lake.written(schemas.RAW_BENEFICIARIES, work.year).rows == 0:
        return not_applicable(NO_BENEFICIARY)
    sectors = work.read(schemas.GEOGRAPHY).filter(_.level == "sector").select("area_code", "parent_code")
    coded = work.read(schemas.RAW_BENEFICIARIES).filter(
        _.sector_code.notnull() & ~_.sector_code.endswith(UNKNOWN_SECTOR)
    )
    counts = coded.group_by("sector_code", "municipality_code").agg(people=_.count())
    has_table = sectors.count().execute() > 0
    if has_table:
        known = counts.left_join(
            sectors, [counts.sector_code == sectors.area_code, counts.municipality_code == sectors.parent_code]
        ).mutate(known=_.area_code.notnull())
    else:
        known = counts.mutate(known=_.sector_code.re_search(SECTOR_CODE))
    found = counted(known.agg(total=_.people.sum(), good=_.people.sum(where=_.known)))
    if not found["total"]:
        return warning("No beneficiary has a sector code: no sector will be published. Ask the sender for the codes.")
    share = found["good"] / found["total"]
    is_demonstration = has_table and work.lake.provenance(schemas.RAW_BENEFICIARIES, work.year).synthetic
    what = (
        "known to the year's sector table, in their own municipality" if has_table else "well formed (no sector table)"
    )
    if not has_table:
        cause = "Ask the sender how sectors are written: nine characters are expected, such as 21004A00-."
    elif is_demonstration:
        cause = (
            "This delivery was made for demonstration before that table was there: make it again, with mm-pipeline "
            f"synthesize --years {work.year} --force and the --scale of the others, and build the year."
        )
    elif work.year in files_by_year(work.settings.reference_dir, "sectors"):
        cause = (
            f"data/reference has Statbel's table of {work.year}: ask the sender of which year the sectors and the "
            "municipalities of the delivery are."
        )
    else:
        cause = (
            "Usually the sector table is older than a merger of municipalities: put "
            f"sectors_{work.year}.geojson[.zip] into data/reference and materialise geography."
        )
    text = f"{share_of_people(found['good'], found['total']).capitalize()} of the delivered sector codes are {what}"
    advice = f"The others count as unknown sector of their municipality. {cause}"
    if share < SECTORS_KNOWN_BLOCK and not is_demonstration:
        return failed(f"{text}; at least {percent(SECTORS_KNOWN_BLOCK)} are needed. {advice}")
    if share < SECTORS_KNOWN_WARN:
        return warning(f"{text}; {percent(SECTORS_KNOWN_WARN)} are expected. {advice}")
    return passed(f"{text}.")


@check(schemas.RAW_BENEFICIARIES, blocking=True, after=(schemas.GEOGRAPHY,), hold_limit=0.02)
def municipalities_assigned(work: YearContext) -> Outcome:
    """Beneficiaries have a municipality of the year: 1 % without one warns, 2 % hold the year, more than half blocks."""
    municipalities = work.read(schemas.GEOGRAPHY).filter(_.level == "municipality").select("area_code")
    table = work.read(schemas.RAW_BENEFICIARIES)
    counts = table.group_by("municipality_code").agg(people=_.count())
    unknown = counts.anti_join(municipalities, counts.municipality_code == municipalities.area_code)
    unassigned = int(unknown.people.sum().fill_null(0).execute())
    total = work.lake.written(schemas.RAW_BENEFICIARIES, work.year).rows
    if total == 0:
        return not_applicable(NO_BENEFICIARY)
    # They are a rest, of which the release may hide whether it is 0 or a few.
    share = share_of_people(unassigned, total)
    text = (
        f"{str(told(unassigned)).capitalize()} beneficiaries{f' ({share})' if share != SOME else ''} have no "
        f"municipality of {work.year}; they count in the country only"
    )
    if unassigned / total > UNASSIGNED_BLOCK:
        return failed(
            f"{text}. Hardly anything could be said of regions and municipalities, so the year stops here: the column does "
            f"not hold the NIS codes of five digits in force on 31 December {work.year}. Have the delivery corrected and "
            "materialise the year again."
        )
    if unassigned / total >= min(UNASSIGNED_WARN, work.hold_limit):
        return doubtful(
            work,
            f"{text}. Less than {percent(UNASSIGNED_WARN)} is expected: are the codes those of another year than "
            f"31 December {work.year}?",
            unassigned / total,
        )
    return passed(f"{text}.")


@check(schemas.RAW_BENEFICIARIES, blocking=True, tolerance=0.5)
def same_people_as_the_year_before(work: YearContext) -> Outcome:
    """Most beneficiaries of the year before are there again."""
    table, before = schemas.RAW_BENEFICIARIES, work.year - 1
    if not work.lake.is_usable(table, before):
        return not_applicable(f"{before} has not been built, so there is nothing to compare with.")
    now, then = (Account.of(work.lake, table, year) for year in (work.year, before))
    made_now, made_then = (work.lake.provenance(table, year) for year in (work.year, before))
    if not (now.kept and then.kept):
        return not_applicable(NO_BENEFICIARY if then.kept else f"there is no beneficiary in {before}.")
    if made_now.synthetic != made_then.synthetic:
        return not_applicable(f"of {work.year} and {before} one is real and one is made for demonstration.")
    if now.key_check != then.key_check:
        return not_applicable(
            f"{before} was built with another secret (MM_ID_KEY): build it again, and then this year."
        )
    if now.sample < 1 or then.sample < 1:
        return not_applicable("the deliveries are samples, which need not hold the same people.")
    with _as_it_is_now(work, table, before) as earlier:
        found, of = _looked_for(earlier, then.kept, among=work.read(table))
    text = f"{share_of_people(found, of).capitalize()} of the beneficiaries of {before} are there again"
    least = 1 - work.tolerance
    if found < least * of:
        return failed(
            f"{text}; at least {percent(least)} are needed. Most people stay insured, so one of the two years has other "
            f"pseudonyms, or another population. {COMPARE} Have the wrong year's delivery corrected and build it again; if "
            f"the sender has changed all pseudonyms on purpose, build {work.year} with "
            "MM_TOLERANCES=same_people_as_the_year_before=1.0."
        )
    return passed(f"{text}.")


@check(schemas.RAW_DMG, blocking=True, after=(schemas.RAW_BENEFICIARIES,), step="{check}")
def dmg_of_beneficiaries(work: YearContext) -> Outcome:
    """Most DMGs are of somebody who is a beneficiary.

    Else no DMG elsewhere is ever found, and too many patients count.
    """
    rows = work.lake.written(schemas.RAW_DMG, work.year).rows
    if rows == 0:
        return not_applicable("no row of dmg was kept.")
    if not work.lake.has(schemas.RAW_BENEFICIARIES, work.year):
        return not_applicable("the beneficiaries of the year have not been read.")
    tables = (schemas.RAW_DMG, schemas.RAW_BENEFICIARIES)
    if len({Account.of(work.lake, table, work.year).key_check for table in tables}) > 1:
        return not_applicable("the beneficiaries were read with another secret (MM_ID_KEY).")
    if work.lake.written(schemas.RAW_BENEFICIARIES, work.year).rows == 0:
        return not_applicable(NO_BENEFICIARY)
    found, of = _looked_for(work.read(schemas.RAW_DMG), rows, among=work.read(schemas.RAW_BENEFICIARIES))
    text = f"{share_of_people(found, of).capitalize()} of the DMGs are of a beneficiary"
    if found < STRANGERS_BLOCK * of:
        return failed(
            f"{text}; at least {percent(STRANGERS_BLOCK)} are needed: patients with a DMG at another practice would not be "
            f"found, and would count. {COMPARE} Have the delivery corrected and materialise the year again."
        )
    if found < (1 - STRANGERS_WARN) * of:
        return warning(
            f"{text}; {percent(1 - STRANGERS_WARN)} are expected. The patients of the others may have a DMG at another "
            f"practice, which is not found, and count. {COMPARE} Ask the sender."
        )
    return passed(f"{text}.")


def _looked_for(table: ir.Table, rows: int, *, among: ir.Table) -> tuple[int, int]:
    """How many of some rows of a table are of somebody who is ``among`` others, and of how many."""
    every = max(1, rows // _LOOKED_FOR)
    some, others = (each.filter(each.patient_key % every == 0).select("patient_key") for each in (table, among))
    return int(some.semi_join(others, "patient_key").count().execute()), int(some.count().execute())


@contextmanager
def _as_it_is_now(work: YearContext, table: Table, year: int) -> Iterator[ir.Table]:
    """A table of another year, which a run of that year may replace while it is read."""
    with scratch(work.lake) as own:
        path, kept = work.lake.existing(table, year), own / "part-0.parquet"
        try:
            os.link(path, kept)
        except OSError:  # a file system without links
            shutil.copyfile(path, kept)
        yield work.backend.read_parquet(kept, hive_partitioning=False)


@check(schemas.GEOGRAPHY, blocking=True)
def hierarchy_complete(work: YearContext) -> Outcome:
    """Regions, provinces, arrondissements and municipalities of the year are all there."""
    found = Counter(work.read(schemas.GEOGRAPHY).level.to_pyarrow().to_pylist())
    expected = expected_counts(work.year)
    wrong = [f"{found[level]} of level {level}, {n} expected" for level, n in expected.items() if found[level] != n]
    if not wrong:
        return passed(f"{expected['municipality']} municipalities and all levels above them are there.")
    return failed(
        f"The hierarchy of {work.year} is not complete: {'; '.join(wrong)}. The REFNIS file in data/reference is "
        "probably older than the year: replace it by a newer one, or remove it to use the project's own."
    )

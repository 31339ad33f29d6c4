"""Group ``publication`` (public), what goes out: the release of a year, of all years, and the page.

These assets replace files, and not tables of the lake. Nothing here reads anything above ``protected_rates`` but areas.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.clock import now
from mm_pipeline.defs.assets.common import (
    CONFIDENTIAL,
    PUBLICATION,
    SettingsParam,
    code_version,
    declared,
    described,
    table_spec,
)
from mm_pipeline.defs.assets.protection import assert_checked, assert_cleared, mark_released, rates_by_region
from mm_pipeline.defs.checks import deliveries, patients
from mm_pipeline.defs.checks import rates as rates_checks
from mm_pipeline.defs.checks.framework import Outcome, checks_in, not_applicable, passed, result, warning
from mm_pipeline.defs.contained import contained
from mm_pipeline.defs.metadata import markdown_table
from mm_pipeline.defs.observations import OUTLINES
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.defs.year_context import YearContext, year_context
from mm_pipeline.dimensions import REGION_NAMES
from mm_pipeline.errors import ReleaseError
from mm_pipeline.files.atomic import replacing_folder
from mm_pipeline.files.locks import reading_all_years, switching_a_year
from mm_pipeline.operations.dagster_workarounds import newest_results
from mm_pipeline.operations.sign_off import (
    AWAITS_TAG,
    NOT_HELD,
    Awaited,
    awaited,
    keep_signature,
    released_before,
    signed_before,
    stop_waiting,
    waiting_folder,
)
from mm_pipeline.operations.status import HELD, state_of
from mm_pipeline.reference.areas import in_order, sector_vintage
from mm_pipeline.reference.outlines import outlines_for
from mm_pipeline.release.archive import RELEASES, archive_release, archived_releases, broken_releases
from mm_pipeline.release.codelists import area_codes, read_area_codes
from mm_pipeline.release.files import broken_checksums, manifest_of, sizes, write_checksums
from mm_pipeline.release.history import History, read_history
from mm_pipeline.release.inputs import SERIES, page_version, released_years, series_version
from mm_pipeline.release.metadata.fiche import fiche
from mm_pipeline.release.metadata.provenance import Made
from mm_pipeline.release.revisions import FIRST_OF_YEAR
from mm_pipeline.release.series import thresholds_of, write_series
from mm_pipeline.release.tables import released_rates, released_sensitivity
from mm_pipeline.release.year import AREAS, write_year
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Provenance

SIGNED_CHECK = "signed_off"
_HOLDING = [
    dg.AssetCheckKey(dg.AssetKey(asset), check.name)
    for check in checks_in(deliveries, patients, rates_checks)
    if check.hold_limit is not None
    for asset in check.assets
]
"""The checks that can hold a year. A run of the whole year releases it after they have looked, or others of their step."""
KEPT_CHECK = "earlier_releases_kept"

_BUILD_AGAIN = "Build the year again (job year), and sign what awaits then."

_ROOMS = ("ingest", "reference", "statistic", "disclosure", "release")

_SHOWN_REVISIONS = 100
"""Rows of revisions that the UI shows."""

_OF_AREAS = ("areas", "refnis", "sectors", "geojson")
_OF_TABLES = ("year", "tables", "interval", "standardised", "files", "codelists")
_OF_TEXTS = ("history", "revisions", "metadata", "texts")
_OF_A_YEAR = [*(f"release/{each}" for each in _OF_TABLES + _OF_TEXTS), *(f"reference/{each}" for each in _OF_AREAS)]
_OF_OUTLINES = ["reference/outlines", "reference/provinces"]
_FROM = ["cleared", "protected_rates", "protected_sensitivity", "disclosed_rates", "geography"]

_record_spec = partial(table_spec, PUBLICATION, deps=_FROM, code=_OF_A_YEAR, zone=CONFIDENTIAL)


@dg.multi_asset(
    name="published_year",
    partitions_def=YEARS,
    specs=[
        dg.AssetSpec(
            "published_year",
            deps=_FROM,
            **described(
                PUBLICATION,
                "The release of the year, `data/published/<year>/`: rates, age-standardised rates and the sensitivity to "
                "the threshold as `.csv`, `.excel.csv` (opens by double click) and `.parquet`, code lists, data "
                "dictionary, checksums. The folder is switched in one step. A year that checks doubt seriously is held "
                "until a person releases it; with the setting `MM_SIGN_OFF` on, two people must sign each.",
                table=schemas.RELEASED_RATES,
                code=_OF_A_YEAR,
                kinds={"csv", "parquet"},
                uri="data/published/<year>/rates.csv",
            ),
        ),
        _record_spec(schemas.RELEASES, "Which tables of the year have been released. It cannot be made again."),
        _record_spec(
            schemas.SHOWN_SENSITIVITY, "Which other thresholds than six have been shown. It cannot be made again."
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            SIGNED_CHECK,
            asset="published_year",
            description="Two people have signed what is public, where the setting MM_SIGN_OFF asks for it.",
            partitions_def=YEARS,
        ),
        dg.AssetCheckSpec(
            NOT_HELD,
            asset="published_year",
            description="No check doubts the year beyond its hold limit, or a person has released it all the same.",
            partitions_def=YEARS,
        ),
    ],
)
def published_year(context: dg.AssetExecutionContext, settings: SettingsParam, engine: DuckDBEngine) -> Iterator[Any]:
    with year_context(context, settings, engine) as work:
        assert_checked(work, context.instance)
        with switching_a_year(settings.lake_dir, context.log.info):
            metadata, waiting, signed_off, held = publish_year(work, _doubts(work.year, context.instance))
        # These too where nothing went out: a backfill takes what is not materialised for a failure.
        yield dg.MaterializeResult(schemas.RELEASES.name)
        yield dg.MaterializeResult(schemas.SHOWN_SENSITIVITY.name)
        if waiting:
            tags = {AWAITS_TAG: "people"}
            yield dg.MaterializeResult("published_year", metadata={"awaits": waiting.sentence}, tags=tags)
        else:
            yield dg.MaterializeResult("published_year", metadata=metadata)
        # After what they are of: the UI takes an older result for none.
        yield result("published_year", SIGNED_CHECK, signed_off)
        yield result("published_year", NOT_HELD, held)


def _of_year(settings: Settings, rates: pa.Table, folder: Path) -> dict[str, Any]:
    """What the UI shows of a year's release, whose files lie in ``folder``."""
    country = rates.filter((pc.field("level").isin(["country", "region"])) & (pc.field("dimension") == "total"))
    preview = [
        {
            "area": REGION_NAMES[row["area_code"]],
            "beneficiaries": row["beneficiaries"],
            "patients": row["patients"],
            "rate per 10 000": "" if row["rate_per_10000"] is None else round(row["rate_per_10000"], 1),
        }
        for row in country.to_pylist()
        if row["status"] == "published"
    ]
    return {
        "dagster/row_count": rates.num_rows,
        "synthetic": rates["synthetic"][0].as_py(),
        "files": _files(folder),
        "preview": markdown_table(preview),
        "rates_by_region": rates_by_region(settings),
    }


def _doubts(year: int, instance: dg.DagsterInstance) -> list[str]:
    """What the checks say that hold the year."""
    newest = newest_results(instance, _HOLDING, year)
    return [
        f"{key.asset_key.to_user_string()}, {key.name}: {results[0].description}"
        for key, results in newest.items()
        if any(state_of(each) == HELD for each in results)
    ]


def _held(settings: Settings, year: int, manifest: str, doubts: Sequence[str], waiting: Awaited | None) -> Outcome:
    """Whether a person has released the content that checks doubt. ``waiting``: what is not public yet."""
    if not doubts:
        return passed("No check doubts the year beyond its hold limit.")
    if waiting and waiting.is_held:
        return Outcome(HELD, waiting.sentence, {"manifest": manifest})
    if waiting:
        return passed("Checks doubt the year beyond their hold limits, and a person has released it all the same.")
    if released_before(settings, year, manifest):
        return passed(
            f"{len(doubts)} checks doubt the year beyond their hold limits, and a person has released it all the same: "
            "data/sign-off/history says who, and why."
        )
    return warning(
        f"{' '.join(doubts)} What is public of {year} has the same figures, and was released before it could be held. Ask "
        "the sender; if it is wrong, have it corrected and build the year again."
    )


def _signed_off(settings: Settings, year: int, manifest: str, waiting: Awaited | None) -> Outcome:
    """Whether two people have signed the release. ``waiting``: what is not public yet."""
    if not settings.sign_off:
        return not_applicable("MM_SIGN_OFF is off, so nobody needs to sign.")
    if waiting and not waiting.is_signed:
        return warning(waiting.sentence, manifest=manifest)
    if waiting:
        return passed(f"What waits of {year} is signed by {len(waiting.names)} people.", manifest=manifest)
    if signers := len(signed_before(settings, year, manifest).signed_by):
        return passed(f"The release of {year} is signed by {signers} people.", manifest=manifest)
    return warning(
        f"Nobody has signed what is public of {year}: it was released before MM_SIGN_OFF was on, or where it is off (set it "
        "alike for the UI and every command line).",
        manifest=manifest,
    )


def publish_year(
    work: YearContext, doubts: Sequence[str] = ()
) -> tuple[dict[str, Any], Awaited | None, Outcome, Outcome]:
    """Write the year's folder, mark what goes out, and switch. Of a year that awaits people nothing goes out or is marked
    (:mod:`mm_pipeline.operations.sign_off`).

    ``doubts``: what the checks say that hold the year. Returns what the UI shows of the release, what it awaits, and the
    outcomes of ``signed_off`` and ``not_held``.

    The switch is the last thing that can fail; all else is worked out before. ReleaseError where the protected tables have
    not passed their checks, or the areas are not those the year was built with any more.
    """
    settings, provenance = work.settings, work.lake.provenance(schemas.PROTECTED_RATES, work.year)
    geography = work.lake.provenance(schemas.GEOGRAPHY, work.year)
    references = {name: sha256 for name, sha256 in provenance.sources.items() if name.startswith("references/")}
    if geography.sources != references:
        raise ReleaseError(
            f"geography of {work.year} was made from other files than protected_rates. Nothing was released. Build it again "
            "as a whole (job year)."
        )
    tables = (schemas.PROTECTED_RATES, schemas.PROTECTED_SENSITIVITY, schemas.GEOGRAPHY)
    protected, sensitivity, every_area = (work.read(table).to_pyarrow() for table in tables)
    year_areas, synthetic = in_order(every_area), provenance.synthetic
    vintage = sector_vintage(geography.details["files"])
    rates = released_rates(protected, year_areas, sector_vintage=vintage, synthetic=synthetic)
    assert_cleared(work)

    def fill(folder: Path) -> None:
        write_year(
            folder,
            work.year,
            rates=rates,
            sensitivity=released_sensitivity(sensitivity, year_areas, synthetic=synthetic),
            areas=area_codes(year_areas, work.year),
            made=Made(
                deliveries=_fingerprints(provenance, "deliveries"),
                references=_fingerprints(provenance, "references"),
                code={room: code_version(room) for room in _ROOMS},
                thresholds={
                    "threshold": settings.minimum_forfaits,
                    "disclosure_threshold": settings.disclosure_threshold,
                },
                settings=settings.fingerprint(),
            ),
        )

    def outcomes(manifest: str, waiting: Awaited | None) -> tuple[Outcome, Outcome]:
        return (
            _signed_off(settings, work.year, manifest, waiting),
            _held(settings, work.year, manifest, doubts, waiting),
        )

    waiting, waits_first = None, settings.sign_off or bool(doubts)
    if waits_first:
        with waiting_folder(settings, work.year, doubts) as folder:
            fill(folder)
        waiting = awaited(settings, work.year)
        if waiting and not waiting.is_complete:
            return {}, waiting, *outcomes(waiting.manifest, waiting)
    with replacing_folder(settings.published_dir / str(work.year)) as folder:
        if waits_first:
            shutil.copytree(settings.awaiting_dir / str(work.year), folder, dirs_exist_ok=True)
            if waiting and (manifest_of(folder) != waiting.manifest or broken_checksums(folder)):
                raise ReleaseError(
                    f"data/awaiting/{work.year} changed while it was made public. Nothing was released. {_BUILD_AGAIN}"
                )
        else:
            fill(folder)
        metadata = _of_year(settings, rates, folder)
        mark_released(work)
        if waiting:
            keep_signature(settings, waiting)
        looked = outcomes(manifest_of(folder), None)
    stop_waiting(settings, work.year)
    return metadata, None, *looked


def _fingerprints(provenance: Provenance, kind: str) -> dict[str, dict[str, str]]:
    files = ((name.partition("/"), sha256) for name, sha256 in sorted(provenance.sources.items()))
    return {file: {"sha256": sha256} for (of_kind, _slash, file), sha256 in files if of_kind == kind}


def _files(folder: Path) -> dg.MarkdownMetadataValue:
    """The files of a released folder and their sizes; what lies in a folder below is one row, to be short."""
    rows: dict[str, list[int]] = {}
    for name, size in sizes(folder).items():
        top, slash, _below = name.partition("/")
        rows.setdefault(top + slash, []).append(size)
    return markdown_table(
        [{"file": f"{name} ({len(of)})" if name.endswith("/") else name, "bytes": sum(of)} for name, of in rows.items()]
    )


# Since the last request: an update that is seen while another year is being built waits for that and is not forgotten.
# Nothing more than "newly updated" is matched, so that Dagster knows its time: of an update and a request that it sees
# together, the later one counts, and a year that comes during a refresh asks for the next.
_UPDATED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated()).since(
    dg.AutomationCondition.newly_requested()
)
_NOTHING_GOING_ON = ~dg.AutomationCondition.any_deps_in_progress() & ~dg.AutomationCondition.in_progress()
REFRESH_SERIES = (_UPDATED & _NOTHING_GOING_ON).with_label("a year was rebuilt")
# In the same run as the series; or after it, when it was made by hand.
REFRESH_PAGE = (
    (
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
        | dg.AutomationCondition.any_deps_updated().since(dg.AutomationCondition.newly_requested())
    )
    & _NOTHING_GOING_ON
).with_label("the series was made again")


@dg.asset(
    deps=["published_year"],
    automation_condition=REFRESH_SERIES,
    **declared(
        PUBLICATION,
        "The release of all years, `data/published/series/`: the tables of all years in one, workbooks in four languages, "
        "the fiche of the statistic, metadata for catalogues, provenance, and the changelog with the number of cells that "
        "changed. Made again by itself when a year was rebuilt; the folder is switched in one step.",
        table=schemas.RELEASED_RATES,
        code=["release/series", "release/workbook", "release/archive", *_OF_A_YEAR],
        kinds={"csv", "parquet", "excel"},
        yearly=False,
        uri="data/published/series/rates.csv",
    ),
    check_specs=[
        dg.AssetCheckSpec(
            KEPT_CHECK,
            asset="published_series",
            description="The earlier releases are there as they were: they match their checksums, and the changelog.",
        )
    ],
)
def published_series(context: dg.AssetExecutionContext, settings: SettingsParam) -> Iterator[Any]:
    place, releases = settings.published_dir / SERIES, settings.published_dir / RELEASES
    with (
        contained(settings, "published_series"),
        reading_all_years(settings.lake_dir, context.log.info),
        replacing_folder(place) as folder,
    ):
        years = {year: settings.published_dir / str(year) for year in released_years(settings)}
        version = series_version(settings)
        history = write_series(
            folder,
            years,
            earlier=place,
            today=now().date(),
            code={"release": code_version("release")},
            base_url=f"{settings.release_url}{SERIES}/" if settings.release_url else "",
        )
        metadata: dict[str, Any] = {
            "dagster/row_count": pq.read_metadata(folder / "rates.parquet").num_rows,
            "release": f"{history.release.number} of {history.release.date.isoformat()}",
            "years": history.release.span,
            "notes": " ".join(history.notes) or "none",
            "changed_cells": _changes(history),
            "revisions": _revisions(history),
            "files": _files(folder),
            "rates_by_region": rates_by_region(settings),
            "kept": archive_release(place, history, releases),
        }
        earlier = result("published_series", KEPT_CHECK, _earlier_releases(releases, history))
    yield dg.MaterializeResult(data_version=dg.DataVersion(version), metadata=metadata)
    yield earlier


def _changes(history: History) -> dg.MarkdownMetadataValue:
    """Cells of this release that differ from the one before, by year; of areas, not of people."""
    entry = history.entries[0]
    return markdown_table(
        [
            {"year": year, **_readable(asdict(of)), "why": ", ".join(entry.reasons.get(year, ()))}
            for year, of in sorted(entry.changes.items())
            if not of.none
        ]
    )


def _revisions(history: History) -> dg.MarkdownMetadataValue:
    """The rows of this release in ``revisions``; without the years that are new, of which every row is."""
    rows = history.revisions.filter(pc.field("release") == history.release.number).to_pylist()
    rows = [_readable(row) for row in rows if row["reasons"] != FIRST_OF_YEAR]
    for row in rows:
        del row["release"], row["release date"]
    table, more = markdown_table(rows[:_SHOWN_REVISIONS]), len(rows) - _SHOWN_REVISIONS
    if more <= 0:
        return table
    return dg.MetadataValue.md(f"{table.value}\n\nAnd {more} more, in data/published/series/revisions.csv.")


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    largest = row["largest_change"]
    shown = {**row, "largest_change": "" if largest is None else round(largest, 2)}
    return {name.replace("_", " "): value for name, value in shown.items()}


def _earlier_releases(releases: Path, history: History) -> Outcome:
    if faults := broken_releases(releases, history):
        return warning(
            f"data/published/{RELEASES}: {'; '.join(faults)}. Somebody changed an earlier release, or it was lost: put its "
            "folder back from a copy. The newest release does not depend on it."
        )
    if not (kept := archived_releases(releases)):
        return not_applicable("no earlier release is kept yet.")
    return passed(f"Earlier releases, as they were: {', '.join(folder.name for folder in kept)}.")


@dg.asset(
    deps=["published_series", OUTLINES],
    automation_condition=REFRESH_PAGE,
    **declared(
        PUBLICATION,
        "The atlas, a page for everybody: `data/published/atlas/index.html`, opens by double click. Map and trend of every "
        "area, down to the municipalities and sectors where `data/reference/` has their outlines (else the provinces).",
        code=["release/atlas", *_OF_OUTLINES, *_OF_A_YEAR],
        kinds={"html"},
        yearly=False,
        uri="data/published/atlas/index.html",
    ),
)
def atlas_page(settings: SettingsParam) -> dg.MaterializeResult:
    series, place = settings.published_dir / SERIES, settings.published_dir / "atlas"
    with contained(settings, "atlas_page"):
        from mm_pipeline.release.atlas.page import write_atlas

        if not series.is_dir():
            raise ReleaseError("data/published/series is not there. Materialise published_series first.")
        version, history = page_version(settings), read_history(series)
        if broken := broken_checksums(series):
            raise ReleaseError(
                f"data/published/series: {', '.join(broken)} not as in SHA256SUMS. Materialise published_series again."
            )
        outlines = outlines_for(settings.reference_dir, history.release.years)
        with replacing_folder(place) as folder:
            write_atlas(
                folder,
                rates=pq.ParquetFile(series / "rates.parquet").read(),
                standardised=pq.ParquetFile(series / "standardised.parquet").read(),
                areas=read_area_codes(series / AREAS),
                outlines=outlines,
                fiche=fiche(history.release, *thresholds_of(series)),
                release=history.release,
            )
            write_checksums(folder)
            vintages = {of.year: of for of in outlines.values()}
            metadata: dict[str, Any] = {
                "page": dg.MetadataValue.path(str((place / "index.html").relative_to(settings.data_dir.parent))),
                "release": f"{history.release.number} of {history.release.date.isoformat()}",
                "outlines": "; ".join(f"{', '.join(of.areas)}: {of.source}" for of in vintages.values()),
                "files": _files(folder),
                "rates_by_region": rates_by_region(settings),
            }
        return dg.MaterializeResult(data_version=dg.DataVersion(version), metadata=metadata)

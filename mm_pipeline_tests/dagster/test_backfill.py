"""From deliveries to the release through Dagster: what is built, what is skipped and why, what a broken delivery does."""

import json
import os
import re
import subprocess
import sys
from datetime import datetime

import dagster as dg
import pyarrow.parquet as pq
import pytest
import time_machine
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from mm_pipeline import schemas
from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.assets import common
from mm_pipeline.ingest.contract import DATASETS
from mm_pipeline.operations import backfill as backfill_module
from mm_pipeline.operations.backfill import BUILT, FAILED_YEAR, UP_TO_DATE, YearResult
from mm_pipeline.operations.staleness import Ledger
from mm_pipeline.operations.status import FAILED, NOT_APPLICABLE, PASSED, STATES
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.installation import YEARS, Installation, announce, change_a_byte, checks_of_year

TABLES = {
    f"{name}.{suffix}"
    for name in ("rates", "standardised", "sensitivity")
    for suffix in ("csv", "excel.csv", "parquet")
}
REVISIONS = {f"revisions.{suffix}" for suffix in ("csv", "excel.csv", "parquet")}
LISTS = {
    f"codelists/{name}.csv" for name in ("area", "level", "dimension", "category", "status", "reliability", "rule")
}
OF_A_YEAR = TABLES | LISTS | {"datapackage.json", "sources.json", "SHA256SUMS"}
OF_THE_SERIES = (
    TABLES
    | REVISIONS
    | LISTS
    | {f"stat_003_007{language}.xlsx" for language in ("", ".fr", ".nl", ".de")}
    | {f"fiche.{form}" for form in ("html", "fr.json", "nl.json", "de.json", "en.json")}
    | {
        "datapackage.json",
        "dcat.jsonld",
        "CITATION.cff",
        "CHANGELOG.md",
        "changelog.json",
        "provenance.json",
        "SHA256SUMS",
    }
)


TWO_MUNICIPALITIES = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"CD_MUNTY_REFNIS": code},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[east, 51.0], [east + 0.1, 51.0], [east + 0.1, 51.1], [east, 51.1], [east, 51.0]]],
            },
        }
        for code, east in (("11002", 4.3), ("11001", 4.4))
    ],
}


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def outcomes(results):
    return {result.year: result.outcome for result in results}


def stale_assets(state):
    return {reason.split(":")[0].split(" ")[0] for reason in state.reasons}


def test_every_year_is_built_and_released(built_with_results):
    installation, results = built_with_results
    assert outcomes(results) == dict.fromkeys(YEARS, BUILT)
    for result in results:
        assert not result.problems
        assert result.checks.get(FAILED, 0) == 0
        assert set(result.checks) <= set(STATES)
        assert result.synthetic
        assert result.figures is not None
        assert result.seconds > 0
        assert files(installation.settings.published_dir / str(result.year)) == OF_A_YEAR
    assert files(installation.settings.published_dir / "series") == OF_THE_SERIES
    assert {path.name for path in installation.settings.published_dir.iterdir()} == {
        *map(str, YEARS),
        "series",
        "atlas",
    }
    series = pq.read_table(installation.settings.published_dir / "series" / "rates.parquet")
    assert sorted(set(series["year"].to_pylist())) == YEARS
    assert set(series["synthetic"].to_pylist()) == {True}
    assert "SYNTHETIC" in (installation.settings.published_dir / "atlas" / "index.html").read_text().upper()


def test_years_without_sectors_have_none(built):
    for year in YEARS:
        rates = pq.read_table(built.settings.published_dir / str(year) / "rates.parquet")
        assert ("sector" in rates["level"].to_pylist()) == (year >= 2005)


def test_every_asset_is_materialised_in_every_year(built):
    with built.backfill() as (backfill, instance):
        ledger = backfill.ledger()
        assert len(ledger.yearly_assets) == 15
        for name in ledger.yearly_assets:
            assert instance.get_materialized_partitions(dg.AssetKey(name)) == set(map(str, YEARS)), name
        assert ledger.series_assets == ["published_series", "atlas_page"]
        for name in ledger.series_assets:
            assert instance.get_latest_materialization_event(dg.AssetKey(name)) is not None
        assert {path.parent.parent.name for path in built.settings.lake_dir.glob("*/year=2005/*")} == set(
            schemas.LAKE_TABLES
        )


def test_every_check_has_a_status_in_every_year(built):
    """Dagster 1.13 stores the results of partitioned checks without their partition when one run covers several
    partitions (``single_run``, ``multi_run``); the UI then shows "Skipped". So: no such policy, and read each back."""
    with built.backfill() as (backfill, instance):
        keys = {key for key in backfill._graph.asset_check_keys if backfill._graph.get(key).partitions_def}
        assert len(keys) == 63
        for year in YEARS:
            newest = checks_of_year(instance, keys, year)
            assert set(newest) == set(keys)
            for key, record in newest.items():
                assert record.partition == str(year), key
                assert record.status in (Status.SUCCEEDED, Status.FAILED), key
                evaluation = record.event.dagster_event.asset_check_evaluation_data
                assert evaluation.partition == str(year)
                assert evaluation.passed or evaluation.severity == dg.AssetCheckSeverity.WARN, evaluation.description
                assert evaluation.description, key


def test_no_asset_has_a_backfill_policy():
    graph = build_definitions().resolve_asset_graph()
    assert {graph.get(key).backfill_policy for key in graph.get_all_asset_keys()} == {None}


def test_a_check_that_did_not_look_is_not_counted_as_passed(built_with_results):
    """2004 has no sectors, 2003 was not built: both are said."""
    installation, results = built_with_results
    first = results[0].checks
    assert first[NOT_APPLICABLE] >= 4
    assert first[PASSED] + first[NOT_APPLICABLE] + first.get("warning", 0) == 63
    with installation.backfill() as (backfill, instance):
        coverage = dg.AssetCheckKey(dg.AssetKey("sector_rates"), "sector_coverage")
        record = checks_of_year(instance, backfill._graph.asset_check_keys, 2004)[coverage]
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        assert evaluation.metadata["outcome"].value == NOT_APPLICABLE
        assert evaluation.description.startswith("Not applicable: ")


def test_what_dagster_keeps_holds_no_pseudonym_and_no_small_number_of_people(built):
    """The event log is outside the restricted zones."""
    smallest = built.settings.disclosure_threshold
    pseudonyms = pq.read_table(built.raw(2005) / "dmg.parquet")["patient_id"].to_pylist()
    with built.backfill() as (backfill, instance):
        for name in backfill.ledger().yearly_assets:
            event = instance.get_latest_materialization_event(dg.AssetKey(name))
            metadata = event.asset_materialization.metadata
            assert metadata["seconds"].value >= 0 if "seconds" in metadata else name in ("cleared", "published_year")
            # Of contributions there are fewer than 50 rows, of which none is told.
            assert "dagster/row_count" in metadata or name in ("cleared", "raw_contributions")
            for key in ("dagster/row_count", "beneficiaries", "patients_at_threshold", "excluded_by_another_dmg"):
                if key in metadata and name not in ("geography", "published_year"):
                    value = metadata[key].value
                    assert isinstance(value, str) or value == 0 or value >= smallest
        for year in YEARS:
            for key, record in checks_of_year(instance, backfill._graph.asset_check_keys, year).items():
                metadata = record.event.dagster_event.asset_check_evaluation_data.metadata
                for counted in ("found", "looked_at", "appeared", "vanished"):
                    value = metadata[counted].value if counted in metadata else 0
                    assert isinstance(value, str) or value == 0 or value >= smallest, (key, counted)
        log = b"".join(path.read_bytes() for path in (built.root / "dagster").rglob("*.db"))
    pattern = re.compile(rb"synh?[0-9a-f]{16}")
    assert all(pattern.fullmatch(pseudonym.encode()) for pseudonym in pseudonyms)
    assert not pattern.search(log)
    houses = {row["house_id"] for year in YEARS for row in houses_of(built, year)}
    assert houses
    assert not houses & set(re.findall(r"\w+", log.decode(errors="replace")))


def houses_of(installation, year):
    return pq.read_table(Lake(installation.settings.lake_dir).path(schemas.HOUSES, year), partitioning=None).to_pylist()


def test_again_everything_is_up_to_date_and_nothing_runs(built):
    before = built.results()
    with built.backfill() as (backfill, instance):
        runs = instance.get_runs_count()
        results = backfill.years(YEARS)
        assert outcomes(results) == dict.fromkeys(YEARS, UP_TO_DATE)
        assert instance.get_runs_count() == runs
    assert built.results() == before


def test_skipped_years_show_the_checks_and_figures_of_their_run(built_with_results):
    installation, first = built_with_results
    with installation.backfill() as (backfill, _instance):
        again = backfill.years(YEARS)
    for was, is_ in zip(first, again, strict=True):
        assert is_.checks == was.checks
        assert is_.figures == was.figures
        assert is_.synthetic


def test_an_installation_may_be_moved(copy):
    """Nothing of "up to date" depends on where the data folder lies."""
    with copy.backfill() as (backfill, _instance):
        assert outcomes(backfill.years(YEARS)) == dict.fromkeys(YEARS, UP_TO_DATE)


def test_a_rerun_writes_the_same_bytes(copy):
    """On another day too: the release of the same figures keeps its number and date."""
    before = copy.results()
    of_the_year = {path for path in before if {"year=2005", "2005"} & set(path.parts)}
    assert len(of_the_year) == 2 * (len(schemas.LAKE_TABLES) + len(DATASETS)) + len(OF_A_YEAR)  # quarantines, checksums
    with time_machine.travel(datetime(2027, 8, 1)), copy.backfill() as (backfill, _instance):
        assert outcomes(backfill.years([2005], force=True)) == {2005: BUILT}
    assert copy.results() == before


def test_a_changed_byte_makes_only_that_year_stale(copy):
    change_a_byte(copy.raw(2005))
    with copy.backfill() as (backfill, _instance):
        ledger = backfill.ledger()
        assert [ledger.state(year).is_up_to_date for year in YEARS] == [True, False, True]
        state = ledger.state(2005)
        file, manifest = state.changes
        assert re.fullmatch(
            r"forfaits.csv.gz has changed \(SHA-256 was [0-9a-f]{12}\.\.\., now [0-9a-f]{12}\.\.\.\)", file
        )
        assert manifest.startswith("manifest.json has changed (SHA-256 was ")
        assert f"raw_forfaits: {file}; {manifest}" in state.reasons
        assert f"raw_dmg: {manifest}" in state.reasons
        assert state.is_new_delivery
        assert not ledger.state(2004).is_new_delivery


def test_a_new_version_of_the_manifest_makes_the_year_stale(copy):
    path = copy.raw(2006) / "manifest.json"
    path.write_text(path.read_text().replace('"extracted_on"', '"extracted_by": "x", "extracted_on"'))
    with copy.backfill() as (backfill, _instance):
        ledger = backfill.ledger()
        assert [ledger.state(year).is_up_to_date for year in YEARS] == [True, True, False]


def test_only_the_stale_year_is_built_again_and_the_series_after_it(copy):
    """Also when the backfill was interrupted between the year and the series."""
    change_a_byte(copy.raw(2005))
    before = copy.results(2004, 2006)
    with copy.backfill() as (backfill, instance):
        runs = instance.get_runs_count()
        backfill._refresh_series = interrupted
        with pytest.raises(KeyboardInterrupt):
            backfill.years(YEARS)
        assert instance.get_runs_count() == runs + 1, "2005 only"
    with copy.backfill() as (backfill, instance):
        assert not backfill.ledger().is_series_up_to_date()
        assert outcomes(backfill.years(YEARS)) == dict.fromkeys(YEARS, UP_TO_DATE)
        assert backfill.ledger().is_series_up_to_date()
        assert instance.get_runs_count() == runs + 2, "the series"
    assert copy.results(2004, 2006) == before


def test_of_years_side_by_side_only_the_stale_one_gets_a_process(copy, monkeypatch):
    given = []

    class Processes:
        def __init__(self, settings, processes, builder):
            assert processes == 2
            with builder(copy.settings) as build:  # as a process would
                assert build(2004, force=False, on_wait=print, on_event=print).outcome == UP_TO_DATE

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def until_free_for(self, year, on_wait, on_step):
            return iter(())

        def build(self, year, force):
            given.append(year)

        def rest(self, on_wait, on_step):
            return (YearResult(year, BUILT) for year in given)

    monkeypatch.setattr(backfill_module, "SideBySide", Processes)
    change_a_byte(copy.raw(2005))
    with copy.backfill(processes=2) as (backfill, _instance):
        assert outcomes(backfill.years(YEARS)) == {2004: UP_TO_DATE, 2005: BUILT, 2006: UP_TO_DATE}
    assert given == [2005]


def interrupted(*_arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"minimum_forfaits": 5}, "MM_THRESHOLD was 6, now 5"),
        ({"disclosure_threshold": 10}, "MM_DISCLOSURE_THRESHOLD was 5, now 10"),
        ({"aliases": {"HOUSE": "house_id"}}, "MM_ALIASES was not set, now HOUSE=house_id"),
    ],
    ids=str,
)
def test_a_changed_setting_makes_every_year_stale(built, change, why):
    with built.backfill(**change) as (backfill, _instance):
        ledger = backfill.ledger()
        for year in YEARS:
            state = ledger.state(year)
            assert stale_assets(state) >= {"raw_forfaits", "raw_dmg", "raw_beneficiaries"}
            assert state.changes == (why,)
            assert not state.is_new_delivery


@pytest.mark.parametrize("change", [{"threads": 1}, {"memory_limit": "2GB"}, {"quarantine_limit": 0.5}], ids=str)
def test_a_setting_that_changes_no_figure_does_not(built, change):
    with built.backfill(**change) as (backfill, _instance):
        assert all(backfill.ledger().state(year).is_up_to_date for year in YEARS)


def test_another_code_version_makes_every_year_stale(built):
    def newer(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(code_version="newer") if spec.key.path == ["sector_rates"] else spec

    definitions = build_definitions(settings=built.settings).map_asset_specs(func=newer)
    with built.instance() as instance:
        ledger = Ledger(instance, definitions.resolve_asset_graph(), built.settings)
        for year in YEARS:
            (reason,) = ledger.state(year).reasons
            assert re.fullmatch(
                r"sector_rates was built by another version of the code \([0-9a-f]{12}; now newer\)", reason
            )
            assert not ledger.state(year).is_new_delivery, "nobody delivered anything"


def test_the_code_version_follows_the_source_of_the_rooms(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "_PACKAGE", tmp_path)
    (tmp_path / "room").mkdir()
    sources = {name: tmp_path / name for name in ("schemas.py", "room/a.py", "room/page.py", "room/page.html")}
    for path in sources.values():
        path.write_text("1")

    def version(*rooms: str) -> str:
        common.code_version.cache_clear()
        return common.code_version(*rooms)

    try:
        for changed, room, other in (
            ("schemas.py", "room", None),
            ("room/a.py", "room", "room/page"),
            ("room/page.html", "room/page", "room/a"),
        ):
            before, before_other = version(room), version(other) if other else ""
            for passing in ("__pycache__", ".hidden"):
                (tmp_path / "room" / passing).mkdir(exist_ok=True)
                (tmp_path / "room" / passing / ".a.pyc.140000").write_text(changed)
            (tmp_path / "room" / ".a.py.swp").write_text(changed)
            assert version(room) == before, "what is there for a moment only"
            sources[changed].write_text("2 " + changed)
            assert version(room) != before, changed
            assert not other or version(other) == before_other, changed
    finally:
        common.code_version.cache_clear()


@pytest.mark.parametrize("name", ["sector_rates", "published_year"])
def test_a_lost_file_makes_the_year_stale(copy, name):
    lake = copy.settings.lake_dir / "sector_rates" / "year=2005" / "part-0.parquet"
    (lake if name == "sector_rates" else copy.settings.published_dir / "2005" / "rates.parquet").unlink()
    with copy.backfill() as (backfill, _instance):
        ledger = backfill.ledger()
        assert ledger.state(2005).reasons == (f"{name}: its file is not there any more",)
        assert ledger.state(2006).is_up_to_date


def test_a_table_made_again_by_hand_makes_what_follows_stale(copy):
    with copy.backfill() as (backfill, instance):
        graph = build_definitions(settings=copy.settings)
        job = graph.resolve_implicit_global_asset_job_def()
        job.execute_in_process(partition_key="2005", instance=instance, asset_selection=[dg.AssetKey("geography")])
        assert backfill.ledger().state(2005).reasons == (
            "beneficiary_counts is older than geography",
            "threshold_counts is older than geography",
            "houses is older than geography",
            "sector_rates is older than geography",
            "published_year is older than geography",
        )
        assert backfill.ledger().state(2004).is_up_to_date


class TestSeries:
    """What is made from all years follows them."""

    @pytest.mark.parametrize("lost", ["series/rates.parquet", "atlas/index.html"])
    def test_is_made_again_when_its_file_is_lost(self, copy, lost):
        path = copy.settings.published_dir / lost
        before = path.read_bytes()
        path.unlink()
        with copy.backfill() as (backfill, _instance):
            backfill.years(YEARS)
        assert path.read_bytes() == before

    def test_that_fails_is_told(self, copy, monkeypatch):
        (copy.settings.published_dir / "series" / "rates.parquet").unlink()
        broken = copy.settings.published_dir / "2004" / "rates.parquet"
        broken.write_bytes(b"no Parquet")
        with copy.backfill() as (backfill, _instance):
            results = backfill.years(YEARS)
            assert outcomes(results) == dict.fromkeys(YEARS, UP_TO_DATE)
            (problem,) = backfill.series_problems
        assert problem.startswith("published_series: ")

    def test_a_year_that_an_earlier_version_released_stops_it_in_words(self, copy):
        """A series without that year would have lost it; the old one stays."""
        before = {path: content for path, content in copy.results().items() if "series" in path.parts}
        (copy.settings.published_dir / "2004" / "sources.json").unlink()
        (copy.settings.published_dir / "atlas" / "index.html").unlink()
        with copy.backfill() as (backfill, _instance):
            backfill.years(YEARS)
            (problem,) = backfill.series_problems
        assert problem.startswith(
            "published_series: data/published/2004: sources.json not there or not as in SHA256SUMS"
        )
        assert {path: content for path, content in copy.results().items() if "series" in path.parts} == before

    def test_new_outlines_make_the_page_again(self, copy):
        outlines = copy.settings.reference_dir / "municipalities_2004.geojson"
        outlines.parent.mkdir(exist_ok=True)
        outlines.write_text(json.dumps(TWO_MUNICIPALITIES))
        with copy.backfill() as (backfill, _instance):
            assert not backfill.ledger().is_series_up_to_date()
            assert outcomes(backfill.years(YEARS)) == dict.fromkeys(YEARS, UP_TO_DATE), "no figure depends on outlines"
            assert backfill.series_problems == []
            assert backfill.ledger().is_series_up_to_date()
        assert "municipalities 2004" in (copy.settings.published_dir / "atlas" / "index.html").read_text()

    def test_bad_outlines_stop_the_page_alone_and_say_why(self, copy):
        before = (copy.settings.published_dir / "atlas" / "index.html").read_bytes()
        outlines = copy.settings.reference_dir / "municipalities_2004.geojson"
        outlines.parent.mkdir(exist_ok=True)
        outlines.write_text("{")
        with copy.backfill() as (backfill, _instance):
            assert outcomes(backfill.years([2004], force=True)) == {2004: BUILT}
            (problem,) = backfill.series_problems
        assert problem.startswith("atlas_page: ")
        assert "municipalities_2004.geojson" in problem
        assert (copy.settings.published_dir / "atlas" / "index.html").read_bytes() == before


class TestBrokenDelivery:
    """A delivery that breaks its contract fails its year in words, and changes nothing that was published."""

    @pytest.fixture
    def broken(self, copy: Installation) -> Installation:
        (copy.raw(2005) / "dmg.parquet").unlink()
        forfaits = copy.raw(2006) / "forfaits.csv.gz"
        forfaits.write_bytes(forfaits.read_bytes()[:5000])
        announce(copy.raw(2006))  # the file itself is what is wrong, not its checksum
        return copy

    def test_fails_its_year_and_leaves_the_release(self, broken, built_with_results):
        published = {path: content for path, content in broken.results().items() if "published" in path.parts}
        other = broken.results(2004)
        with broken.backfill() as (backfill, instance):
            results = backfill.years(YEARS)
            assert outcomes(results) == {2004: UP_TO_DATE, 2005: FAILED_YEAR, 2006: FAILED_YEAR}
            assert backfill.ledger().state(2005).reasons == ("waiting for dmg",)
            assert "raw_forfaits" in stale_assets(backfill.ledger().state(2006))
            assert backfill.ledger().is_made("published_year", 2006), "the earlier result is still there"

            assert [result.figures for result in results] == [result.figures for result in built_with_results[1]]

            missing, cut = results[1].problems, results[2].problems
            assert len(missing) == len(cut) == 1
            assert missing[0].startswith("raw_dmg, delivery_contract: 2005: dmg is missing; expected dmg.parquet or ")
            assert cut[0].startswith(
                "raw_forfaits, delivery_contract: 2006/forfaits.csv.gz: the gzip file ends too early"
            )

            for name, year, text in (("raw_dmg", 2005, missing[0]), ("raw_forfaits", 2006, cut[0])):
                key = dg.AssetCheckKey(dg.AssetKey(name), "delivery_contract")
                record = checks_of_year(instance, [key], year)[key]
                assert (record.status, record.partition) == (Status.FAILED, str(year))
                evaluation = record.event.dagster_event.asset_check_evaluation_data
                assert evaluation.blocking
                assert evaluation.severity == dg.AssetCheckSeverity.ERROR
                assert text == f"{name}, delivery_contract: {evaluation.description}"
                before = checks_of_year(instance, [key], 2004)[key]
                assert before.status == Status.SUCCEEDED
        after = broken.results()
        assert {path: after[path] for path in published} == published
        assert broken.results(2004) == other

    def test_that_is_taken_back_before_it_was_tried_changes_nothing(self, broken, built):
        (broken.raw(2005) / "dmg.parquet").write_bytes((built.raw(2005) / "dmg.parquet").read_bytes())
        with broken.backfill() as (backfill, _instance):
            assert outcomes(backfill.years([2005])) == {2005: UP_TO_DATE}


def test_a_process_that_has_worked_ends_without_a_word(copy: Installation) -> None:
    """DuckDB tells at the end of a process of connections that were never collected."""
    command = [sys.executable, "-m", "mm_pipeline.cli", "backfill", "--years", str(YEARS[0]), "--force"]
    environment = os.environ | {"MM_DATA_DIR": str(copy.settings.data_dir), "DAGSTER_HOME": "", "MM_PROCESSES": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert f"{YEARS[0]} " in done.stdout  # it stops at the check of areas, which are few here
    assert done.stderr == ""

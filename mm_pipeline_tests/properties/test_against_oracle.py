"""The engine against the independent oracle, cell for cell, on random deliveries in random file formats."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from mm_pipeline import schemas
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.statistic.sensitivity import LEVELS, threshold_counts
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.properties.oracle import sensitivity, statistic
from mm_pipeline_tests.properties.strategies import (
    PLAIN_FORMATS,
    Delivery,
    deliveries,
    formats,
    oddities,
    write_delivery,
)
from mm_pipeline_tests.support import worked_example
from mm_pipeline_tests.support.examples import examples
from mm_pipeline_tests.support.pipeline import build_year, geography_table, rates_of, settings_for, table_of


def build(data_dir: Path, delivery: Delivery, chosen=PLAIN_FORMATS, **changes):
    """Write the delivery, run the engine on it, return its settings and its accounts."""
    own = settings_for(data_dir, **changes)
    write_delivery(own.raw_dir / str(delivery.year), delivery, chosen)
    return own, build_year(own, delivery.year, geography_table(delivery.areas))


def expected(delivery: Delivery):
    return statistic(delivery.year, delivery.forfaits, delivery.beneficiaries, delivery.dmg, delivery.areas)


@examples(40, quick=8)
@given(delivery=deliveries(), chosen=formats())
def test_engine_equals_oracle(delivery, chosen):
    for oddity in oddities(delivery):
        event(oddity)
    oracle = expected(delivery)
    with tempfile.TemporaryDirectory() as folder:
        own, accounts = build(Path(folder), delivery, chosen)
        assert rates_of(own, delivery.year) == oracle.rates
        found = {name: (a.delivered, a.kept, a.ignored, a.quarantined) for name, a in accounts.items() if a.file}
        assert found == oracle.accounting
        attributed = table_of(own, schemas.ATTRIBUTED_PATIENTS, delivery.year).to_pylist()
        assert sorted((row["forfaits"], row["house_id"]) for row in attributed) == sorted(oracle.patients.values())
        assert sum(not row["is_beneficiary"] for row in attributed) == oracle.not_beneficiaries
        for name, rows in oracle.quarantined.items():
            path = own.lake_dir / "quarantine" / name / f"year={delivery.year}" / "part-0.parquet"
            first = 1 if chosen[name].kind == "parquet" else 2  # the header is line 1
            assert pq.read_table(path, partitioning=None)["line"].to_pylist() == [row + first for row in sorted(rows)]


def threshold_counts_of(own, year):
    """What the engine makes of the tables in the lake: (level, area, threshold) -> (parent, beneficiaries, patients)."""
    tables = ("FORFAITS_PER_PATIENT", "RAW_DMG", "RAW_BENEFICIARIES", "GEOGRAPHY", "BENEFICIARY_COUNTS")
    with DuckDBEngine.of(own).session() as backend:
        lake = Lake(own.lake_dir)
        counts = threshold_counts(*(lake.read(backend, getattr(schemas, name), year) for name in tables), year)
        rows = counts.to_pyarrow().to_pylist()
    found = {
        (row["level"], row["area_code"], row["threshold"]): (row["parent_code"], row["beneficiaries"], row["patients"])
        for row in rows
    }
    assert len(found) == len(rows), "a cell is there twice"
    assert {row["year"] for row in rows} == {year}
    return found


@examples(30)
@given(delivery=deliveries(), threshold=st.integers(1, 12))
def test_other_thresholds_equal_oracle(delivery, threshold):
    """Twelve readings of the definition, and at the threshold of the setting the rates themselves."""
    oracle = sensitivity(delivery.year, delivery.forfaits, delivery.beneficiaries, delivery.dmg, delivery.areas)
    with tempfile.TemporaryDirectory() as folder:
        own, _ = build(Path(folder), delivery, minimum_forfaits=threshold)
        found = threshold_counts_of(own, delivery.year)
        rates = rates_of(own, delivery.year)
    upper = {key: value for key, value in found.items() if key[0] in ("country", "region")}
    assert upper == oracle
    below = {"region": "province", "province": "arrondissement"}
    for (level, area, k), (_, people, patients) in found.items():
        if level in below:
            parts = [
                each for (of, _, other), each in found.items() if (of, other) == (below[level], k) and each[0] == area
            ]
            assert (people, patients) == (sum(each[1] for each in parts), sum(each[2] for each in parts))
    event(f"patients at {sum(found['country', 'BE', k][2] > 0 for k in range(1, 13))} thresholds")
    totals = {key: value for key, value in rates.items() if key[0] in LEVELS and key[2] == "total"}
    assert {(level, area): found[level, area, threshold] for level, area, _d, _c in totals} == {
        (level, area): value for (level, area, _d, _c), value in totals.items()
    }


@examples(10)
@given(delivery=deliveries(), chosen=formats(), data=st.data())
def test_figures_do_not_depend_on_row_order_format_or_threads(delivery, chosen, data):
    shuffled = replace(
        delivery,
        **{name: data.draw(st.permutations(getattr(delivery, name))) for name in ("forfaits", "beneficiaries", "dmg")},
    )
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        plain, _ = build(Path(one), delivery, threads=1)
        varied, _ = build(Path(other), shuffled, chosen, threads=3)
        first, second = (
            Path(own.lake_dir / "sector_rates" / f"year={delivery.year}" / "part-0.parquet").read_bytes()
            for own in (plain, varied)
        )
        assert rates_of(plain, delivery.year) == rates_of(varied, delivery.year)
        assert first == second


def test_worked_example(tmp_path):
    """The example that docs/definition.md walks through."""
    example = worked_example
    delivery = Delivery(example.YEAR, example.FORFAITS, example.BENEFICIARIES, example.DMG, example.AREAS)
    own, _ = build(tmp_path, delivery)
    rates = rates_of(own, example.YEAR)
    totals = {(level, area): counts for (level, area, dimension, _c), counts in rates.items() if dimension == "total"}
    assert totals == example.TOTALS
    for key, counts in example.BREAKDOWNS.items():
        assert rates[key][1:] == counts


@pytest.mark.parametrize("threshold", [1, 6, 12])
def test_threshold_is_a_setting(tmp_path, threshold):
    example = worked_example
    delivery = Delivery(example.YEAR, example.FORFAITS, example.BENEFICIARIES, example.DMG, example.AREAS)
    own, _ = build(tmp_path, delivery, minimum_forfaits=threshold)
    oracle = statistic(
        delivery.year, delivery.forfaits, delivery.beneficiaries, delivery.dmg, delivery.areas, threshold=threshold
    )
    assert rates_of(own, delivery.year) == oracle.rates


def test_tie_of_houses_is_not_decided_by_earlier_months(tmp_path):
    """Two houses, as many months each, the same last month: the smallest id, whatever the months before.

    Regression: the larger mask of months won, because its second-last month was later.
    """
    example = worked_example
    months = {"10": (1, 2, 3, 12), "9": (4, 5, 6, 12)}
    delivery = Delivery(
        example.YEAR,
        [
            {
                "patient_id": "1",
                "house_id": house,
                "service_date": f"2024-{month:02d}-01",
                "nomenclature_code": "109616",
                "quantity": "1",
                "amount_eur": "1",
            }
            for house, billed in months.items()
            for month in billed
        ],
        example.BENEFICIARIES,
        example.DMG,
        example.AREAS,
    )
    own, _ = build(tmp_path, delivery)
    assert [row["house_id"] for row in table_of(own, schemas.ATTRIBUTED_PATIENTS, 2024).to_pylist()] == ["10"]

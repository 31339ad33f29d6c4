"""The files: bytes, names, manifests, and what a reader sees while they are made."""

import gzip
import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mm_pipeline.demo import synthesize
from mm_pipeline.demo.deliveries import World, _replace
from mm_pipeline.demo.hashing import Dice
from mm_pipeline.demo.people import People, people_of
from mm_pipeline.demo.places import Country
from mm_pipeline.demo.registrations import Registrations
from mm_pipeline.demo.violations import Violations
from mm_pipeline.errors import OperatorError
from mm_pipeline_tests.support.demo_delivery import Delivery, areas_of

FILES = ["beneficiaries.csv.gz", "contributions.csv.gz", "dmg.parquet", "forfaits.csv.gz", "manifest.json"]

#: Of a small delivery that has planted violations of every kind. Another value on another machine means that draws
#: differ between machines; after an intended change of what is made, take the new ones from the failure.
GOLDEN = {
    "beneficiaries": "39a588e33d9b8e4ce881117b712cd323c3e73d75bfd3742c6eaed39bd4918914",
    "forfaits": "fdce599ae7ef580daa363b95b25891527d24ccb82fcac08c69382b813da47bdd",
    "dmg": "c06c03aafb10ced2d7524ef22544855408b6cf9971b7c2997877e243f73dc0c5",
    "contributions": "a45c9e179666696899e9a348be2f039486dbcb2fca8287cfd1134a367b31e3b4",
}


def make(raw: Path, *years: int, scale: float = 0.0005, seed: int = 1, at_once: int = 1) -> dict[str, bytes]:
    """The bytes of all files, by ``year/name``."""
    synthesize(raw, years, scale=scale, seed=seed, areas=areas_of, at_once=at_once)
    return {str(path.relative_to(raw)): path.read_bytes() for path in sorted(raw.rglob("*")) if path.is_file()}


def test_the_contents_are_the_same_on_every_machine(tmp_path: Path) -> None:
    files = make(tmp_path, 2019, scale=0.005)
    records = parquet.read_table(tmp_path / "2019" / "dmg.parquet").to_pydict()
    contents = {
        "beneficiaries": gzip.decompress(files["2019/beneficiaries.csv.gz"]),
        "forfaits": gzip.decompress(files["2019/forfaits.csv.gz"]),
        "dmg": json.dumps(records).encode(),
        "contributions": gzip.decompress(files["2019/contributions.csv.gz"]),
    }
    assert {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()} == GOLDEN


def test_the_same_seed_gives_the_same_bytes_alone_or_in_a_range(tmp_path: Path) -> None:
    several = make(tmp_path / "several", 2018, 2019, 2020, scale=0.005, at_once=3)
    alone = make(tmp_path / "alone", 2019, scale=0.005)
    assert sorted(alone) == [f"2019/{name}" for name in FILES]
    assert {name: content for name, content in several.items() if name.startswith("2019/")} == alone


def test_another_seed_or_scale_gives_other_bytes(tmp_path: Path) -> None:
    first = make(tmp_path / "1", 2019)
    for other in (make(tmp_path / "2", 2019, seed=2), make(tmp_path / "3", 2019, scale=0.0006)):
        assert not set(first.values()) & set(other.values())


def test_pieces_do_not_change_the_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the planted violations, which are those of the first piece."""
    monkeypatch.setattr("mm_pipeline.demo.deliveries.plant", plant_nothing)
    whole = make(tmp_path / "whole", 2019)
    monkeypatch.setattr("mm_pipeline.demo.deliveries.PERSONS_AT_A_TIME", 1000)
    monkeypatch.setattr("mm_pipeline.demo.deliveries.REGISTRATIONS_AT_A_TIME", 50)
    pieces = make(tmp_path / "pieces", 2019)
    for name in ("beneficiaries", "forfaits", "contributions"):
        one, several = (
            gzip.decompress(files[f"2019/{name}.csv.gz"]).decode().splitlines() for files in (whole, pieces)
        )
        assert one[0] == several[0]
        # All but the bad lines, six at most in each.
        assert len(set(one) ^ set(several)) <= 12
        assert several.count(several[0]) == 1


def plant_nothing(*world: object) -> tuple[Registrations, Violations]:
    _, _, _, registrations, _ = world
    assert isinstance(registrations, Registrations)
    nobody = np.zeros(0, np.int64)
    return registrations, Violations(nobody, nobody, [])


def test_the_manifest_holds(deliveries: dict[int, Delivery]) -> None:
    for year, delivery in deliveries.items():
        manifest = delivery.manifest
        assert manifest["extracted_on"] == f"{year + 1}-03-31"
        assert manifest["version"] == "synthetic, seed 1, scale 0.015"
        assert manifest["synthetic"] is True
        assert manifest["sample"] == 0.015
        files = [name for name in FILES if year >= 2010 or name != "contributions.csv.gz"]
        assert [*sorted(manifest["files"]), "manifest.json"] == files
        for name, entry in manifest["files"].items():
            assert hashlib.sha256((delivery.folder / name).read_bytes()).hexdigest() == entry["sha256"]
        for dataset in ("forfaits", "beneficiaries", "contributions")[: 3 if year >= 2010 else 2]:
            assert len(delivery.lines(dataset)) - 1 == manifest["files"][f"{dataset}.csv.gz"]["rows"]
        assert delivery.value("SELECT count(*) FROM dmg") == manifest["files"]["dmg.parquet"]["rows"]


def test_formats_are_mixed(deliveries: dict[int, Delivery]) -> None:
    delivery = deliveries[2019]
    assert delivery.lines("forfaits")[0] == "SS00010;SS00075;SS00015;SS00020;quantity;amount_eur"
    assert (
        delivery.lines("beneficiaries")[0]
        == "patient_id,birth_year,sex,preferential,municipality_code,sector_code,valid_from"
    )
    assert delivery.lines("contributions")[0] == "patient_id,household_id,house_id,amount_eur"
    schema = parquet.read_schema(delivery.folder / "dmg.parquet")
    assert schema.equals(pa.schema([("patient_id", pa.string()), ("practice_id", pa.string())]))


def test_a_year_that_is_there_is_replaced(tmp_path: Path) -> None:
    for leftover in ("2019", ".2019.tmp", ".2019.old"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "forfaits.parquet").write_text("of another delivery")
    files = make(tmp_path, 2019)
    assert sorted(files) == [f"2019/{name}" for name in FILES]
    assert [path.name for path in tmp_path.iterdir()] == ["2019"]


def test_nothing_is_seen_of_a_year_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make(tmp_path, 2019)

    def fail(*_: object) -> int:
        raise OSError("disk full")

    monkeypatch.setattr("mm_pipeline.demo.deliveries._write_forfaits", fail)
    done: list[int] = []
    with pytest.raises(OSError, match="disk full"):
        synthesize(tmp_path, [2019, 2020], scale=0.0005, seed=2, areas=areas_of, on_year=done.append)
    assert done == []
    assert not (tmp_path / "2020").exists()
    assert {f"2019/{path.name}": path.read_bytes() for path in (tmp_path / "2019").iterdir()} == before


def test_years_made_at_once_end_within_a_piece_of_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption comes as an error to who waits for the years; those that have not begun never do."""
    worlds, pieces = [], []

    def in_pieces(dice: Dice, country: Country, year: int, start: int, stop: int) -> People:
        pieces.append((year, start))
        if year == 2020:
            assert worlds[0].ended.wait(60)
        return people_of(dice, country, year, start, stop)

    def replace(world: World, *others: Any) -> None:
        worlds.append(world)
        _replace(world, *others)

    def interrupt(_year: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mm_pipeline.demo.deliveries.PERSONS_AT_A_TIME", 10_000)
    monkeypatch.setattr("mm_pipeline.demo.deliveries.people_of", in_pieces)
    monkeypatch.setattr("mm_pipeline.demo.deliveries._replace", replace)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path, range(2019, 2024), scale=0.002, seed=1, areas=areas_of, at_once=2, on_year=interrupt)
    assert threading.active_count() == before
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["2019"]
    assert [start for year, start in pieces if year == 2020] == [0]


def test_each_year_is_reported_when_it_is_there(tmp_path: Path) -> None:
    seen = []
    synthesize(
        tmp_path,
        range(2019, 2021),
        scale=0.0001,
        seed=1,
        areas=areas_of,
        at_once=2,
        on_year=lambda year: seen.append((year, (tmp_path / str(year) / "manifest.json").exists())),
    )
    assert seen == [(2019, True), (2020, True)]


@pytest.mark.parametrize("scale", [0, -1, 1.01, float("nan")])
def test_a_scale_out_of_bounds_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(OperatorError, match="scale"):
        make(tmp_path, 2019, scale=scale)


@pytest.mark.parametrize("year", [2002, 2030])
def test_a_year_that_cannot_be_made_is_refused_before_any_is_written(tmp_path: Path, year: int) -> None:
    with pytest.raises(OperatorError, match=str(year)):
        make(tmp_path, 2019, year)
    assert list(tmp_path.iterdir()) == []


def test_first_and_last_year_can_be_made(tmp_path: Path) -> None:
    assert len(make(tmp_path, 2003, 2029, scale=0.0001)) == 9


def test_a_handful_of_people_is_a_delivery_too(tmp_path: Path) -> None:
    files = make(tmp_path, 2019, scale=1e-7)
    assert gzip.decompress(files["2019/forfaits.csv.gz"]).startswith(b"SS00010;")
    assert gzip.decompress(files["2019/contributions.csv.gz"]) == b"patient_id,household_id,house_id,amount_eur\n"


def test_only_a_part_of_the_population_is_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mm_pipeline.demo.deliveries.ever_insured", lambda _: 100)
    make(tmp_path, 2019, scale=1)
    assert "sample" not in json.loads((tmp_path / "2019" / "manifest.json").read_text(encoding="utf-8"))


def test_this_room_stands_alone() -> None:
    code = "import sys, mm_pipeline.demo; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dagster", "ibis", "duckdb", "pandas", "mm_pipeline.reference"} & set(loaded)

"""What the benchmarks measure is the statistic: programs written in other ways, for speed, give the same tables."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytest.importorskip("benchmarks.engines", reason="the benchmarks are part of the repository, not of the package")

from benchmarks import engines, material, orchestration


def test_all_make_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "DATA", tmp_path)
    settings = material.settings_at(0.003)
    lake = material.ingested(settings, 0.003)
    with engines.contenders(settings, lake) as contenders:
        for run, _files in contenders.values():
            run()
        results = {name: files for name, (_run, files) in contenders.items()}
        assert engines.compare(results) > 10_000

        rates = results["polars"]["sector_rates"]
        pq.write_table(pq.read_table(rates).slice(1), rates)
        with pytest.raises(SystemExit, match="sector_rates of polars is not that of the product"):
            engines.compare(results)


def test_a_year_without_work_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    assert len(orchestration.seconds_a_year(1)) == 1

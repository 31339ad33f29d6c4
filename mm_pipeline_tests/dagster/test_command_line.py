"""The command line over a year, from its delivery to the release: what it says, and what lies there afterwards."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mm_pipeline.cli import main
from mm_pipeline_tests.support.installation import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.of_small_country(tmp_path)


def test_a_year_from_synthetic_delivery_to_release(installation, monkeypatch):
    data = installation.settings.data_dir
    for name, value in {"MM_DATA_DIR": str(data), "MM_MEMORY_LIMIT": "1GB", "DAGSTER_HOME": ""}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        with installation.with_all_areas():
            return CliRunner().invoke(main, arguments, catch_exceptions=False)

    assert run("synthesize", "--years", "2006", "--scale", "0.002").exit_code == 0
    assert "has not been built" in " ".join(run("status").output.split())
    built = run("backfill", "--years", "2006")
    assert built.exit_code == 0, built.output
    assert "SYNTHETIC" in built.output
    assert (data / "published" / "2006" / "rates.csv").is_file()
    assert (data / "published" / "series" / "rates.parquet").is_file()
    assert (data / "published" / "atlas" / "index.html").is_file()
    again = run("backfill", "--years", "2006")
    assert again.exit_code == 0
    assert "1 of 1 years were up to date and were skipped" in again.output
    assert "up to date" in run("status").output
    assert "All years in one, and the atlas: up to date." in run("status").output

    (data / "raw" / "2006" / "dmg.parquet").unlink()
    (data / "raw" / "2006" / "manifest.json").unlink()
    failed = run("backfill", "--years", "2006")
    assert failed.exit_code == 1
    assert "dmg is missing" in " ".join(failed.output.split())
    assert "Traceback" not in failed.output

"""What holds persons is for its owner only; the release is for everybody (a whole year: ``faults/test_permissions.py``)."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.defs.year_context import working_on
from mm_pipeline.files import permissions
from mm_pipeline.operations.dagster_home import dagster_home
from mm_pipeline.settings import Settings
from mm_pipeline_tests.support.pipeline import settings_for

SILENT = SimpleNamespace(warning=lambda said: None)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_spilled_is_private(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, memory_limit="60MB", threads=1)
    before = os.umask(0)
    try:
        with working_on(2019, settings, DuckDBEngine.of(settings), SILENT) as work:
            work.backend.con.execute("SET preserve_insertion_order = false")
            work.backend.con.execute("CREATE TEMP TABLE t AS SELECT md5(i::VARCHAR) AS x, i FROM range(1500000) r(i)")
            spilled = [path for path in work.lake.spill_dir().rglob("*") if path.is_file()]
            assert spilled
            assert {mode(path) for path in spilled} == {0o600}
        assert os.umask(0) == 0, "as before"
    finally:
        os.umask(before)


class TestClose:
    @pytest.mark.parametrize("given", [0o755, 0o777, 0o750, 0o701])
    def test_takes_it_from_others(self, tmp_path: Path, given: int) -> None:
        tmp_path.chmod(given)
        assert permissions.close(tmp_path)
        assert mode(tmp_path) == given & 0o700

    def test_leaves_what_is_not_ours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tmp_path.chmod(0o755)
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
        assert not permissions.close(tmp_path)
        assert mode(tmp_path) == 0o755

    def test_leaves_what_a_link_leads_to(self, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        elsewhere.chmod(0o775)
        (tmp_path / "2019").symlink_to(elsewhere)
        assert permissions.close(tmp_path / "2019")
        assert mode(elsewhere) == 0o775

    def test_what_is_not_there_is_not_open(self, tmp_path: Path) -> None:
        assert permissions.close(tmp_path / "x")

    def test_what_another_process_removes_meanwhile_is_not_open(self, tmp_path: Path) -> None:
        with patch.object(Path, "exists", return_value=True):
            assert permissions.close(tmp_path / "removed")


def test_a_delivery_that_others_could_read_is_closed(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    folder = settings.raw_dir / "2019"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with working_on(2019, settings, DuckDBEngine.of(settings), SILENT):
        assert mode(folder) == 0o700


def test_one_of_another_account_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, said = settings_for(tmp_path), []
    folder = settings.raw_dir / "2019"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with working_on(2019, settings, DuckDBEngine.of(settings), SimpleNamespace(warning=said.append)):
        pass
    assert said == [
        f"{folder} can be read by other accounts, and belongs to one of them, so that it was left as it is. It holds "
        f"persons: have its owner run chmod -R go= {folder}."
    ]


def test_the_history_is_closed_and_an_operators_own_left(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    (settings.data_dir / "dagster").mkdir(parents=True)
    own = tmp_path / "own"
    own.mkdir()
    for folder in (own, settings.data_dir / "dagster"):
        folder.chmod(0o755)
    for home, expected in (("", 0o700), (str(own), 0o755)):
        with patch.dict(os.environ, DAGSTER_HOME=home):
            assert mode(dagster_home(settings)) == expected

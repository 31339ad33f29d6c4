"""For all tests: nothing touches the data folder of the clone, no library calls home, and how many examples are drawn.

Set before anything of the package is imported: importing ``mm_pipeline.definitions`` reads the environment.
"""

import gc
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mm_pipeline_tests.support import examples, midnight

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from mm_pipeline.operations.backfill import YearResult
    from mm_pipeline_tests.support.ingestion import Ingestion
    from mm_pipeline_tests.support.installation import Installation

_MEMORY, _ROOM = Path("/dev/shm"), 4_000_000_000
"""Where files cost nothing, and how many bytes must be free there."""

if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
    # Dagster's history waits for the disk after each event: a year built there takes twice as long.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

_NOWHERE = tempfile.mkdtemp(prefix="mm_pipeline_tests_", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))

os.environ["MM_DATA_DIR"] = f"{_NOWHERE}/data"
os.environ["DAGSTER_HOME"] = f"{_NOWHERE}/dagster"
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
os.environ["GX_ANALYTICS_ENABLED"] = "false"
midnight.keep_away(Path(_NOWHERE))

TESTS = Path(__file__).parent
TIERS = ("unit", "properties", "dagster", "faults", "browser", "engines")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test has the mark of its tier: the folder that it lies in."""
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """No test inherits the Dagster instance of another one.

    Dagster keeps the storage of the instance that was entered last in a context variable, also when it is closed.
    Whoever resolves definitions after that asks an instance that is gone.
    """
    if (base := sys.modules.get("dagster._core.storage.defs_state.base")) is not None:
        base._current_storage.set(None)


# --- What is told at the end


REPORTED = "reported"


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """What a test that draws its cases wants to be read at the end, such as its seeds: also when it passes."""
    return lambda text: record_property(REPORTED, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties if report.when == "call" else ():
                if name == REPORTED:
                    terminalreporter.write_line(text)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """One seed for all that Hypothesis draws, told at the top, so that a run can be repeated. Workers take it over."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbelow(10**9))


def pytest_report_header(config: pytest.Config) -> str:
    profile = examples.FULL if examples.is_full() else examples.QUICK
    return f"to draw the same: --hypothesis-profile={profile} --hypothesis-seed={config.option.hypothesis_seed}"


# --- Engines that several tests share


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Backend]":
    """One engine for all that ingest: an empty in-memory database costs more to open than most tests take."""
    from mm_pipeline.defs.resources.engine import DuckDBEngine
    from mm_pipeline_tests.support.pipeline import settings_for

    with DuckDBEngine.of(settings_for(tmp_path_factory.mktemp("engine"))).session() as backend:
        yield backend


@pytest.fixture
def ingestion(backend: "Backend", tmp_path: Path) -> "Ingestion":
    """An empty data folder to put a delivery into, and ways to look at what became of it."""
    from mm_pipeline_tests.support.ingestion import Ingestion
    from mm_pipeline_tests.support.pipeline import settings_for

    return Ingestion(backend, settings_for(tmp_path))


# --- Built years, made once


@pytest.fixture(scope="session")
def built_with_results(
    tmp_path_factory: pytest.TempPathFactory,
) -> "tuple[Installation, list[YearResult]]":
    """Three years of the small country, and what the backfill said of them. Made once for all workers."""
    from mm_pipeline_tests.support import installation

    return installation.built(tmp_path_factory, installation.Installation.of_small_country)


@pytest.fixture(scope="session")
def built(built_with_results: "tuple[Installation, list[YearResult]]") -> "Installation":
    """Three years, built. Not to be changed: that is what ``copy`` is for."""
    return built_with_results[0]


@pytest.fixture
def copy(built: "Installation", tmp_path: Path) -> "Installation":
    return built.copied_to(tmp_path / "installation")


@pytest.fixture(scope="session")
def built_in_belgium(tmp_path_factory: pytest.TempPathFactory) -> "Installation":
    """The same people in all of Belgium: for whoever starts the product's own commands."""
    from mm_pipeline_tests.support import installation

    return installation.built(tmp_path_factory, installation.Installation)[0]


@pytest.fixture(scope="session")
def spark_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests on Spark keep their data, one after the other: another folder would need another Spark."""
    return tmp_path_factory.mktemp("on spark")


def pytest_unconfigure() -> None:
    gc.unfreeze()  # what the commands under test froze
    shutil.rmtree(_NOWHERE, ignore_errors=True)

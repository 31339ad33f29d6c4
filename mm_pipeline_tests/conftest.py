"""For all tests: nothing touches the data folder of the clone, and no library calls home.

Set before anything of the package is imported: importing ``mm_pipeline.definitions`` reads the environment.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

_NOWHERE = tempfile.mkdtemp(prefix="mm_pipeline_tests_")

os.environ["MM_DATA_DIR"] = f"{_NOWHERE}/data"
os.environ["DAGSTER_HOME"] = f"{_NOWHERE}/dagster"
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
os.environ["GX_ANALYTICS_ENABLED"] = "false"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """No test inherits the Dagster instance of another one.

    Dagster keeps the storage of the instance that was entered last in a context variable, also when it is closed.
    Whoever resolves definitions after that asks an instance that is gone.
    """
    if (base := sys.modules.get("dagster._core.storage.defs_state.base")) is not None:
        base._current_storage.set(None)


TOLD = "told"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """What a test that draws its cases wants to be read at the end, such as its seeds: also when it passes."""
    return lambda text: record_property(TOLD, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties if report.when == "call" else ():
                if name == TOLD:
                    terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def spark_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests on Spark keep their data, one after the other: another folder would need another Spark."""
    return tmp_path_factory.mktemp("on spark")


def pytest_unconfigure() -> None:
    shutil.rmtree(_NOWHERE, ignore_errors=True)

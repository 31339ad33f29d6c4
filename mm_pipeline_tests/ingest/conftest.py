"""One engine for all tests of the package: an empty in-memory database costs more to open than most tests take."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ibis.backends.duckdb import Backend

from mm_pipeline.storage.engine import session
from mm_pipeline_tests.harness import settings_for
from mm_pipeline_tests.ingest.desk import Desk


@pytest.fixture(scope="package")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with session(settings_for(tmp_path_factory.mktemp("engine"))) as backend:
        yield backend


@pytest.fixture
def desk(backend: Backend, tmp_path: Path) -> Desk:
    return Desk(backend, settings_for(tmp_path))

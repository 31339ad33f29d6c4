"""One engine session for all cases, as in the tests of ingest."""

from mm_pipeline_tests.ingest.conftest import backend

__all__ = ["backend"]

"""For all tests: nothing touches the data folder of the clone, and no library calls home.

Set before anything of the package is imported: importing ``mm_pipeline.definitions`` reads the environment.
"""

import os
import tempfile

_NOWHERE = tempfile.mkdtemp(prefix="mm_pipeline_tests_")

os.environ["MM_DATA_DIR"] = f"{_NOWHERE}/data"
os.environ["DAGSTER_HOME"] = f"{_NOWHERE}/dagster"
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
os.environ["GX_ANALYTICS_ENABLED"] = "false"


def pytest_unconfigure() -> None:
    import shutil

    shutil.rmtree(_NOWHERE, ignore_errors=True)

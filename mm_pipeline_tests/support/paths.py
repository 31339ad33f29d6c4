"""Where things lie in the repository, and beside it."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "mm_pipeline"
REFERENCE = REPOSITORY / "data" / "reference"
"""The reference data that the project ships."""

STATBEL = REPOSITORY.parent / "shared" / "statbel"
"""Statbel's own files, where somebody put them beside the repository."""

needs_statbel = pytest.mark.skipif(
    not STATBEL.is_dir(), reason="the real files of Statbel (../shared/statbel) are absent"
)

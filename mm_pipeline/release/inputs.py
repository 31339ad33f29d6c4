"""Data versions of the inputs of the series and of the page, which tell whether these are stale."""

import hashlib

from mm_pipeline.files.fingerprint import fingerprint
from mm_pipeline.reference.outlines import outline_files
from mm_pipeline.release.files import CHECKSUMS
from mm_pipeline.settings import Settings

SERIES = "series"
"""Name of the folder of all years, in ``data/published``."""


def series_version(settings: Settings) -> str:
    """Data version of what the series is made from: the released years, and the address where it will be served."""
    sums = [settings.published_dir / str(year) / CHECKSUMS for year in released_years(settings)]
    return _version(settings.release_url, *(fingerprint(path) for path in sums if path.is_file()))


def page_version(settings: Settings) -> str:
    """Data version of what the page is made from: the series and the outlines."""
    sums = settings.published_dir / SERIES / CHECKSUMS
    outlines = outline_files(settings.reference_dir)
    return _version(*(fingerprint(path) for path in (sums, *outlines) if path.is_file()))


def _version(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def released_years(settings: Settings) -> list[int]:
    """The years with a release in ``data/published``, sorted."""
    return sorted(int(file.parent.name) for file in settings.published_dir.glob("[12][0-9][0-9][0-9]/rates.parquet"))

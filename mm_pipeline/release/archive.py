"""The archive of earlier releases of the series, each whole and with its checksums: ``releases/<number>/``."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mm_pipeline.errors import ReleaseError
from mm_pipeline.files.atomic import replacing_folder
from mm_pipeline.release.files import CHECKSUMS, broken_checksums, sha256
from mm_pipeline.release.history import History, read_history

RELEASES = "releases"


def archive_release(series: Path, history: History, releases: Path) -> str:
    """Archive the release in ``series`` before that of ``history`` replaces it. Returns the archived folder, or why none.

    Atomic, and without effect when repeated. The same release made again (same number and date) is not archived. Only files
    that match its ``SHA256SUMS`` are archived: anything else there was not released. They are linked where the file system
    can, as a released file is never written again. Where another release of the same number is archived already (numbers
    began anew), the folder's name also has the beginning of the SHA-256 of ``SHA256SUMS``.
    """
    if not series.is_dir() or _is_same(series, history):
        return "nothing: no other release was there before"
    number, sums = _number(series), series / CHECKSUMS
    if number is None or not sums.is_file():
        return "nothing: the release before has no number or no SHA256SUMS any more"
    digest = sha256(sums)
    place = releases / str(number)
    if place.is_dir() and _digest(place) != digest:
        place = releases / f"{number}-{digest[:12]}"
    if not place.is_dir():
        broken = set(broken_checksums(series))
        with replacing_folder(place) as folder:
            for path in sorted(series.rglob("*")):
                name = path.relative_to(series).as_posix()
                if path.is_file() and name not in broken:
                    _link(path, folder / name)
    return f"{RELEASES}/{place.name}"


def broken_releases(releases: Path, history: History) -> list[str]:
    """The faults of archived releases, in words: against their own checksums, and against the newest changelog."""
    return list(_faults(releases, history))


def archived_releases(releases: Path) -> list[Path]:
    """The folders of archived releases. A name that begins with a point is a folder being written."""
    folders = releases.iterdir() if releases.is_dir() else ()
    return sorted(folder for folder in folders if folder.is_dir() and not folder.name.startswith("."))


def _faults(releases: Path, history: History) -> Iterator[str]:
    folders = archived_releases(releases)
    for folder in folders:
        if broken := broken_checksums(folder):
            yield f"{folder.name}: {', '.join(broken)} not as in {CHECKSUMS}"
    there = {_digest(folder) for folder in folders}
    for entry in history.entries:
        if entry.manifest and entry.manifest not in there:
            yield f"{entry.release.number}: no folder has the {CHECKSUMS} of this release"


def _is_same(series: Path, history: History) -> bool:
    try:
        return read_history(series).release == history.release
    except ReleaseError:
        return False


def _number(series: Path) -> int | None:
    """The number of a release, from its changelog or, where that is lost, from its provenance."""
    try:
        return read_history(series).release.number
    except ReleaseError:
        pass
    try:
        return int(json.loads((series / "provenance.json").read_text(encoding="utf-8"))["release"]["number"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _digest(folder: Path) -> str:
    sums = folder / CHECKSUMS
    return sha256(sums) if sums.is_file() else ""


def _link(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, place)
    except OSError:  # a file system without links
        shutil.copyfile(path, place)

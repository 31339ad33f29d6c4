"""The earlier releases of the series, each kept whole with its checksums: ``releases/<number>/``."""

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


def keep_earlier(series: Path, history: History, releases: Path) -> str:
    """Keep the release that lies in ``series`` before the one of ``history`` takes its place; returns what was kept.

    In one step; done again it changes nothing. The same release made again (number and date stay) is not kept. Kept are the
    files that are as in its ``SHA256SUMS``: what somebody put there or changed was not released. They are linked where
    the file system can, as a released file is never written again. Where another release of the same number is kept
    already (numbers began anew), the name has the beginning of the SHA-256 of its ``SHA256SUMS`` as well.
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
    """What is wrong with the kept releases, in words: by their own checksums, and by the changelog of the newest."""
    return list(_faults(releases, history))


def kept_releases(releases: Path) -> list[Path]:
    """Their folders; what begins with a point is being made."""
    folders = releases.iterdir() if releases.is_dir() else ()
    return sorted(folder for folder in folders if folder.is_dir() and not folder.name.startswith("."))


def _faults(releases: Path, history: History) -> Iterator[str]:
    folders = kept_releases(releases)
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
    """By its changelog; where that is lost, by its provenance."""
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

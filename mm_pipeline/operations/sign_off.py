"""The sign-off (``MM_SIGN_OFF``): a year becomes public only when two people have signed exactly its content.

A year that is not signed lies in ``data/awaiting/<year>``. Who signs names the SHA-256 of its manifest, ``SHA256SUMS``, and
so each byte of it, in ``data/sign-off/<year>.json``. Each signature that made a release public stays in ``history``. Names
of people are nowhere else: not in what is released.
"""

import json
import re
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from mm_pipeline.errors import OperatorError
from mm_pipeline.files.atomic import replace_text, replacing_folder
from mm_pipeline.files.locks import SIGN_OFF, locked
from mm_pipeline.release.files import manifest_of
from mm_pipeline.settings import Settings

SIGNERS = 2

AWAITS_TAG = "mm_pipeline/awaits"
"""Tag of a materialisation of ``published_year`` by which nothing became public: the release awaits its signatures.

Without a materialisation Dagster takes a backfill for failed (dagster-io/dagster#34219).
"""

_LARGEST, _LONGEST_NAME = 100_000, 100
_SHORTEST = 12  # digits of a manifest by which a content is known


@dataclass(frozen=True)
class Signature:
    """Who signed which manifest; ``problem``: what is wrong with the file, in words, empty if nothing is."""

    manifest: str = ""
    signed_by: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Awaited:
    """A year that is not public before it is signed. ``manifest``: SHA-256 of its ``SHA256SUMS``."""

    year: int
    manifest: str
    signature: Signature

    @property
    def names(self) -> tuple[str, ...]:
        """Who has signed this content so far."""
        return self.signature.signed_by if self.signature.manifest == self.manifest else ()

    @property
    def is_complete(self) -> bool:
        """Whether a valid signature for this content lies there: a run of ``published_year`` makes it public."""
        return not self.signature.problem and len(self.names) >= SIGNERS

    @property
    def sentence(self) -> str:
        """What is awaited, for an operator."""
        if self.is_complete:
            return f"{self.year} is signed by {len(self.names)} people: published_year of {self.year} makes it public."
        file = f"data/sign-off/{self.year}.json"
        if self.signature.problem:
            found = f"It cannot be used as it is: {self.signature.problem}."
        elif self.names:
            found = f"Signed so far: {', '.join(self.names)}."
        elif self.signature.manifest:
            found = f"It is signed for another content ({self.signature.manifest[:12]}…), which does not count for this one."
        else:
            found = "Nobody has signed yet."
        needed = json.dumps({"manifest": self.manifest, "signed_by": ["first person", "second person"]})
        return (
            f"{self.year} is not public: its release in data/awaiting/{self.year} awaits the signatures of {SIGNERS} people "
            f"in {file}. {found} Look at the release; then each signs with: mm-pipeline sign-off {self.year} --name "
            f'"First Last" --manifest {self.manifest[:12]}; or write {file} as {needed}.'
        )


def awaited(settings: Settings, year: int) -> Awaited | None:
    """What is awaited of a year; None where nothing is: it was not made, it is public, or nobody needs to sign."""
    manifest = manifest_of(settings.awaiting_dir / str(year))
    if not settings.sign_off or not manifest or manifest == manifest_of(settings.published_dir / str(year)):
        return None
    return Awaited(year, manifest, read_signature(_file(settings, year)))


def years_awaiting(settings: Settings) -> list[int]:
    years = sorted(int(folder.name) for folder in settings.awaiting_dir.glob("[12][0-9][0-9][0-9]"))
    return [year for year in years if awaited(settings, year)]


def read_signature(file: Path) -> Signature:
    """The file of a signature; nobody's if it is not there."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except FileNotFoundError:
        return Signature()
    except OSError as error:
        return Signature(problem=f"it cannot be read ({error.strerror})")
    if len(content) > _LARGEST:
        return Signature(problem=f"it has more than {_LARGEST} bytes")
    try:
        parsed = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Signature(problem="it is not JSON in UTF-8")
    if not isinstance(parsed, dict):
        return Signature(problem="it is not of the form {…}")
    manifest, signed_by = parsed.get("manifest"), parsed.get("signed_by")
    if not (isinstance(manifest, str) and re.fullmatch("[0-9a-f]{64}", manifest.lower())):
        return Signature(problem='"manifest" is not a SHA-256, 64 digits from 0 to 9 and a to f')
    manifest = manifest.lower()
    if not (isinstance(signed_by, list) and all(isinstance(name, str) for name in signed_by)):
        return Signature(manifest, problem='"signed_by" is not a list of names')
    names = tuple(" ".join(name.split()) for name in signed_by)
    if any(not is_name(name) for name in names):
        return Signature(manifest, problem=f'"signed_by" holds what is not a name (up to {_LONGEST_NAME} characters)')
    if len({_person(name) for name in names}) < len(names):
        return Signature(manifest, problem="the same person signed twice; it takes two different people")
    return Signature(manifest, names)


def is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable() and any(map(str.isalpha, text))


def _person(name: str) -> str:
    """The same for the same person, whatever the case, the blanks and the way accents are written."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def sign(settings: Settings, year: int, name: str, manifest: str) -> Awaited:
    """Add a name to the signature of the content that awaits; returns what is awaited then.

    ``manifest``: at least the first 12 digits of that of the content that was looked at. OperatorError where another one
    awaits by now or none, the name is none or has signed already, or the file cannot be used.
    """
    name = " ".join(name.split())
    if not is_name(name):
        raise OperatorError(f"{name!r} is not a name: give the first and last name of who signs.")
    with locked(_lock(settings)):  # two who sign at once
        waiting = awaited(settings, year)
        if waiting is None:
            raise OperatorError(nothing_awaits(settings, year))
        if len(manifest) < _SHORTEST or not waiting.manifest.startswith(manifest.lower()):
            raise OperatorError(
                f"--manifest {manifest!r} is not of the content of {year} that awaits ({waiting.manifest[:_SHORTEST]}…): it "
                f"was made again since you looked, or the digits are wrong (at least {_SHORTEST}). Look again at "
                f"data/awaiting/{year}. Nothing was signed."
            )
        file = _file(settings, year)
        if waiting.signature.problem:
            raise OperatorError(
                f"data/sign-off/{year}.json cannot be used: {waiting.signature.problem}. Correct it, or delete it and let "
                "all who signed do it again."
            )
        if _person(name) in map(_person, waiting.names):
            raise OperatorError(f"{name} has signed this content of {year} already; {SIGNERS} different people must.")
        _made(file.parent)
        replace_text(file, _text(waiting.manifest, (*waiting.names, name)), mode=0o600)
        return Awaited(year, waiting.manifest, read_signature(file))


def nothing_awaits(settings: Settings, year: int) -> str:
    if not settings.sign_off:
        return "MM_SIGN_OFF is off: a year becomes public when its checks have passed, and nobody signs."
    return f"Nothing of {year} awaits a signature. A year does once it is built (job year) and is not what is public."


@contextmanager
def waiting_folder(settings: Settings, year: int) -> Iterator[Path]:
    """An empty folder that takes the place of ``data/awaiting/<year>``, which only its owner can read."""
    _made(settings.awaiting_dir)
    place = settings.awaiting_dir / str(year)
    with replacing_folder(place) as folder:
        yield folder
    place.chmod(0o700)


def keep_signature(settings: Settings, signed: Awaited) -> None:
    """Keep the signature of what becomes public: ``data/sign-off/history/<year>-<12 digits of its manifest>.json``."""
    text = _text(signed.manifest, signed.names)
    with locked(_lock(settings)):
        _made(settings.sign_off_dir)
        history, name = _made(settings.sign_off_dir / "history"), f"{signed.year}-{signed.manifest[:12]}"
        files = (history / f"{name}{f'-{number}' if number > 1 else ''}.json" for number in count(1))
        # The same content signed again by others, after another one was public: both stay.
        place = next(file for file in files if not file.exists() or file.read_text(encoding="utf-8") == text)
        replace_text(place, text, mode=0o600)


def signed_before(settings: Settings, year: int, manifest: str) -> Signature:
    """The signature by which this content became public; nobody's where none is known."""
    history = sorted((settings.sign_off_dir / "history").glob(f"{year}-{manifest[:12]}*.json"))
    kept = (read_signature(file) for file in (_file(settings, year), *history))
    return next((each for each in kept if Awaited(year, manifest, each).is_complete), Signature())


def stop_waiting(settings: Settings, year: int) -> None:
    """Nothing of the year awaits any more: it is public, or nobody needs to sign."""
    shutil.rmtree(settings.awaiting_dir / str(year), ignore_errors=True)


def _lock(settings: Settings) -> Path:
    return settings.lake_dir / ".locks" / SIGN_OFF


def _file(settings: Settings, year: int) -> Path:
    return settings.sign_off_dir / f"{year}.json"


def _text(manifest: str, names: tuple[str, ...]) -> str:
    return json.dumps({"manifest": manifest, "signed_by": names}, indent=1, ensure_ascii=False) + "\n"


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder

"""What a year awaits of people before it becomes public: two signatures (``MM_SIGN_OFF``), and a release where it is held.

A check that doubts a year seriously holds it back. Such a year, and one that is not signed, lies in
``data/awaiting/<year>``, and the doubts in ``<year>.held.json`` beside it. Who signs or releases names the SHA-256 of its
manifest, ``SHA256SUMS``, and so each byte of it, in ``data/sign-off/<year>.json``. What made a release public stays in
``history``. Names of people are not in what is released; the check ``signed_off`` tells who has signed so far.
"""

import json
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from mm_pipeline.errors import OperatorError
from mm_pipeline.files.atomic import replace_text, replacing_folder
from mm_pipeline.files.locks import SIGN_OFF, locked
from mm_pipeline.release.files import manifest_of
from mm_pipeline.settings import Settings

SIGNERS = 2

AWAITS_TAG = "mm_pipeline/awaits"
"""Tag of a materialisation of ``published_year`` by which nothing became public: the release awaits people.

Without a materialisation Dagster takes a backfill for failed (dagster-io/dagster#34219).
"""

NOT_HELD = "not_held"
"""The check of ``published_year`` that tells what holds a year."""

_LARGEST, _LONGEST_NAME, _LONGEST_REASON = 100_000, 100, 1000
_SHORTEST = 12  # digits of a manifest by which a content is known


@dataclass(frozen=True)
class Signature:
    """Who signed which manifest, and who released it though it was held, and why; ``problem``: what is wrong with the file,
    in words, empty if nothing is."""

    manifest: str = ""
    signed_by: tuple[str, ...] = ()
    released_by: str = ""
    because: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Awaited:
    """A year that is not public before people have looked at it.

    ``manifest``: SHA-256 of its ``SHA256SUMS``; ``signers``: how many must sign; ``doubts``: what the checks say that hold
    it.
    """

    year: int
    manifest: str
    signature: Signature
    signers: int = SIGNERS
    doubts: tuple[str, ...] = ()

    @property
    def counting(self) -> Signature:
        """The signature, if it is of this content."""
        return self.signature if self.signature.manifest == self.manifest else Signature()

    @property
    def names(self) -> tuple[str, ...]:
        """Who has signed this content so far."""
        return self.counting.signed_by

    @property
    def is_signed(self) -> bool:
        return len(self.names) >= self.signers

    @property
    def is_held(self) -> bool:
        """Whether checks hold the year, and nobody has released it."""
        return bool(self.doubts) and not self.counting.released_by

    @property
    def is_complete(self) -> bool:
        """Whether all that is awaited lies there, for this content: a run of ``published_year`` makes it public."""
        return not self.signature.problem and self.is_signed and not self.is_held

    @property
    def in_short(self) -> str:
        """What is awaited, for a row of a table."""
        signatures = "awaits its signatures (mm-pipeline sign-off)"
        if self.is_held:
            many = f"{len(self.doubts)} checks" if len(self.doubts) > 1 else "1 check"
            return f"held by {many}" + ("" if self.is_signed else f"; {signatures}")
        return signatures

    @property
    def sentence(self) -> str:
        """What is awaited, for an operator."""
        if self.is_complete:
            done = [f"signed by {len(self.names)} people"] if self.signers else []
            done += ["released by a person though checks doubt it"] if self.doubts else []
            return f"{self.year} is {' and '.join(done)}: published_year of {self.year} makes it public."
        said = [*([] if self.is_signed else [self._of_signatures]), *([self._of_doubts] if self.is_held else [])]
        return " ".join(said) or self._of_file

    @property
    def _of_signatures(self) -> str:
        needed = json.dumps({"manifest": self.manifest, "signed_by": ["first person", "second person"]})
        return (
            f"{self.year} is not public: its release in data/awaiting/{self.year} awaits the signatures of {self.signers} "
            f"people in data/sign-off/{self.year}.json. {self._of_file} Look at the release; then each signs with: "
            f'mm-pipeline sign-off {self.year} --name "First Last" --manifest {self.manifest[:12]}; or write '
            f"data/sign-off/{self.year}.json as {needed}."
        )

    @property
    def _of_doubts(self) -> str:
        needed = json.dumps({"manifest": self.manifest, "released_by": "First Last", "because": "reason"})
        found = f"{self._of_file} " if self.is_signed and self.signature.manifest else ""
        doubts = "".join(f"\n- {doubt}" for doubt in self.doubts)
        return (
            f"{self.year} is held and not public: its checks doubt the release in data/awaiting/{self.year}.{doubts}\n"
            f"{found}Ask the sender. If the delivery is wrong, have it corrected and build the year again. If it is right "
            "all the same, a person releases it with: "
            f'mm-pipeline release {self.year} --name "First Last" --because "reason"; or writes '
            f"data/sign-off/{self.year}.json as {needed}."
        )

    @property
    def _of_file(self) -> str:
        """What lies in the file."""
        if self.signature.problem:
            return f"It cannot be used as it is: {self.signature.problem}."
        if self.names:
            return f"Signed so far: {', '.join(self.names)}."
        if self.signature.manifest and not self.counting.manifest:
            return f"It is signed for another content ({self.signature.manifest[:12]}…), which does not count for this one."
        return "Nobody has signed yet."


def awaited(settings: Settings, year: int) -> Awaited | None:
    """What is awaited of a year; None where nothing is: it was not made, it is public, or nobody needs to look."""
    manifest, signers = manifest_of(settings.awaiting_dir / str(year)), SIGNERS if settings.sign_off else 0
    doubts = _doubts(settings, year)
    if not (signers or doubts) or not manifest or manifest == manifest_of(settings.published_dir / str(year)):
        return None
    return Awaited(year, manifest, read_signature(_file(settings, year)), signers, doubts)


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
    manifest, released_by, because = parsed.get("manifest"), parsed.get("released_by", ""), parsed.get("because", "")
    signed_by = parsed.get("signed_by", [] if released_by else None)
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
    if not released_by:
        return Signature(manifest, names)
    if not (isinstance(released_by, str) and is_name(released_by)):
        return Signature(manifest, problem=f'"released_by" is not a name (up to {_LONGEST_NAME} characters)')
    if not (isinstance(because, str) and is_name(because, _LONGEST_REASON)):
        return Signature(manifest, problem=f'"because" is not a reason in words (up to {_LONGEST_REASON} characters)')
    return Signature(manifest, names, released_by, because)


def is_name(text: str, longest: int = _LONGEST_NAME) -> bool:
    return 0 < len(text) <= longest and text.isprintable() and any(map(str.isalpha, text))


def _person(name: str) -> str:
    """The same for the same person, whatever the case, the blanks and the way accents are written."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def sign(settings: Settings, year: int, name: str, manifest: str) -> Awaited:
    """Add a name to the signature of the content that awaits; returns what is awaited then.

    ``manifest``: at least the first 12 digits of that of the content that was looked at. OperatorError where another one
    awaits by now or none, the name is none or has signed already, or the file cannot be used.
    """
    name = _name(name, "signs")
    with locked(_lock(settings)):  # two who sign at once
        waiting = awaited(settings, year)
        if waiting is None or not waiting.signers:
            raise OperatorError(nothing_awaits(settings, year))
        if len(manifest) < _SHORTEST or not waiting.manifest.startswith(manifest.lower()):
            raise OperatorError(
                f"--manifest {manifest!r} is not of the content of {year} that awaits ({waiting.manifest[:_SHORTEST]}…): it "
                f"was made again since you looked, or the digits are wrong (at least {_SHORTEST}). Look again at "
                f"data/awaiting/{year}. Nothing was signed."
            )
        if _person(name) in map(_person, waiting.names):
            raise OperatorError(f"{name} has signed this content of {year} already; {SIGNERS} different people must.")
        return _written(settings, waiting, signed_by=(*waiting.names, name))


def release(settings: Settings, year: int, name: str, because: str) -> Awaited:
    """Release the content that is held, in a person's name and for a reason; returns what is awaited then.

    OperatorError where nothing is held, name or reason is none, or the file cannot be used.
    """
    name, because = _name(name, "releases"), " ".join(because.split())
    if not is_name(because, _LONGEST_REASON):
        raise OperatorError(
            f"--because {because[:40]!r} is not a reason: say in words (up to {_LONGEST_REASON} characters) why the figures "
            "are right though checks doubt them."
        )
    with locked(_lock(settings)):
        waiting = awaited(settings, year)
        if waiting is None or not waiting.is_held:
            raise OperatorError(nothing_is_held(year))
        return _written(settings, waiting, released_by=name, because=because)


def _name(text: str, who: str) -> str:
    name = " ".join(text.split())
    if not is_name(name):
        raise OperatorError(f"{name!r} is not a name: give the first and last name of who {who}.")
    return name


def _written(settings: Settings, waiting: Awaited, **changes: Any) -> Awaited:
    """What is awaited once the file of the signature has these ``changes`` for the content that awaits."""
    file = _file(settings, waiting.year)
    if waiting.signature.problem:
        raise OperatorError(
            f"data/sign-off/{waiting.year}.json cannot be used: {waiting.signature.problem}. Correct it, or delete it and "
            "let all who signed do it again."
        )
    _made(file.parent)
    now = replace(waiting, signature=replace(waiting.counting, manifest=waiting.manifest, **changes))
    replace_text(file, _text(now.signature), mode=0o600)
    return replace(now, signature=read_signature(file))


def nothing_is_held(year: int) -> str:
    return (
        f"Nothing of {year} is held. A year is once it is built (job year) and a check doubts it beyond its hold limit "
        "(MM_HOLD_LIMITS)."
    )


def nothing_awaits(settings: Settings, year: int) -> str:
    if not settings.sign_off:
        return "MM_SIGN_OFF is off: a year becomes public when its checks have passed, and nobody signs."
    return f"Nothing of {year} awaits a signature. A year does once it is built (job year) and is not what is public."


@contextmanager
def waiting_folder(settings: Settings, year: int, doubts: Iterable[str] = ()) -> Iterator[Path]:
    """An empty folder that takes the place of ``data/awaiting/<year>``, which only its owner can read.

    ``doubts``: what the checks say that hold the year.
    """
    _made(settings.awaiting_dir)
    place = settings.awaiting_dir / str(year)
    replace_text(_held(settings, year), json.dumps(list(doubts), indent=1, ensure_ascii=False) + "\n", mode=0o600)
    with replacing_folder(place) as folder:
        yield folder
    place.chmod(0o700)


def keep_signature(settings: Settings, signed: Awaited) -> None:
    """Keep by what it became public: ``data/sign-off/history/<year>-<12 digits of its manifest>.json``."""
    text = _text(signed.counting, doubts=signed.doubts)
    with locked(_lock(settings)):
        _made(settings.sign_off_dir)
        history, name = _made(settings.sign_off_dir / "history"), f"{signed.year}-{signed.manifest[:12]}"
        files = (history / f"{name}{f'-{number}' if number > 1 else ''}.json" for number in count(1))
        # The same content signed again by others, after another one was public: both stay.
        place = next(file for file in files if not file.exists() or file.read_text(encoding="utf-8") == text)
        replace_text(place, text, mode=0o600)


def signed_before(settings: Settings, year: int, manifest: str) -> Signature:
    """The signature by which this content became public; nobody's where none is known."""
    kept = _kept(settings, year, manifest)
    return next((each for each in kept if Awaited(year, manifest, each).is_complete), Signature())


def released_before(settings: Settings, year: int, manifest: str) -> bool:
    """Whether a person has released this content though checks doubted it."""
    return any(each.manifest == manifest and each.released_by for each in _kept(settings, year, manifest))


def _kept(settings: Settings, year: int, manifest: str) -> Iterator[Signature]:
    history = sorted((settings.sign_off_dir / "history").glob(f"{year}-{manifest[:12]}*.json"))
    return (read_signature(file) for file in (_file(settings, year), *history))


def stop_waiting(settings: Settings, year: int) -> None:
    """Nothing of the year awaits any more: it is public, or nobody needs to sign."""
    shutil.rmtree(settings.awaiting_dir / str(year), ignore_errors=True)
    _held(settings, year).unlink(missing_ok=True)


def _lock(settings: Settings) -> Path:
    return settings.lake_dir / ".locks" / SIGN_OFF


def _file(settings: Settings, year: int) -> Path:
    return settings.sign_off_dir / f"{year}.json"


def _held(settings: Settings, year: int) -> Path:
    return settings.awaiting_dir / f"{year}.held.json"


def _doubts(settings: Settings, year: int) -> tuple[str, ...]:
    with suppress(FileNotFoundError):
        return tuple(json.loads(_held(settings, year).read_text(encoding="utf-8")))
    return ()


def _text(signature: Signature, **more: Any) -> str:
    released = {"released_by": signature.released_by, "because": signature.because} if signature.released_by else {}
    content = {"manifest": signature.manifest, "signed_by": signature.signed_by, **released}
    content |= {name: value for name, value in more.items() if value}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder

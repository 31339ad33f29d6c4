"""``manifest.json``: what the sender announced. It may be absent; if it is there, it must hold."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_pipeline.errors import DeliveryError
from mm_pipeline.files import safe_names
from mm_pipeline.files.safe_names import short
from mm_pipeline.ingest import files

NAME = "manifest.json"
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Announced:
    """Data rows (without the header) and SHA-256 of one file; None where the manifest does not say."""

    rows: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Manifest:
    version: str
    extracted_on: str
    synthetic: bool
    files: dict[str, Announced]
    sample: float = 1.0
    """Share of the population that the delivery holds."""
    sha256: str = ""
    """Of the manifest itself; empty when there is none."""

    def of(self, path: Path) -> Announced:
        """What is announced of a file."""
        return self.files.get(path.name, Announced())

    def hold_unchanged(self, folder: Path) -> None:
        """Raise :class:`DeliveryError` if the folder has another manifest by now, or none, or one only now."""
        if files.state_of(folder / NAME) != self.sha256:
            raise files.changed(folder / NAME)


def read(folder: Path) -> Manifest:
    """The manifest of a year's delivery, an empty one when there is none; :class:`DeliveryError` when it cannot be used."""
    path = folder / NAME
    data = _bytes(path)
    if data is None:
        return Manifest("", "", False, {})
    try:
        content = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once)
    except UnicodeDecodeError:
        raise _wrong(path, "it is not UTF-8", "a JSON object in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"not JSON: {safe_names.shown(str(error), 150)}", "a JSON object") from None
    entries = content.get("files", {}) if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise _wrong(path, "no object of files", '{"files": {"forfaits.csv.gz": {"rows": n, "sha256": "..."}}}')
    _hold_spelling(path, content, "of the manifest", ("version", "extracted_on", "synthetic", "files", "sample"))
    for entry in entries.values():
        _hold_spelling(path, entry, "of a file", ("rows", "sha256"))
    return Manifest(
        version=str(_value(path, content, "version") or ""),
        extracted_on=str(_value(path, content, "extracted_on") or ""),
        synthetic=content.get("synthetic") is True,
        files={name: _announced(path, name, entry) for name, entry in entries.items()},
        sample=float(_value(path, content, "sample") or 1),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _hold_spelling(path: Path, members: dict[str, Any], whose: str, names: tuple[str, ...]) -> None:
    """What is announced under another spelling of a known name would be passed over."""
    plain = {re.sub("[^a-z0-9]", "", known): known for known in names}
    for member in members:
        known = plain.get(re.sub("[^a-z0-9]", "", member.lower()))
        if known and member != known:
            raise _wrong(path, f"a member '{safe_names.shown(member)}' {whose}", f"'{known}', spelt so")


def _bytes(path: Path) -> bytes | None:
    if other := next((name for name in files.names_in(path.parent) if name.lower() == NAME and name != NAME), None):
        raise _wrong(path.with_name(other), f"the name {other}", f"{NAME}, spelt so")
    with files.readable(path):
        try:
            return safe_names.content(path, _LARGEST)
        except FileNotFoundError:
            return None
        except safe_names.TooLargeError:
            raise _wrong(path, f"more than {safe_names.size(_LARGEST)}", "a few lines") from None


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(members)
    if len(content) < len(members):
        raise ValueError("a member of an object is there twice")
    return content


def _announced(path: Path, name: str, entry: dict[str, Any]) -> Announced:
    if name in ("", ".", "..") or len(name) > 255 or re.search(r"[/\\]", name) or not name.isprintable():
        expected = f"the plain name of a file in data/raw/{path.parent.name}, without a path"
        raise _wrong(path, f"it announces a file '{safe_names.shown(name)}'", expected)
    whose = f" of {safe_names.shown(name)}"
    rows, sha256 = _value(path, entry, "rows", whose), _value(path, entry, "sha256", whose)
    return Announced(rows, sha256.lower() if sha256 else None)


def _value(path: Path, members: dict[str, Any], name: str, whose: str = "") -> Any:
    """The value of a member, None without one. Raises :class:`DeliveryError` for one that the member cannot have."""
    value = members.get(name)
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if name == "rows":
        is_right, expected = isinstance(number, int) and abs(number) < 10**18, "a whole number"
    elif name == "sha256":
        is_right = isinstance(value, str) and re.fullmatch("[0-9A-Fa-f]{64}", value) is not None
        expected = "a text of 64 hexadecimal digits"
    elif name == "sample":
        is_right, expected = 0 < number <= 1, "a number above 0 and not above 1, such as 0.02"
    else:
        is_right = isinstance(value, str | int | float) and len(str(value)) <= 100 and str(value).isprintable()
        expected = "a short text on one line"
    if value is not None and not is_right:
        raise _wrong(path, f"{name}{whose} is {short(value)}", expected)
    return value


def _wrong(path: Path, found: str, expected: str) -> DeliveryError:
    return DeliveryError(
        f"{path.parent.name}/{path.name}: {found}; expected {expected}. "
        "Ask the sender for a correct manifest, or remove it if the files were checked in another way."
    )

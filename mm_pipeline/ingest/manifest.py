"""``manifest.json``: what the sender announced. It may be absent; if it is there, it must hold."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_pipeline.errors import DeliveryError

NAME = "manifest.json"


@dataclass(frozen=True)
class Announced:
    """Data rows (without the header) and SHA-256 of one file; None where the manifest does not say."""

    rows: int | None
    sha256: str | None


@dataclass(frozen=True)
class Manifest:
    version: str
    extracted_on: str
    synthetic: bool
    files: dict[str, Announced]
    sample: float = 1.0
    """Share of the population that the delivery holds."""
    sha256: str = ""
    """Of the file as it was read; empty when there is none."""


def read(folder: Path) -> Manifest:
    """The manifest of a year's delivery, an empty one when there is none; :class:`DeliveryError` when it cannot be used."""
    path, raw = folder / NAME, b""
    try:
        raw = path.read_bytes()
        content = json.loads(raw.decode("utf-8-sig"))
    except FileNotFoundError:
        content = {}
    except UnicodeDecodeError:
        raise _wrong(path, "it is not UTF-8", "a JSON object in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"not JSON: {error}", "a JSON object") from None
    files = content.get("files", {}) if isinstance(content, dict) else None
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        raise _wrong(path, "no object of files", '{"files": {"forfaits.csv.gz": {"rows": n, "sha256": "..."}}}')
    return Manifest(
        version=str(content.get("version") or ""),
        extracted_on=str(content.get("extracted_on") or ""),
        synthetic=content.get("synthetic") is True,
        files={name: _announced(path, name, entry) for name, entry in files.items()},
        sample=_sample(path, content.get("sample")),
        sha256=hashlib.sha256(raw).hexdigest() if raw else "",
    )


def _announced(path: Path, name: str, entry: dict[str, Any]) -> Announced:
    rows, sha256 = entry.get("rows"), entry.get("sha256")
    if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool)):
        raise _wrong(path, f"rows of {name} is {rows!r}", "a whole number")
    if sha256 is not None and not isinstance(sha256, str):
        raise _wrong(path, f"sha256 of {name} is {sha256!r}", "a text of 64 hexadecimal digits")
    return Announced(rows, sha256.lower() if sha256 else None)


def _sample(path: Path, sample: Any) -> float:
    if sample is None:
        return 1.0
    if not isinstance(sample, int | float) or isinstance(sample, bool) or not 0 < sample <= 1:  # NaN is not in between
        raise _wrong(path, f"sample is {sample!r}", "a number above 0 and not above 1, such as 0.02")
    return float(sample)


def _wrong(path: Path, found: str, expected: str) -> DeliveryError:
    return DeliveryError(
        f"{path.parent.name}/{path.name}: {found}; expected {expected}. "
        "Ask the sender for a correct manifest, or remove it if the files were checked in another way."
    )

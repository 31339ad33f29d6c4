"""The receipt of a purge: read back as it was written, and damage is said in words."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mm_pipeline.errors import OperatorError
from mm_pipeline.operations.purge import DELIVERY, PLANNED, Receipt, Removed

FILE = Removed("raw/2019/dmg.csv", 2019, DELIVERY, "", "fewer than 50", 7, "a" * 64, 1_800_000_000_123_456_789)
RECEIPT = Receipt("an", "2027-09-01T14:00:00+02:00", 2020, PLANNED, (FILE,))


@pytest.mark.parametrize("path", [FILE.path, "raw/2019/é [1].csv", "raw/2019/not UTF-8 \udce9.csv"])
@pytest.mark.parametrize("rows", [None, 0, 120, "fewer than 50"])
def test_it_is_read_back_as_written(tmp_path: Path, path: str, rows: int | str | None) -> None:
    receipt = replace(RECEIPT, files=(replace(FILE, path=path, rows=rows), FILE))
    receipt.write(tmp_path / "receipt.json")
    assert Receipt.read(tmp_path / "receipt.json") == receipt


def changed(**members: object) -> str:
    return json.dumps(asdict(RECEIPT) | members)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "[]", "{}", "\udcff", "[" * 100_000, "9" * 5000),
        *(changed(files=files) for files in (None, 7, {}, [7], [{}], [asdict(FILE) | {"year": "last"}])),
        *(changed(files=[asdict(FILE) | {"path": None}]), changed(before=[]), changed(before=1e400), changed(at=2027)),
    ],
    ids=lambda text: text[:30].encode("ascii", "replace").decode(),
)
def test_one_that_is_damaged_is_told_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "receipt.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(OperatorError, match=r"^receipt\.json in data/lake/receipts is damaged; expected the receipt"):
        Receipt.read(tmp_path / "receipt.json")

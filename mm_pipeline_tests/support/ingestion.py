"""The ingestion where deliveries are put down: write a file, ingest it, look at the account, the rows and the quarantine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.backends.duckdb import Backend

from mm_pipeline.errors import DeliveryError
from mm_pipeline.ingest.ingest import Account, ingest
from mm_pipeline.schemas import LAKE_TABLES, Table
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake

YEAR = 2019

GOOD: dict[str, dict[str, str]] = {
    "forfaits": {
        "patient_id": "P1",
        "house_id": "H1",
        "service_date": "2019-03-01",
        "nomenclature_code": "109616",
        "quantity": "1",
        "amount_eur": "30.50",
    },
    "beneficiaries": {
        "patient_id": "P1",
        "birth_year": "1980",
        "sex": "F",
        "preferential": "0",
        "municipality_code": "21004",
        "sector_code": "21004A001",
        "valid_from": "2019-01-01",
    },
    "dmg": {"patient_id": "P1", "practice_id": "G1"},
    "contributions": {"patient_id": "P1", "household_id": "F1", "house_id": "H1", "amount_eur": "2.50"},
}
"""A row of each dataset that nothing is wrong with."""

Quarantined = tuple[int, str, str, str]
"""Line, column, reason, raw line."""


def header(name: str, delimiter: str = ",") -> str:
    return delimiter.join(GOOD[name])


def line(name: str, *, delimiter: str = ",", **values: str) -> str:
    """A line of the dataset: the good row with some other values."""
    assert values.keys() <= GOOD[name].keys()
    return delimiter.join({**GOOD[name], **values}.values())


def table(name: str, rows: int = 2, **columns: Any) -> pa.Table:
    """An Arrow table of good rows with some other columns."""
    good = {column: pa.array([value] * rows) for column, value in GOOD[name].items()}
    return pa.table({**good, **columns})


@dataclass(frozen=True)
class Ingestion:
    backend: Backend
    settings: Settings

    @property
    def folder(self) -> Path:
        return self.settings.raw_dir / str(YEAR)

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_dir)

    def put(self, file_name: str, content: bytes | str | pa.Table) -> Path:
        path = self.folder / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ingest(self, name: str) -> Account:
        """Ingest, and hold the account against the lake."""
        account = ingest(self.backend, self.lake, self.settings, name, YEAR)
        assert account.delivered == account.kept + account.ignored + account.quarantined
        assert account.kept == len(self.rows(name))
        assert account.quarantined == len(self.quarantine(name)) == sum(account.quarantined_by_reason.values())
        assert account == Account.of(self.lake, _raw(name), YEAR)
        assert list(self.lake.spill_dir().iterdir()) == []
        return account

    def take(self, file_name: str, content: bytes | str | pa.Table) -> Account:
        self.put(file_name, content)
        return self.ingest(file_name.partition(".")[0])

    def rows(self, name: str) -> list[dict[str, Any]]:
        return _rows(self.lake.path(_raw(name), YEAR))

    def values(self, name: str, column: str) -> list[Any]:
        return [row[column] for row in self.rows(name)]

    def quarantine(self, name: str) -> list[Quarantined]:
        rows = _rows(self.lake.quarantine_path(_raw(name), YEAR))
        return [(row["line"], row["column"], row["reason"], row["raw_line"]) for row in rows]

    def refused(self, name: str) -> str:
        """The message with which the delivery is refused; an earlier partition must be as it was."""
        paths = [self.lake.path(_raw(name), YEAR), self.lake.quarantine_path(_raw(name), YEAR)]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(b"the earlier partition")
        before = files_of(self.settings.lake_dir)
        with pytest.raises(DeliveryError) as raised:
            ingest(self.backend, self.lake, self.settings, name, YEAR)
        assert files_of(self.settings.lake_dir) == before
        return str(raised.value)


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _raw(name: str) -> Table:
    return LAKE_TABLES[f"raw_{name}"]


def _rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path, partitioning=None).to_pylist()

"""One dataset of one year: from the delivered file to the lake, with an account of every row.

delivered = kept + ignored by rule + quarantined. The keys of patients and households are made here and the pseudonyms
are left behind: a key is the first 64 bits of SHA-256 over secret and pseudonym, so equal pseudonyms get equal keys in
every dataset and year, and nobody without the secret can go back.

An optional dataset that was not delivered is an empty table, whose account names no file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _
from ibis.backends.duckdb import Backend

from mm_pipeline import catalogue
from mm_pipeline.errors import DeliveryError
from mm_pipeline.ingest import files, manifest, reader
from mm_pipeline.ingest.contract import DATASETS, OPTIONAL, Dataset, Key
from mm_pipeline.settings import Settings
from mm_pipeline.statistic.residence import superseded
from mm_pipeline.storage.lake import Lake, Provenance
from mm_pipeline.storage.scratch import scratch

T = TypeVar("T")

KEPT, IGNORED = 0, -1
"""Verdicts on a row; a positive verdict k means: quarantined by rule k (from 1)."""


@dataclass(frozen=True)
class Account:
    """What became of the rows of one delivered file; kept in the footer of the raw partition."""

    file: str
    """Empty: an optional dataset that was not delivered."""
    sha256: str
    version: str
    """Version of the delivery by its manifest; empty without one."""
    delivered: int
    kept: int
    ignored: int
    ignored_reason: str
    quarantined: int
    quarantined_by_reason: dict[str, int]
    extra_columns: list[str]
    key_collisions: int
    sample: float = 1.0
    """Share of the population that the delivery holds, by its manifest."""

    @classmethod
    def of(cls, lake: Lake, table: catalogue.Table, year: int) -> "Account":
        return cls(**lake.provenance(table, year).details)


def ingest(backend: Backend, lake: Lake, settings: Settings, name: str, year: int) -> Account:
    """Read dataset ``name`` of ``year`` into its raw table and its quarantine.

    Raises :class:`DeliveryError` when the file breaks its contract as a whole; the lake is untouched then.
    """
    dataset = DATASETS[name](year)
    folder = settings.raw_dir / str(year)
    announced = manifest.read(folder)
    if name in OPTIONAL and not files.candidates(folder, name):
        _refuse_if_sent(folder, name, announced)
        account, kept, quarantine = _nothing(dataset, announced)
    else:
        with scratch(lake) as own:
            file = files.look(files.find(folder, name), own)
            account, kept, quarantine = _taken(backend, settings, dataset, file, announced, own)
    provenance = Provenance(
        synthetic=announced.synthetic,
        details=asdict(account),
        sources={f"deliveries/{account.file}": account.sha256} if account.file else {},
    )
    lake.write_quarantine(backend, dataset.table, year, ibis.memtable(quarantine), provenance)
    lake.write(backend, dataset.table, year, kept, provenance)
    return account


def _taken(
    backend: Backend,
    settings: Settings,
    dataset: Dataset,
    file: files.DeliveredFile,
    announced: manifest.Manifest,
    scratch: Path,
) -> tuple[Account, ir.Table, pa.Table]:
    """What a delivered file comes to: the account of its rows, those that are kept, and those that are quarantined."""
    _hold_against_manifest(file, announced, None)
    judgement = _judgement(dataset, settings.patient_key_secret())
    reading = reader.read(backend, file, dataset, dict(settings.aliases), judgement, scratch)
    _hold_against_manifest(file, announced, reading.delivered_rows)
    counts = dict(backend.con.execute("SELECT verdict, count(*) FROM judged GROUP BY verdict").fetchall())
    quarantine = _quarantined(backend, file, dataset, reading)
    collisions = sum(_find_repeated(backend, key) for key in dataset.keys)
    if dataset.name == "beneficiaries":
        earlier = _drop_superseded(backend)
        counts = {KEPT: counts.get(KEPT, 0) - earlier, IGNORED: earlier}
    account = Account(
        file=file.path.name,
        sha256=file.sha256,
        version=announced.version,
        delivered=reading.delivered_rows,
        kept=counts.get(KEPT, 0),
        ignored=counts.get(IGNORED, 0),
        ignored_reason=dataset.ignored_reason,
        quarantined=quarantine.num_rows,
        quarantined_by_reason=_by_reason(quarantine),
        extra_columns=reading.columns.extra,
        key_collisions=collisions,
        sample=announced.sample,
    )
    return account, backend.table("judged").filter(_.verdict == KEPT), quarantine


def _nothing(dataset: Dataset, announced: manifest.Manifest) -> tuple[Account, ir.Table, pa.Table]:
    """An optional dataset that was not delivered, or was withdrawn: empty tables take the place of the earlier ones."""
    account = Account(
        file="",
        sha256="",
        version=announced.version,
        delivered=0,
        kept=0,
        ignored=0,
        ignored_reason=dataset.ignored_reason,
        quarantined=0,
        quarantined_by_reason={},
        extra_columns=[],
        key_collisions=0,
        sample=announced.sample,
    )
    return account, ibis.memtable(dataset.table.schema.empty_table()), catalogue.QUARANTINE.schema.empty_table()


def _refuse_if_sent(folder: Path, name: str, announced: manifest.Manifest) -> None:
    """A dataset may be optional; what the manifest says was sent must be there, and under a name that is read."""
    if alike := files.lookalikes(folder, name):
        names = " or ".join(f"{name}{suffix}" for suffix in files.FORMATS)
        raise DeliveryError(
            f"{folder.name}: {', '.join(alike)} cannot be read under this name; expected {names}. Rename the file and "
            "materialise the year again, or move it away if it is none of this year's."
        )
    if lost := [file for file in announced.files if file.partition(".")[0] == name]:
        raise DeliveryError(
            f"{folder.name}: {name} is missing; {manifest.NAME} announces {', '.join(lost)}, so it is expected in "
            f"data/raw/{folder.name}/. Put the file there and materialise the year again; if it was withdrawn, ask the "
            "sender for a manifest without it."
        )


def _hold_against_manifest(file: files.DeliveredFile, announced: manifest.Manifest, rows: int | None) -> None:
    """First the bytes (before reading), then the rows (after it)."""
    if file.path.name not in announced.files:
        return
    expected = announced.files[file.path.name]
    advice = "The file or its manifest is not the right one: ask the sender, or copy both again."
    if rows is None and expected.sha256 is not None and expected.sha256 != file.sha256:
        raise DeliveryError(
            f"{file.label}: its SHA-256 is {file.sha256}; {manifest.NAME} announces {expected.sha256}. {advice}"
        )
    if rows is not None and expected.rows is not None and expected.rows != rows:
        raise DeliveryError(f"{file.label}: it has {rows} rows; {manifest.NAME} announces {expected.rows}. {advice}")


def _judgement(dataset: Dataset, secret: str) -> reader.Judgement:
    """The table ``judged``: typed columns, keys, and the verdict on each row."""
    cases = [f"WHEN {rule.broken} THEN {k}" for k, rule in enumerate(dataset.rules, 1)]
    cases.insert(dataset.rules_first, f"WHEN {dataset.ignored} THEN {IGNORED}")
    typed = ", ".join(f"{sql} AS typed_{column}" for column, sql in dataset.typed.items())
    columns = ", ".join(f"typed_{column} AS {column}" for column in dataset.typed)
    keys = ", ".join(map(_key, dataset.keys))
    verdict = f"(CASE {' '.join(cases).replace('typed.', 'typed_')} ELSE {KEPT} END)::SMALLINT"
    return reader.Judgement("judged", f"{verdict} AS verdict, {keys}, {columns}", typed, {"secret": secret})


def _key(key: Key) -> str:
    """SQL of a key, and of a second, unrelated hash that tells two pseudonyms with one key apart."""
    digest = f"('0x' || left(sha256($secret || '{key.mark}' || {key.pseudonym}), 16))::UBIGINT"
    return (
        f"({digest}::HUGEINT - 9223372036854775808)::BIGINT AS {key.column}, "
        f"hash({key.pseudonym}) AS hash_of_{key.pseudonym}"
    )


def _find_repeated(backend: Backend, key: Key) -> int:
    """Make ``repeated_<key>``: keys with several kept rows. Return how many keys stand for two pseudonyms."""
    # Two pseudonyms are looked for only among these: two more hashes for everybody would cost a third of the time.
    backend.con.execute(
        f"""CREATE OR REPLACE TEMP TABLE repeated_{key.column} AS
        SELECT {key.column} FROM judged WHERE verdict = {KEPT} GROUP BY {key.column} HAVING count(*) > 1"""
    )
    pseudonym = f"hash_of_{key.pseudonym}"
    return backend.con.execute(
        f"""SELECT count(*) FROM (
            SELECT {key.column} FROM judged SEMI JOIN repeated_{key.column} USING ({key.column}) WHERE verdict = {KEPT}
            GROUP BY {key.column} HAVING min({pseudonym}) <> max({pseudonym}))"""
    ).fetchall()[0][0]


def _drop_superseded(backend: Backend) -> int:
    """Drop the earlier residences of persons with several from ``judged``; return how many rows they were."""
    judged = backend.table("judged")
    several = judged.mutate(row=judged.rowid()).filter(_.verdict == KEPT)
    several = several.semi_join(backend.table("repeated_patient_key"), "patient_key")
    # Not left out by a join while the table is written: a join loses the order of the rows.
    earlier = f"SELECT row FROM ({backend.compile(superseded(several))})"
    return backend.con.execute(f"DELETE FROM judged WHERE rowid IN ({earlier})").fetchall()[0][0]


def _quarantined(backend: Backend, file: files.DeliveredFile, dataset: Dataset, reading: reader.Reading) -> pa.Table:
    """The bad rows with line, column, reason and raw line. The file is only read again if there are any."""
    found = backend.con.execute("SELECT rowid AS row, verdict FROM judged WHERE verdict > 0 ORDER BY row").fetchnumpy()
    faults = {k: (reading.columns.delivered_name(rule.column), rule.reason) for k, rule in enumerate(dataset.rules, 1)}
    verdicts = dict(zip(found["row"].tolist(), found["verdict"].tolist(), strict=True))
    if not verdicts and not reading.bad_lines:
        return catalogue.QUARANTINE.schema.empty_table()
    if file.text is None:
        rows = ((row + 1, *faults[verdicts[row]], raw) for row, raw in reader.parquet_rows(backend, file, found["row"]))
    else:
        reasons = {bad.number: bad.reason for bad in reading.bad_lines}
        rows = (
            (number, *(("", reasons[number]) if ordinal is None else faults[verdicts[ordinal]]), raw)
            for ordinal, number, raw in reader.locate(file, reasons, verdicts)
        )
    return pa.Table.from_batches(map(_batch, batched(rows, 100_000)), catalogue.QUARANTINE.schema)


def _batch(rows: Sequence[tuple[int, str, str, str]]) -> pa.RecordBatch:
    arrays = [
        pa.array(values, field.type)
        for values, field in zip(zip(*rows, strict=True), catalogue.QUARANTINE.schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=catalogue.QUARANTINE.schema)


def _by_reason(quarantine: pa.Table) -> dict[str, int]:
    counts = quarantine.group_by(["column", "reason"]).aggregate([([], "count_all")]).to_pylist()
    return dict(sorted((f"{row['column'] or 'line'}: {row['reason']}", row["count_all"]) for row in counts))


def batched(rows: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """``itertools.batched``, which Python 3.11 does not have yet."""
    iterator = iter(rows)
    while batch := tuple(islice(iterator, size)):
        yield batch

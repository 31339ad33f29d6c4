"""Ingestion of one dataset of one year: from the delivered file to the lake, with an account of every row.

delivered = kept + ignored by rule + quarantined. The keys of patients and households are made here and the pseudonyms
are left behind: a key is the first 64 bits of SHA-256 over secret and pseudonym, so equal pseudonyms get equal keys in
every dataset and year, and without the secret nobody can get back from key to pseudonym.

An optional dataset that was not delivered becomes an empty table, whose account names no file.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _
from ibis.backends.duckdb import Backend

from mm_pipeline import schemas
from mm_pipeline.errors import DeliveryError, OperatorError, SettingsError
from mm_pipeline.files import safe_names
from mm_pipeline.ingest import files, manifest, reader
from mm_pipeline.ingest.contract import DATASETS, KEYS, OPTIONAL, Dataset
from mm_pipeline.ingest.files import DeliveredFile
from mm_pipeline.settings import Settings, check_value
from mm_pipeline.statistic.residence import superseded
from mm_pipeline.storage.lake import Lake, Provenance
from mm_pipeline.storage.scratch import scratch

BadRow: TypeAlias = tuple[int, str, str, str]
"""Line, column, reason and raw line."""

MOST_QUARANTINED_BYTES = 1 << 29
"""Bytes of raw lines in the quarantine, at most, as they are collected in memory."""

LOOKED_AT_WHOLE = 1 << 25
"""Bytes of a file up to which every identifier is checked for lost digits; in larger files a sample tells as much."""

ENOUGH_LOST = 20
"""Digits that must be lost in all to refuse a column: one in each of twenty numbers of 16 digits, three in seven of 18."""

MOST_ENDINGS, MOST_FLOATS = 0.4, 0.9
"""Shares of the long numbers of a column above which it was rounded: zeros after the 15th digit, and floating-point values.

By chance these are a tenth, and at most half, of all whole numbers.
"""

ENOUGH_WITH_POINT = 5
"""Different identifiers that must end in .0, and nearly all, to refuse a column: a single pseudonym may look like that."""

FLOAT, WITH_POINT = -1, -2
"""Verdicts on an identifier, besides the number of zeros after the 15th digit: a floating-point value; ends in .0."""

KEPT, IGNORED = 0, -1
"""Verdicts on a row. A positive verdict k: quarantined by rule k, from 1."""


@dataclass(frozen=True)
class Account:
    """Account of the rows of one delivered file, stored in the footer of the raw partition."""

    file: str
    """Name of the file; empty for an optional dataset that was not delivered."""
    sha256: str
    version: str
    """Version of the delivery in its manifest; empty without one."""
    delivered: int
    kept: int
    ignored: int
    ignored_reason: str
    quarantined: int
    quarantined_by_reason: dict[str, int]
    extra_columns: list[str]
    key_collisions: int
    sample: float = 1.0
    """Share of the population that the delivery holds, as in its manifest."""
    settings: dict[str, str] = field(default_factory=dict)
    """The settings that change a figure; empty in a table of an earlier version of the program."""
    manifest_sha256: str = ""
    """SHA-256 of the manifest; empty without one."""
    key_check: str = ""
    """Fingerprint of the secret of the keys (``Settings.key_check``); empty: unknown, or no keys."""

    @classmethod
    def of(cls, lake: Lake, table: schemas.Table, year: int) -> "Account":
        return cls(**lake.provenance(table, year).details)


def ingest(backend: Backend, lake: Lake, settings: Settings, name: str, year: int) -> Account:
    """Read dataset ``name`` of ``year`` into its raw table and its quarantine.

    Returns the account of its rows. Raises :class:`DeliveryError` if the file as a whole breaks its contract; then the lake
    is not changed.
    """
    dataset = DATASETS[name](year, settings.legal_ids)
    folder = files.year_folder(settings.raw_dir, year)
    announced = manifest.read(folder)
    if name in OPTIONAL and not files.candidates(folder, name):
        _refuse_if_sent(folder, name, announced)
        account = Account("", "", announced.version, 0, 0, 0, dataset.ignored_reason, 0, {}, [], 0)
        kept = ibis.memtable(dataset.table.schema.empty_table())
        quarantine = schemas.QUARANTINE.schema.empty_table()
    else:
        with scratch(lake) as own:
            file = files.scan(files.find(folder, name), own, settings.largest_delivery_bytes)
            with _at_rest(file, settings):
                account, kept, quarantine = _taken(backend, settings, dataset, file, announced, own)
    announced.hold_unchanged(folder)
    account = replace(
        account,
        sample=announced.sample,
        settings=settings.of_figures,
        manifest_sha256=announced.sha256,
    )
    sources = {account.file: account.sha256, manifest.NAME: announced.sha256}
    provenance = Provenance(
        synthetic=announced.synthetic,
        details=asdict(account),
        sources={f"deliveries/{file}": sha256 for file, sha256 in sources.items() if file and sha256},
        key_check=account.key_check,
    )
    lake.write_quarantine(backend, dataset.table, year, ibis.memtable(quarantine), provenance)
    lake.write(backend, dataset.table, year, kept, provenance)
    return account


@contextmanager
def _at_rest(file: DeliveredFile, settings: Settings) -> Iterator[None]:
    """Require that the file stays the same while it is read: by the scan, by the engine, and for the quarantine.

    Errors during the block are only examined if it did, else the change is the error.
    """
    try:
        yield
    except Exception as error:
        file.hold_unchanged()
        if isinstance(error, duckdb.OutOfMemoryException):
            raise OperatorError(
                f"{file.label} needs more memory and disk than the engine may take; expected {settings.memory_limit} of "
                "memory and the free part of the disk of data/lake to be enough. Raise MM_MEMORY_LIMIT or make room, and "
                "materialise the year again."
            ) from None
        if isinstance(error, duckdb.Error):  # its text may quote a value
            raise DeliveryError(
                f"{file.label} cannot be read by the engine ({type(error).__name__}); expected it to read what was looked "
                "at. Nothing was kept. Please report this, with the kind of the file."
            ) from None
        raise
    file.hold_unchanged()


def _taken(
    backend: Backend,
    settings: Settings,
    dataset: Dataset,
    file: DeliveredFile,
    announced: manifest.Manifest,
    scratch: Path,
) -> tuple[Account, ir.Table, pa.Table]:
    """Read a delivered file. Returns the account of its rows, the kept rows and the quarantined rows."""
    _hold_against_manifest(file, announced)
    try:
        secret = settings.patient_key_secret(synthetic=announced.synthetic)
    except SettingsError as error:
        raise DeliveryError(f"{file.label} is not read: {error}") from None
    judge = partial(_judge, backend, dataset, secret, _one_in(file))
    with files.readable(file.path):
        reading = reader.read(backend, settings, file, dataset, judge, scratch)
    rows = announced.of(file.path).rows
    if rows not in (None, reading.delivered_rows):
        raise _not_as_announced(file, f"it has {reading.delivered_rows} rows", rows)
    counts = dict(backend.con.execute("SELECT verdict, count(*) FROM judged GROUP BY verdict").fetchall())
    _refuse_lost_digits(backend, file, dataset, reading.columns, settings.legal_ids)
    quarantine = _quarantined(backend, file, dataset, reading, counts)
    collisions = sum(_find_repeated(backend, name) for name in dataset.identifiers if name in KEYS)
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
        key_check=check_value(secret),
    )
    return account, backend.table("judged").filter(_.verdict == KEPT), quarantine


def _refuse_if_sent(folder: Path, name: str, announced: manifest.Manifest) -> None:
    """Raise :class:`DeliveryError` if an optional dataset is missing that was sent, by the manifest or by its name."""
    if alike := files.lookalikes(folder, name):
        names = " or ".join(f"{name}{suffix}" for suffix in files.FORMATS)
        raise DeliveryError(
            f"{folder.name}: {safe_names.listed(alike)} cannot be read under this name; expected {names}. Rename the "
            "file and materialise the year again, or move it away if it is none of this year's."
        )
    if lost := [file for file in announced.files if file.partition(".")[0] == name]:
        raise DeliveryError(
            f"{folder.name}: {name} is missing; {manifest.NAME} announces {safe_names.listed(lost)}, so it is expected in "
            f"data/raw/{folder.name}/. Put the file there and materialise the year again; if it was withdrawn, ask the "
            "sender for a manifest without it."
        )


def _hold_against_manifest(file: DeliveredFile, announced: manifest.Manifest) -> None:
    """Raise :class:`DeliveryError` if the manifest announces other bytes, another name, or a missing file of no dataset."""
    # Files of other datasets are checked with these.
    own = file.path.name.partition(".")[0]
    others = DATASETS.keys() - {own}
    for name in announced.files.keys() - {file.path.name}:
        is_data = files.is_like(name, own) and name.lower().endswith(files.FORMATS)
        is_there = os.path.lexists(file.path.parent / name)
        if is_data or not (is_there or any(files.is_like(name, other) for other in others)):
            raise DeliveryError(
                f"{file.label}: {manifest.NAME} announces {safe_names.shown(name)}, which is "
                f"{'not what is read' if is_there else 'not there'}; expected every file as it was announced. Put it there "
                "as it was sent (packed or not, under this name), or ask the sender for the right manifest."
            )
    sha256 = announced.of(file.path).sha256
    if sha256 not in (None, file.sha256):
        raise _not_as_announced(file, f"its SHA-256 is {file.sha256}", sha256)


def _not_as_announced(file: DeliveredFile, found: str, announced: object) -> DeliveryError:
    return DeliveryError(
        f"{file.label}: {found}; {manifest.NAME} announces {announced}. "
        "The file or its manifest is not the right one: ask the sender, or copy both again."
    )


def _judge(backend: Backend, dataset: Dataset, secret: str, every: int, delivered: str) -> int:
    """Make the table ``judged`` of the query ``delivered``, row by row and in order. Returns the number of rows.

    Columns: the typed columns, the keys, the verdict on the row, and for one identifier in ``every`` whether it looks
    rounded. A single statement, so that the engine types and hashes some rows while it reads others.
    """
    cases = [f"WHEN {rule.broken} THEN {k}" for k, rule in enumerate(dataset.rules, 1)]
    cases.insert(dataset.rules_first, f"WHEN {dataset.ignored} THEN {IGNORED}")
    typed = ", ".join(f"{sql} AS typed_{column}" for column, sql in dataset.typed.items())
    columns = ", ".join(f"typed_{column} AS {column}" for column in dataset.typed)
    keys = [_key(name) for name in dataset.identifiers if name in KEYS]
    lost = [_digits_lost(name, every) for name in dataset.identifiers]
    verdict = f"(CASE {' '.join(cases).replace('typed.', 'typed_')} ELSE {KEPT} END)::SMALLINT"
    query = (
        f"SELECT {verdict} AS verdict, {', '.join(keys + lost)}, {columns} FROM (SELECT *, {typed} FROM ({delivered}))"
    )
    backend.con.execute(f"CREATE OR REPLACE TEMP TABLE judged AS {query}", {"secret": secret})
    return backend.con.execute("SELECT count(*) FROM judged").fetchall()[0][0]


def _key(pseudonym: str) -> str:
    """SQL of a key, and of a second, independent hash that distinguishes two pseudonyms with the same key."""
    key, mark = KEYS[pseudonym]
    digest = f"('0x' || left(sha256($secret || '{mark}' || {pseudonym}), 16))::UBIGINT"
    return f"({digest}::HUGEINT - 9223372036854775808)::BIGINT AS {key}, hash({pseudonym}) AS hash_of_{pseudonym}"


def _one_in(file: DeliveredFile) -> int:
    """The n of "one in n identifiers is checked for lost digits"."""
    return 1 + file.unpacked.stat().st_size // LOOKED_AT_WHOLE


def _digits_lost(column: str, every: int) -> str:
    """SQL of ``lost_<column>``: how an identifier may have lost digits. For one in ``every``; NULL for the others.

    For a number of 16 to 38 digits: the number of digits after the 15th, if these are all zeros (a spreadsheet keeps 15 and
    fills up); else ``FLOAT``, if it is above 2^53 and exactly a floating-point value; else 0. For a number that ends in .0:
    ``WITH_POINT``. For anything else NULL.
    """
    number = f"{column}::HUGEINT"
    is_looked_at = f"{column} >= '0' AND {column} < ':' AND hash({column}) % {every} = 0"
    is_long = f"length({column}) BETWEEN 16 AND 38 AND regexp_full_match({column}, '[0-9]+')"
    return f"""CASE WHEN NOT ({is_looked_at}) THEN NULL
        WHEN {is_long} THEN CASE
            WHEN rtrim(substr({column}, 16), '0') = '' THEN length({column}) - 15
            WHEN {number} > {1 << 53} AND {number}::DOUBLE::HUGEINT = {number} THEN {FLOAT} ELSE 0 END
        WHEN ends_with({column}, '.0') AND regexp_full_match({column}, '[0-9]+\\.0') THEN {WITH_POINT}
        END::TINYINT AS lost_{column}"""


def _refuse_lost_digits(
    backend: Backend, file: DeliveredFile, dataset: Dataset, columns: reader.Columns, legal: Collection[str]
) -> None:
    """Raise :class:`DeliveryError` if a column of identifiers went through a spreadsheet or a floating-point number.

    Then different persons became one, or a person is spelt differently elsewhere. ``legal`` may name columns that are right
    as they are (``MM_LEGAL_IDS``).
    """
    for column, told_apart_by in dataset.identifiers.items():
        if column in legal:
            continue
        of_kept = f"FROM judged WHERE verdict = {KEPT}"
        long, zeros, floats, points, rows = backend.con.execute(
            f"""SELECT count(*) FILTER (lost_{column} >= {FLOAT}), count(*) FILTER (lost_{column} > 0),
                count(*) FILTER (lost_{column} = {FLOAT}), count(*) FILTER (lost_{column} = {WITH_POINT}), count(*)
                {of_kept}"""
        ).fetchall()[0]
        is_rounded = zeros > MOST_ENDINGS * long or (zeros + floats) > MOST_FLOATS * long
        if not (is_rounded or points):
            continue
        lost, of_points = backend.con.execute(
            f"""SELECT sum(abs(lost)) FILTER (lost >= {FLOAT}), count(*) FILTER (lost = {WITH_POINT})
            FROM (SELECT DISTINCT {told_apart_by}, lost_{column} AS lost {of_kept} AND lost_{column} <> 0)"""
        ).fetchall()[0]
        if is_rounded and (lost or 0) >= ENOUGH_LOST:
            raise DeliveryError(
                f"{file.label}, column {columns.delivered_name(column)}: many of its numbers of 16 digits and more are "
                "rounded to 15 digits, or to what a floating-point number holds; expected whole identifiers. Digits are "
                "lost, and different persons or houses have become one. Nothing was kept: ask the sender to deliver the "
                "identifiers as text, without a spreadsheet in between; if these are whole, set "
                f"MM_LEGAL_IDS={column}."
            )
        if of_points >= ENOUGH_WITH_POINT and points > MOST_FLOATS * rows / _one_in(file):
            raise DeliveryError(
                f"{file.label}, column {columns.delivered_name(column)}: its identifiers end in .0; expected them as they "
                "are in the other files. They went through a column of numbers and would be found nowhere. Nothing was "
                f"kept: ask the sender to deliver them as text; if they are so everywhere, set MM_LEGAL_IDS={column}."
            )


def _find_repeated(backend: Backend, pseudonym: str) -> int:
    """Make ``repeated_<key>``: keys with several kept rows. Returns the number of keys that stand for two pseudonyms."""
    key, _mark = KEYS[pseudonym]
    # Collisions are sought only among these: two more hashes for everybody would cost a third of the time.
    backend.con.execute(
        f"""CREATE OR REPLACE TEMP TABLE repeated_{key} AS
        SELECT {key} FROM judged WHERE verdict = {KEPT} GROUP BY {key} HAVING count(*) > 1"""
    )
    return backend.con.execute(
        f"""SELECT count(*) FROM (
            SELECT {key} FROM judged SEMI JOIN repeated_{key} USING ({key}) WHERE verdict = {KEPT}
            GROUP BY {key} HAVING min(hash_of_{pseudonym}) <> max(hash_of_{pseudonym}))"""
    ).fetchall()[0][0]


def _drop_superseded(backend: Backend) -> int:
    """Drop the earlier residences of persons with several from ``judged``. Returns the number of rows."""
    judged = backend.table("judged")
    several = judged.mutate(row=judged.rowid()).filter(_.verdict == KEPT)
    several = several.semi_join(backend.table("repeated_patient_key"), "patient_key")
    # Not by a join while the table is written, as a join loses the order of the rows.
    earlier = f"SELECT row FROM ({backend.compile(superseded(several))})"
    return backend.con.execute(f"DELETE FROM judged WHERE rowid IN ({earlier})").fetchall()[0][0]


def _quarantined(
    backend: Backend, file: DeliveredFile, dataset: Dataset, reading: reader.Reading, counts: dict[int, int]
) -> pa.Table:
    """The bad rows with line, column, reason and raw line. The file is read again only if there are any.

    ``counts``: rows by verdict. Raises :class:`DeliveryError` if there are more bad ones than the quarantine can hold.
    """
    broken = {verdict: count for verdict, count in counts.items() if verdict > 0}
    if (bad := sum(broken.values()) + len(reading.bad_lines)) > reader.MOST_BAD:
        rule = dataset.rules[min(broken, key=lambda k: (-broken[k], k)) - 1] if broken else None
        reason = f"{rule.column}, {rule.reason}" if rule else "the line"
        raise reader.too_many_bad(file, f"{bad} of {reading.delivered_rows}", reason)
    schema = schemas.QUARANTINE.schema
    if not bad:
        return schema.empty_table()
    found = backend.con.execute("SELECT rowid AS row, verdict FROM judged WHERE verdict > 0 ORDER BY row").fetchnumpy()
    faults = {k: (reading.columns.delivered_name(rule.column), rule.reason) for k, rule in enumerate(dataset.rules, 1)}
    verdicts = dict(zip(found["row"].tolist(), found["verdict"].tolist(), strict=True))
    if file.text is None:
        rows = ((row + 1, *faults[verdicts[row]], raw) for row, raw in reader.parquet_rows(backend, file, found["row"]))
    else:
        rows = (
            (number, *(("", reading.bad_lines[number]) if ordinal is None else faults[verdicts[ordinal]]), raw)
            for ordinal, number, raw in reader.locate(file, reading.bad_lines, verdicts)
        )
    within_bounds, batches = _within_bounds(file, rows), []
    with files.readable(file.path):
        # In pieces, as the texts take more room in Python than in Arrow.
        while piece := list(islice(within_bounds, 100_000)):
            columns = zip(*piece, strict=True)
            batches.append(pa.RecordBatch.from_pydict(dict(zip(schema.names, columns, strict=True)), schema))
    return pa.Table.from_batches(batches, schema)


def _within_bounds(file: DeliveredFile, rows: Iterable[BadRow]) -> Iterator[BadRow]:
    """The same rows. Raises :class:`DeliveryError` if their raw lines do not fit into memory."""
    total = 0
    for row in rows:
        total += len(row[3])
        if total > MOST_QUARANTINED_BYTES:
            raise DeliveryError(
                f"{file.label}: its bad rows hold more than {safe_names.size(MOST_QUARANTINED_BYTES)}; expected a few bad "
                "rows at most. Nothing was kept: ask the sender to deliver the file again."
            )
        yield row


def _by_reason(quarantine: pa.Table) -> dict[str, int]:
    counts = quarantine.group_by(["column", "reason"]).aggregate([([], "count_all")]).to_pylist()
    return dict(sorted((f"{row['column'] or 'line'}: {row['reason']}", row["count_all"]) for row in counts))

"""Deliveries of any bytes: refused in words, or every row is accounted for and every kept figure is the right one."""

import datetime
import gzip
import io
import struct
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.backends.duckdb import Backend

from mm_pipeline.errors import DeliveryError
from mm_pipeline.ingest.reader import shown_names
from mm_pipeline_tests.properties.fuzz import plain_reader
from mm_pipeline_tests.properties.fuzz.cases import chance, hold_message, mutated, run
from mm_pipeline_tests.support.ingestion import YEAR, Ingestion, files_of
from mm_pipeline_tests.support.pipeline import settings_for

SECRET = "test secret"
NUMBERED = str.maketrans("qxzH", "1357")
"""Makes a number of a pseudonym."""
CASES = {"csv": 330, "csv.gz": 130, "parquet": 220}

_NUMBERS = (
    "1",
    "0",
    "-1",
    "+2",
    "1.0",
    "1.",
    "1.5",
    "007",
    "999999999",
    "9999999999",
    "9" * 400,
    "1e3",
    "0x1",
    "1_0",
    "NaN",
)
_NUMBERS += ("inf", "٣", "１", "1\u00a0", "\u200b1", "--1", "1,0", "½", "", " ", "-0")
_DATES = (f"{YEAR}-03-01", f"{YEAR}1231", f"{YEAR}-02-29", f"{YEAR}-02-30", "2562-03-01", "0000-01-01", "1440-07-01")
_DATES += (
    f"{YEAR}-3-1",
    f"01/03/{YEAR}",
    f"{YEAR}-03-01T00:00:00",
    "２０１９-03-01",
    "99999999",
    "-2019-01-01",
    "",
    "today",
)
_DATES += (
    f"{YEAR}-12-31",
    f"{YEAR + 1}-01-01",
    f"{YEAR - 1}-12-31",
    f"{YEAR}/03/01",
    f"{YEAR}-13-01",
    "5779-06-24",
    "infinity",
)
ODD = {
    "service_date": _DATES,
    "valid_from": _DATES,
    "quantity": _NUMBERS,
    "amount_eur": (*_NUMBERS, "30.50", "30,5", "30.500", "30.555", "-.5", "1.234,50", "€3", "999999999.99", "+0,10"),
    "nomenclature_code": ("109616", "109613", "0109616", "109616.0", "１０９６１６", "", "1" * 50),
    "birth_year": ("1980", "1980.0", "1893", "1894", "2019", "2020", "19８0", "80", "", "1980-01-01", "-1980"),
    "sex": ("M", "F", "m", "f", "1", "2", "2.0", "X", "", "Ｍ", "MF", "\u200bM"),
    "preferential": ("0", "1", "1.0", "2", "", "true", "01", "１"),
    "municipality_code": ("21004", "", "995", "0", "99999", "2100４", "\u202e21004", "21004.0", "21004,0"),
    "sector_code": ("21004A001", "21004ZZZZ", "", "x", "21004A00１"),
    "house_id": ("H1", "7", "", "H\u200b1", "é", "NULL", '"', "H\\1", "'", "1.2E+15", "1e+15", "12e34", ".", "#", "##"),
    "practice_id": (
        "G1",
        "7",
        "7.0",
        "",
        "N/A",
        "é",
        "NA",
        "\\N",
        "1E5",
        "1,5E3",
        ".x",
        "..",
        "unknown",
        "9" * 16 + ".0",
    ),
}
USUAL = {
    "service_date": f"{YEAR}-05-01",
    "valid_from": f"{YEAR}-01-01",
    "quantity": "1",
    "amount_eur": "30.50",
    "nomenclature_code": "109616",
    "birth_year": "1980",
    "sex": "F",
    "preferential": "0",
    "municipality_code": "21004",
    "sector_code": "21004A001",
    "house_id": "H1",
    "practice_id": "G1",
}


@pytest.fixture(scope="module")
def ingestion(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Ingestion:
    ingestion = Ingestion(backend, settings_for(tmp_path_factory.mktemp("fuzz"), id_key=SECRET))
    ingestion.folder.mkdir(parents=True)
    ingestion.lake.spill_dir()
    return ingestion


def canary(random: Random) -> str:
    """What all pseudonyms of a case begin with; nothing else does."""
    return "".join(random.choice("qxz49") for _ in range(8)) + "49"


def rows_of(random: Random, dataset: str, mark: str) -> list[dict[str, str]]:
    odd = random.choice((0.0, 0.03, 0.2))
    rows = []
    for i in range(random.choice((1, 3, 6, 6, 12))):
        row = {column: USUAL.get(column, "") for column in plain_reader.DATASETS[dataset]}
        row |= {column: random.choice(ODD[column]) for column in row if column in ODD and chance(random, odd)}
        row["patient_id"] = (
            f"{mark}{random.choice((i, i, 1))}" if not chance(random, odd) else random.choice(("", " ", '""'))
        )
        if "household_id" in row:
            row["household_id"] = f"{mark}H{i // 2}" if not chance(random, odd) else ""
        rows.append(row)
    return rows


def header_of(random: Random, dataset: str) -> list[tuple[str, str | None]]:
    """Delivered name and column of the contract: in any order, by another name, missing, twice, or beside others."""
    names = {column: [column] for column in plain_reader.DATASETS[dataset]}
    for alias, column in plain_reader.ALIASES.items():
        if column in names:
            names[column].append(alias)
    header: list[tuple[str, str | None]] = [
        (random.choice(names[column]) if chance(random, 0.2) else column, column) for column in names
    ]
    if chance(random, 0.3):
        random.shuffle(header)
    for _ in range(random.choice((0, 0, 0, 1, 3))):
        other = random.choice(
            ("note", "NOTE", "", "patient_id ", "é", "a b", "x\u202ey", "nom\u00a0", "PP0099", "sex2", "1")
        )
        header.insert(random.randint(0, len(header)), (other, None))
    if chance(random, 0.03):
        header.pop(random.randrange(len(header)))
    if chance(random, 0.03):
        header.append(random.choice(header))
    if chance(random, 0.1):
        header = [(name.upper() if chance(random, 0.5) else f" {name} ", column) for name, column in header]
    return header


def text_of(random: Random, dataset: str, mark: str) -> bytes:
    delimiter, end = random.choice(",;"), random.choice(("\n", "\n", "\r\n"))
    quoted = random.choice((0.0, 0.0, 0.1, 1.0))
    header = header_of(random, dataset)

    def value(text: str) -> str:
        if chance(random, quoted) or set(text) & {delimiter, '"', "\n"}:
            text = '"' + text.replace('"', '""') + '"'
        return text if not chance(random, 0.02) else random.choice((" ", "\t", "  ")) + text + random.choice(("", " "))

    lines = [delimiter.join(value(name) for name, _ in header)]
    for row in rows_of(random, dataset, mark):
        lines.append(delimiter.join(value(row[column] if column else "n") for _, column in header))
        if chance(random, 0.05):
            lines.append("")
    text = end.join(lines) + (end if chance(random, 0.8) else "")
    content = (b"\xef\xbb\xbf" if chance(random, 0.2) else b"") + text.encode()
    return mutated(random, content) if chance(random, 0.7) else content


def packed(random: Random, content: bytes) -> bytes:
    """A gzip of one member or several, perhaps with something after it, cut off, or with a wrong trailer."""
    at = random.randint(0, len(content))
    data = gzip.compress(content[:at]) + gzip.compress(content[at:]) if chance(random, 0.4) else gzip.compress(content)
    match random.randrange(10):
        case 0:
            return data + random.choice((b"\0", b"\0" * 512, b"x", b"\x1f\x8b", data[:9], gzip.compress(b"")))
        case 1:
            return data[: random.randint(0, len(data))]
        case 2:
            return data[:-8] + struct.pack("<II", random.getrandbits(32), random.getrandbits(32))
        case 3:
            return mutated(random, data, most=2)
    return data


_IDS = (pa.string(), pa.large_string(), pa.int64(), pa.int32(), pa.dictionary(pa.int32(), pa.string()))
_WRONG = (
    pa.null(),
    pa.float64(),
    pa.binary(),
    pa.list_(pa.string()),
    pa.struct([("a", pa.string())]),
    pa.decimal128(30, 3),
)
_WRONG += (pa.time32("s"), pa.duration("s"), pa.bool_(), pa.date32(), pa.timestamp("us"))
TYPES: dict[str, tuple[pa.DataType, ...]] = {
    "service_date": (
        pa.date32(),
        pa.timestamp("us"),
        pa.timestamp("ns"),
        pa.timestamp("ms", "UTC"),
        pa.int64(),
        pa.date64(),
    ),
    "quantity": (pa.int64(), pa.int8(), pa.uint64(), pa.float64(), pa.float32(), pa.decimal128(12, 1), pa.bool_()),
    "amount_eur": (pa.decimal128(12, 2), pa.decimal128(12, 4), pa.float64(), pa.int32(), pa.decimal256(40, 2)),
    "birth_year": (pa.int16(), pa.float64(), pa.uint32(), pa.date32()),
    "preferential": (pa.bool_(), pa.int8(), pa.float64()),
    "sex": (pa.int8(), pa.dictionary(pa.int8(), pa.string())),
    "municipality_code": (pa.int32(), pa.dictionary(pa.int16(), pa.string())),
    "sector_code": (pa.large_string(),),
    "nomenclature_code": (pa.int32(), pa.dictionary(pa.int32(), pa.string())),
}
TYPES["valid_from"] = TYPES["service_date"]


def column_of(random: Random, column: str, texts: list[str]) -> pa.Array:
    """The values as text, or in another type, as far as they can be of it."""
    plain = pa.array([text or None for text in texts] if chance(random, 0.5) else texts, pa.string())
    if chance(random, 0.6):
        return plain
    if column.endswith("_id"):
        wanted = random.choice(_IDS if chance(random, 0.8) else _WRONG)
    else:
        wanted = random.choice(TYPES[column])
        if chance(random, 0.1) and column not in ("municipality_code", "sector_code"):
            wanted = random.choice(_WRONG)
    values: list[Any] = []
    for text in texts:
        try:
            values.append(pa.scalar(_as(wanted, text), wanted).as_py())
        except (ValueError, TypeError, ArithmeticError, pa.ArrowException):
            values.append(None)
    try:
        return pa.array(values, wanted)
    except (ValueError, TypeError, pa.ArrowException):
        return plain


def _as(wanted: pa.DataType, text: str) -> Any:
    if pa.types.is_integer(wanted):
        return int(text.replace("-", ""))
    if pa.types.is_floating(wanted):
        return float(text)
    if pa.types.is_decimal(wanted):
        return Decimal(text)
    if pa.types.is_boolean(wanted):
        return text == "1"
    if pa.types.is_timestamp(wanted):
        zone = datetime.UTC if wanted.tz else None
        return datetime.datetime.fromisoformat(text).replace(hour=23, tzinfo=zone)
    if pa.types.is_date(wanted):
        return datetime.date.fromisoformat(text)
    return {"binary": text.encode(), "list": [text], "struct": {"a": text}}.get(str(wanted).partition("<")[0], text)


def parquet_of(random: Random, dataset: str, mark: str) -> bytes:
    rows = rows_of(random, dataset, mark)
    header = header_of(random, dataset)
    if chance(random, 0.4):  # the ids as numbers
        rows = [
            {name: value.translate(NUMBERED) if name == "patient_id" else value for name, value in row.items()}
            for row in rows
        ]
    arrays = [
        column_of(random, column, [row[column] for row in rows]) if column else pa.nulls(len(rows))
        for _, column in header
    ]
    target = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, [name for name, _ in header]),
        target,
        compression=random.choice(("snappy", "zstd", "none", "gzip", "brotli", "lz4")),
        use_dictionary=chance(random, 0.5),
        data_page_version=random.choice(("1.0", "2.0")),
        row_group_size=random.choice((2, 100)),
        version=random.choice(("1.0", "2.4", "2.6")),
        store_schema=chance(random, 0.5),
        write_page_checksum=chance(random, 0.3),
    )
    data = target.getvalue()
    return data


def damaged(random: Random, data: bytes) -> bytes:
    """A Parquet file with some wrong bytes, often in its footer."""
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little") if chance(random, 0.3) else 0
    return data[:at] + mutated(random, data[at:], most=2)


def rows_in(dataset: str, suffix: str, data: bytes) -> list[tuple[int, plain_reader.Row | None]]:
    """What lies there, as Python reads it."""
    if suffix == "parquet":
        return plain_reader.parquet_rows(dataset, pq.ParquetFile(io.BytesIO(data)).read())
    return plain_reader.text_rows(dataset, gzip.decompress(data) if suffix == "csv.gz" else data)


@pytest.mark.parametrize("suffix", CASES)
@pytest.mark.parametrize("dataset", plain_reader.DATASETS)
def test_delivery(ingestion: Ingestion, report: Callable[[str], None], dataset: str, suffix: str) -> None:
    name = f"test_delivery[{dataset}-{suffix}]"

    def case(random: Random) -> str:
        mark = canary(random)
        if suffix == "parquet":
            data = parquet_of(random, dataset, mark)
            if chance(random, 0.5):
                # A page has no check sum that must be there: which values a wrong byte leaves, no reader can report.
                return came(ingestion, dataset, suffix, damaged(random, data), mark, has_witness=False)
        else:
            data = text_of(random, dataset, mark)
            data = packed(random, data) if suffix == "csv.gz" else data
        return came(ingestion, dataset, suffix, data, mark)

    counts = run(name, CASES[suffix], case, report)
    assert counts.total() == 1 or counts.keys() >= {"refused", "taken"}


def came(ingestion: Ingestion, dataset: str, suffix: str, data: bytes, mark: str, *, has_witness: bool = True) -> str:
    """Ingest the file, and hold what becomes of it against what Python reads in it."""
    path = ingestion.folder / f"{dataset}.{suffix}"
    path.write_bytes(data)
    before = files_of(ingestion.settings.lake_dir)
    try:
        return _came(ingestion, dataset, suffix, data, mark, has_witness)
    except DeliveryError as error:
        refused = error
    finally:
        path.unlink()
    hold_message(refused, [mark[:6], mark.translate(NUMBERED)[:6], "Please report"])
    assert files_of(ingestion.settings.lake_dir) == before
    assert list(ingestion.lake.spill_dir().iterdir()) == []
    return "refused"


def _came(ingestion: Ingestion, dataset: str, suffix: str, data: bytes, mark: str, has_witness: bool) -> str:
    account = ingestion.ingest(dataset)
    for shown in (shown_names(account.extra_columns), *account.quarantined_by_reason):
        assert mark[:6] not in shown
    if not has_witness:
        return "taken damaged"
    rows = rows_in(dataset, suffix, data)
    assert account.delivered == len(rows)
    verdicts = [(number, row and plain_reader.bad_column(dataset, YEAR, row), row) for number, row in rows]
    assert [number for number, *_ in ingestion.quarantine(dataset)] == [
        number for number, column, row in verdicts if row is None or column not in (None, "ignored")
    ]
    kept = [row for _, column, row in verdicts if row is not None and column is None]
    assert sorted((tuple(row.values()) for row in ingestion.rows(dataset)), key=repr) == plain_reader.kept(
        dataset, YEAR, kept, SECRET
    )
    return "taken"

"""Parquet deliveries: every physical type is read as the text that a CSV file would have, and rows count from 1."""

import datetime
import decimal
import json
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline.errors import DeliveryError, OperatorError
from mm_pipeline.ingest import ingest
from mm_pipeline_tests.support.ingestion import GOOD, Ingestion, table
from mm_pipeline_tests.support.midnight import brussels

NAN = float("nan")
DAYS = [datetime.date(2019, 1, 1), datetime.date(2019, 12, 31)]
MOMENTS = [datetime.datetime(2019, 1, 1), datetime.datetime(2019, 12, 31, 21, 59, 59)]
DECIMALS = [decimal.Decimal("1.00"), decimal.Decimal("-2.00")]


def in_zone(name: str) -> list[datetime.datetime]:
    return [moment.replace(tzinfo=ZoneInfo(name)) for moment in MOMENTS]


@pytest.mark.parametrize(
    "dates",
    [
        pa.array(DAYS, pa.date32()),
        pa.array(DAYS, pa.date64()),
        *(pa.array(MOMENTS, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        pa.array(in_zone("UTC"), pa.timestamp("us", "UTC")),
        pa.array(in_zone("Europe/Brussels"), pa.timestamp("us", "Europe/Brussels")),
        pa.array([20190101, 20191231], pa.int64()),
        pa.array([20190101, 20191231], pa.int32()),
        pa.array([20190101.0, 20191231.0]),
        pa.array(["2019-01-01", "20191231"]),
        pa.array(["2019-01-01", "20191231"], pa.large_string()),
        pa.array(["2019-01-01", "20191231"]).dictionary_encode(),
        pa.array([b"2019-01-01", b"20191231"]),
    ],
    ids=lambda array: str(array.type).replace("dictionary<values=string, indices=int32, ordered=0>", "dictionary"),
)
def test_dates(ingestion: Ingestion, dates: pa.Array) -> None:
    ingestion.take("forfaits.parquet", table("forfaits", service_date=dates))
    assert ingestion.quarantine("forfaits") == []
    assert ingestion.values("forfaits", "service_date") == DAYS


def test_the_day_of_an_instant_is_that_of_belgium_on_any_machine(ingestion: Ingestion) -> None:
    """Midnight in Brussels, which is the day before in UTC, as Spark stores it."""
    instants = pa.array(
        [datetime.datetime(2018, 12, 31, 23), datetime.datetime(2019, 6, 30, 22)], pa.timestamp("us", "UTC")
    )
    days = [datetime.date(2019, 1, 1), datetime.date(2019, 7, 1)]
    zone = ingestion.backend.con.execute("SELECT current_setting('TimeZone')").fetchall()[0][0]
    try:
        for machine in ("UTC", "America/New_York", "Asia/Tokyo"):
            ingestion.backend.con.execute(f"SET TimeZone = '{machine}'")
            ingestion.take("forfaits.parquet", table("forfaits", service_date=instants))
            assert ingestion.values("forfaits", "service_date") == days
    finally:
        ingestion.backend.con.execute(f"SET TimeZone = '{zone}'")


def in_brussels(*days: datetime.date) -> list[datetime.datetime]:
    """Midnight in Brussels in UTC, as Spark stores a day."""
    zone = brussels()
    midnights = (datetime.datetime(day.year, day.month, day.day, tzinfo=zone) for day in days)
    return [midnight.astimezone(datetime.UTC).replace(tzinfo=None) for midnight in midnights]


BEGINS = [datetime.date(2019, month, 1) for month in range(1, 13)]


@pytest.mark.parametrize("unit", ["INT96", "ms", "us", "ns"])
@pytest.mark.parametrize("column", ["service_date", "valid_from"])
def test_instants_without_a_time_zone(ingestion: Ingestion, unit: str, column: str) -> None:
    """In winter they are an hour before midnight of the day before, in summer two."""
    name = "forfaits" if column == "service_date" else "beneficiaries"
    instants = pa.array(in_brussels(*BEGINS), pa.timestamp("us" if unit == "INT96" else unit))
    path = ingestion.put(f"{name}.parquet", b"")
    people = pa.array([f"P{n}" for n in range(12)])
    rows = table(name, 12, **{column: instants, "patient_id": people})
    pq.write_table(rows, path, use_deprecated_int96_timestamps=unit == "INT96")
    ingestion.ingest(name)
    assert ingestion.quarantine(name) == []
    assert ingestion.values(name, column) == BEGINS


@pytest.mark.parametrize("int96", [True, False])
@pytest.mark.parametrize(
    "moments",
    [
        [datetime.datetime(2019, 3, 1), *in_brussels(datetime.date(2019, 3, 2))],  # days, and instants
        [datetime.datetime(2019, 3, 1, 9), datetime.datetime(2019, 3, 1, 23, 30)],  # times of the day
        [*in_brussels(datetime.date(2019, 3, 1)), datetime.datetime(2019, 7, 1, 23)],  # one in summer, an hour off
    ],
)
def test_times_that_may_be_of_either_day(ingestion: Ingestion, moments: list[datetime.datetime], int96: bool) -> None:
    path = ingestion.put("forfaits.parquet", b"")
    rows = table("forfaits", service_date=pa.array(moments, pa.timestamp("us")))
    pq.write_table(rows, path, use_deprecated_int96_timestamps=int96)
    late = next(number for number, moment in enumerate(moments, 1) if moment.hour > 21)
    assert ingestion.refused("forfaits") == (
        f"2019/forfaits.parquet, row {late}, column service_date: a time late in the evening without a time zone, which is "
        "the next day in Brussels if it is in UTC; expected dates, or instants with a time zone. Ask the sender to deliver "
        "dates."
    )


def test_times_of_the_day_that_are_the_same_day_in_utc(ingestion: Ingestion) -> None:
    moments = [datetime.datetime(2019, 3, 1, 9), datetime.datetime(2019, 7, 1, 21, 59), None]
    ingestion.take("forfaits.parquet", table("forfaits", 3, service_date=pa.array(moments, pa.timestamp("us"))))
    assert ingestion.values("forfaits", "service_date") == [datetime.date(2019, 3, 1), datetime.date(2019, 7, 1)]
    assert [row[0] for row in ingestion.quarantine("forfaits")] == [3]


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("beneficiaries", "municipality_code", pa.array([21004, 62063], pa.float16())),
        ("forfaits", "service_date", pa.array([20190302.0, 20191232.0], pa.float32())),
        ("beneficiaries", "valid_from", pa.array([20190100.0, None], pa.float32())),
        ("dmg", "practice_id", pa.array([decimal.Decimal(9007199254740993)] * 2, pa.decimal256(40, 0))),
        ("dmg", "patient_id", pa.array([decimal.Decimal(3)] * 2, pa.decimal256(76, 30))),
        ("beneficiaries", "birth_year", pa.array([decimal.Decimal(1980)] * 2, pa.decimal256(39, 0))),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_types_that_lose_digits_are_refused(ingestion: Ingestion, name: str, column: str, values: pa.Array) -> None:
    """By themselves (float16 has three digits), or because the engine reads them as floating-point numbers."""
    ingestion.put(f"{name}.parquet", table(name, **{column: values}))
    assert ingestion.refused(name) == (
        f"2019/{name}.parquet, column {column}: the values are stored as {values.type}; expected a type that holds "
        "them whole "
        "(this one, or its reading here, loses digits). Ask the sender for whole numbers, decimals of up to 38 "
        "digits, dates "
        "or text."
    )


@pytest.mark.parametrize("scale", [0, 1, 10, 20])
@pytest.mark.parametrize("name", GOOD)
def test_whole_numbers_of_a_decimal_column_are_whole_numbers(ingestion: Ingestion, name: str, scale: int) -> None:
    """As databases have them: NUMBER becomes decimal(38, 10). In every column that holds numbers."""
    numbers = {
        "patient_id": 7, "house_id": 8, "practice_id": 9, "household_id": 10, "nomenclature_code": 109616, "quantity": 1,
        "birth_year": 1980, "sex": 2, "preferential": 1, "municipality_code": 21004, "service_date": 20190301,
        "valid_from": 20190101, "amount_eur": 30,
    }  # fmt: skip
    columns = [column for column in GOOD[name] if column in numbers]
    decimals = {column: pa.array([decimal.Decimal(numbers[column])], pa.decimal128(38, scale)) for column in columns}
    ingestion.take(f"{name}.parquet", table(name, 1, **decimals))
    assert ingestion.quarantine(name) == []
    (as_decimals,) = ingestion.rows(name)
    ingestion.take(f"{name}.parquet", table(name, 1, **{column: pa.array([numbers[column]]) for column in columns}))
    assert ingestion.rows(name) == [as_decimals]


@pytest.mark.parametrize(
    ("name", "column", "array", "read"),
    [
        ("forfaits", "quantity", pa.array([1, -2], pa.int8()), [1, -2]),
        ("forfaits", "quantity", pa.array([1.0, -2.0]), [1, -2]),
        ("forfaits", "quantity", pa.array(DECIMALS), [1, -2]),
        ("forfaits", "amount_eur", pa.array(DECIMALS), DECIMALS),
        ("forfaits", "amount_eur", pa.array([1.0, -2.25]), [decimal.Decimal("1.00"), decimal.Decimal("-2.25")]),
        (
            "forfaits",
            "amount_eur",
            pa.array([1.1, -2.2], pa.float32()),
            [decimal.Decimal("1.1"), decimal.Decimal("-2.2")],
        ),
        ("forfaits", "amount_eur", pa.array([1, -2]), DECIMALS),
        ("forfaits", "nomenclature_code", pa.array([109616, 109616]), ["109616", "109616"]),
        ("forfaits", "nomenclature_code", pa.array([109616.0, 109616.0]), ["109616", "109616"]),
        ("forfaits", "house_id", pa.array([7, -8]), ["7", "-8"]),
        ("forfaits", "house_id", pa.array([2**64 - 1, 8], pa.uint64()), ["18446744073709551615", "8"]),
        ("forfaits", "house_id", pa.array(["a", " b "], pa.large_string()), ["a", "b"]),
        ("forfaits", "house_id", pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        ("forfaits", "house_id", pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        ("beneficiaries", "preferential", pa.array([True, False]), [1, 0]),
        ("beneficiaries", "preferential", pa.array([1.0, 0.0]), [1, 0]),
        ("beneficiaries", "sex", pa.array([1, 2]), ["M", "F"]),
        ("beneficiaries", "sex", pa.array([1.0, 2.0], pa.float32()), ["M", "F"]),
        ("beneficiaries", "birth_year", pa.array([1980.0, 1990.0]), [1980, 1990]),
        ("beneficiaries", "municipality_code", pa.array([21004, None]), ["21004", None]),
        ("beneficiaries", "municipality_code", pa.array([21004.0, NAN]), ["21004", None]),
        ("beneficiaries", "valid_from", pa.array([None, DAYS[1]]), DAYS),
        ("beneficiaries", "valid_from", pa.array([NAN, 20191231.0]), DAYS),
        ("beneficiaries", "sector_code", pa.array([None, "  "]), [None, None]),
        ("beneficiaries", "sector_code", pa.nulls(2), [None, None]),
        ("dmg", "practice_id", pa.array([1, 2], pa.uint8()), ["1", "2"]),
        ("contributions", "house_id", pa.array([7, -8]), ["7", "-8"]),
        ("contributions", "amount_eur", pa.array(DECIMALS), DECIMALS),
        ("contributions", "amount_eur", pa.array([1.0, -2.0], pa.float32()), DECIMALS),
    ],
)
def test_values(ingestion: Ingestion, name: str, column: str, array: pa.Array, read: list[Any]) -> None:
    people = {"patient_id": pa.array(["P1", "P2"])} if column != "patient_id" else {}
    ingestion.take(f"{name}.parquet", table(name, **people, **{column: array}))
    assert ingestion.quarantine(name) == []
    assert ingestion.values(name, column) == read


@pytest.mark.parametrize(
    ("name", "column", "array", "reason"),
    [
        ("forfaits", "patient_id", pa.array([7, None]), "empty"),
        ("forfaits", "house_id", pa.array(["a", "\t"]), "empty"),
        ("forfaits", "service_date", pa.array([20190101, 20190230]), "not a date YYYY-MM-DD or YYYYMMDD"),
        ("forfaits", "service_date", pa.array([DAYS[0], None]), "not a date YYYY-MM-DD or YYYYMMDD"),
        ("forfaits", "service_date", pa.array([DAYS[0], datetime.date(2020, 1, 1)]), "a date outside 2019"),
        ("forfaits", "quantity", pa.array([1.0, 1.5]), "not a whole number"),
        ("forfaits", "quantity", pa.array([1.0, NAN]), "not a whole number"),
        ("forfaits", "quantity", pa.array([1.0, float("inf")]), "not a whole number"),
        ("forfaits", "quantity", pa.array([1, 10**10]), "not a whole number"),
        ("forfaits", "quantity", pa.array([[], []], pa.list_(pa.int64())), "not a whole number"),
        ("forfaits", "amount_eur", pa.array([27.4, 0.1 + 0.2]), "not an amount in euro with at most 2 decimals"),
        (
            "forfaits",
            "amount_eur",
            pa.array([decimal.Decimal("27.400"), decimal.Decimal("3.125")]),
            "not an amount in euro with at most 2 decimals",
        ),
        ("beneficiaries", "preferential", pa.array([True, None]), "not 0 or 1"),
        ("beneficiaries", "sex", pa.array([1, 3]), "not M or F (or 1 or 2)"),
        ("beneficiaries", "birth_year", pa.array([1980, 2020]), "a year of birth outside 1894 to 2019"),
        ("beneficiaries", "birth_year", pa.array([1980.0, 1980.5]), "not a year of four digits"),
        ("contributions", "patient_id", pa.array(["P1", None]), "empty"),
        ("contributions", "household_id", pa.array([7, None]), "empty"),
        ("contributions", "house_id", pa.array(["a", ""]), "empty"),
        ("contributions", "amount_eur", pa.array([2.5, NAN]), "not an amount in euro with at most 2 decimals"),
        ("contributions", "amount_eur", pa.array([2.5, 0.1 + 0.2]), "not an amount in euro with at most 2 decimals"),
    ],
)
def test_a_bad_row_has_its_number_from_1(
    ingestion: Ingestion, name: str, column: str, array: pa.Array, reason: str
) -> None:
    ingestion.take(f"{name}.parquet", table(name, **{column: array}))
    numbers = [1, 2] if pa.types.is_list(array.type) else [2]
    quarantine = ingestion.quarantine(name)
    assert [row[:3] for row in quarantine] == [(number, column, reason) for number in numbers]
    raw = json.loads(quarantine[-1][3])
    assert list(raw) == list(GOOD[name])
    others = {key: value for key, value in GOOD[name].items() if key != column}
    assert {key: value for key, value in raw.items() if key != column} == others


def test_the_raw_row_has_the_names_and_columns_of_the_file(ingestion: Ingestion) -> None:
    rows = pa.table(
        {
            "PP0010": [7, 8, 9],
            "remarque d'usage": ["a", 'l"été', None],
            "practice_id": ["G1", None, ""],
            "list": [[1], [2, 3], None],
            "share": [0.5, NAN, None],
        }
    )
    account = ingestion.take("dmg.parquet", rows)
    assert account.extra_columns == ["remarque d'usage", "list", "share"]
    quarantine = ingestion.quarantine("dmg")
    assert [row[:3] for row in quarantine] == [(2, "practice_id", "empty"), (3, "practice_id", "empty")]
    second, third = (json.loads(row[3]) for row in quarantine)
    assert str(second.pop("share")) == "nan"
    assert second == {"PP0010": 8, "remarque d'usage": 'l"été', "practice_id": None, "list": [2, 3]}
    assert third == {"PP0010": 9, "remarque d'usage": None, "practice_id": "", "list": None, "share": None}


def test_rows_of_many_row_groups(ingestion: Ingestion) -> None:
    practices = [None if i % 1000 == 999 else f"G{i}" for i in range(10_000)]
    rows = pa.table({"patient_id": range(10_000), "practice_id": practices})
    path = ingestion.put("dmg.parquet", b"")
    pq.write_table(rows, path, row_group_size=700)
    account = ingestion.ingest("dmg")
    assert (account.delivered, account.kept) == (10_000, 9_990)
    assert [row[0] for row in ingestion.quarantine("dmg")] == list(range(1000, 10_001, 1000))
    assert json.loads(ingestion.quarantine("dmg")[3][3])["patient_id"] == 3999
    assert ingestion.values("dmg", "practice_id") == [practice for practice in practices if practice]


@pytest.mark.parametrize(
    "identifiers",
    [
        pa.array([1.0, 2.0]),
        pa.array([1.0, None], pa.float32()),
        pa.array([b"1", b"2"]),
        pa.array([True, False]),
        pa.array(DAYS),
        pa.nulls(2),
    ],
    ids=lambda array: str(array.type),
)
@pytest.mark.parametrize(
    ("name", "column"),
    [("dmg", "patient_id"), ("dmg", "practice_id"), ("contributions", "household_id"), ("contributions", "house_id")],
)
def test_identifiers_are_whole_numbers_or_text(
    ingestion: Ingestion, identifiers: pa.Array, name: str, column: str
) -> None:
    ingestion.put(f"{name}.parquet", table(name, **{column: identifiers}))
    assert ingestion.refused(name) == (
        f"2019/{name}.parquet, column {column}: the identifiers are stored as {identifiers.type}; expected whole numbers or "
        "text (other types lose digits). Ask the sender to deliver them as text."
    )


def broken_text() -> pa.Array:
    """Text that is not UTF-8, which Arrow writes without looking."""
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    return pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"\xffb"))


class TestBrokenFiles:
    @pytest.mark.parametrize("cut", ["not Parquet", "first half", "last half", "a page"])
    def test_bytes(self, ingestion: Ingestion, cut: str) -> None:
        path = ingestion.put("dmg.parquet", pa.table({"patient_id": range(1000), "practice_id": range(1000)}))
        data = path.read_bytes()
        half = len(data) // 2
        ingestion.put(
            "dmg.parquet",
            {
                "not Parquet": b"patient_id,practice_id\n",
                "first half": data[:half],
                "last half": data[half:],
                "a page": data[:4] + b"\xff" * 40 + data[44:],
            }[cut],
        )
        message = ingestion.refused("dmg")
        assert message.startswith("2019/dmg.parquet cannot be read as Parquet (")
        assert "; expected a complete Parquet file with text in UTF-8. " in message
        assert "copy or deliver the file again." in message

    @pytest.mark.parametrize("column", ["practice_id", "note"])
    def test_text_that_is_not_utf8(self, ingestion: Ingestion, column: str) -> None:
        """Also in a column that is only read for the quarantine."""
        rows = table("dmg", practice_id=pa.array(["G1", None]), note=pa.array(["a", "b"]))
        rows = rows.set_column(rows.schema.get_field_index(column), column, broken_text())
        ingestion.put("dmg.parquet", rows)
        message = ingestion.refused("dmg")
        assert "2019/dmg.parquet cannot be read as Parquet" in message
        assert "expected a complete Parquet file with text in UTF-8" in message

    def test_fewer_rows_than_its_footer_says(self, ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
        """The footer is the independent count that a Parquet file has."""
        ingestion.put("dmg.parquet", table("dmg"))
        monkeypatch.setattr(ingest, "_judge", lambda *_: 1)
        assert "2019/dmg.parquet cannot be read as Parquet" in ingestion.refused("dmg")

    def test_too_little_memory_is_not_the_fault_of_the_file(
        self, ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> int:
            raise duckdb.OutOfMemoryException("no")

        ingestion.put("dmg.parquet", table("dmg"))
        monkeypatch.setattr(ingest, "_judge", fail)
        with pytest.raises(OperatorError, match="Raise MM_MEMORY_LIMIT or make room") as raised:
            ingestion.ingest("dmg")
        assert not isinstance(raised.value, DeliveryError)

    def test_no_rows(self, ingestion: Ingestion) -> None:
        ingestion.put("dmg.parquet", table("dmg", rows=0))
        assert ingestion.refused("dmg") == (
            "2019/dmg.parquet holds a header and no rows; expected rows. Ask the sender to deliver it again."
        )

    def test_zero_bytes(self, ingestion: Ingestion) -> None:
        ingestion.put("dmg.parquet", b"")
        assert "2019/dmg.parquet is empty (0 bytes); expected a header and rows. Ask the sender" in ingestion.refused(
            "dmg"
        )

    def test_a_missing_column(self, ingestion: Ingestion) -> None:
        ingestion.put("dmg.parquet", table("dmg").drop_columns("practice_id"))
        assert "2019/dmg.parquet, line 1: column practice_id is missing; found patient_id. Ask" in ingestion.refused(
            "dmg"
        )

    @pytest.mark.parametrize("again", ["practice_id", "PRACTICE_ID"])
    def test_a_column_twice(self, ingestion: Ingestion, again: str) -> None:
        ingestion.put("dmg.parquet", table("dmg").append_column(again, pa.array(["G1", "G1"])))
        assert f"practice_id is there 2 times (practice_id, {again}); expected it once" in ingestion.refused("dmg")

    def test_aliases_hold_here_too(self, ingestion: Ingestion) -> None:
        ingestion = replace(ingestion, settings=replace(ingestion.settings, aliases={"DOCTOR": "practice_id"}))
        ingestion.take("dmg.parquet", pa.table({"pp0010": [1], "doctor": [2]}))
        assert ingestion.values("dmg", "practice_id") == ["2"]

"""Values of text files: which are read and as what, and which row is quarantined with which reason."""

import datetime
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from mm_pipeline_tests.support.ingestion import GOOD, Ingestion, header, line, table

NO_CODE = "not a nomenclature code of 1 to 6 digits"
NO_DATE = "not a date YYYY-MM-DD or YYYYMMDD"
NO_QUANTITY = "not a whole number"
NO_AMOUNT = "not an amount in euro with at most 2 decimals"
NO_YEAR = "not a year of four digits"
NO_SEX = "not M or F (or 1 or 2)"
WRITTEN_OUT = "a missing value that is written out (such as NA or NULL)"
LOST = "an identifier that has lost digits (such as 1.2E+15)"

# fmt: off
MISSING = [
    *("NA", "na", "N/A", "#N/A", "<NA>", "NULL", "null", "(null)", "#NULL!", r"\N", r"\\N", "None", "NaN", "nan", "-nan",
    "NaT"),
    *(".", ".A", "._", "?", "-", "--", "—", "*", "..", "...", "<>", "()", "_", "Inf", "-Infinity", "undefined", "unknown"),
    *("Onbekend", "inconnu", "unbekannt", "#VALUE!", "#REF!", "#N/B", "#NB", "#NV", "#WAARDE!", "#VALEUR!", "#NOM?",
    "1.#IND"),
    *("-1.#QNAN", "pd.NA", "<nan>", "NA_character_", "DBNull", "'NULL'", "`NA`", "(none)", "leeg", "vide", "geen",
    "n.v.t.", "ND"),
    *("Non renseigné", "\u00a0", "\u200b", "NA\u00a0", "#", "##", "########"),
]
"""As R, pandas, SQL, Hive, SAS, Stata, Excel in the languages of the country, and people write it."""
ROUNDED = [
    *("1.23457E+15", "1.23457e+15", "1,23457E+15", "1.2E15", "1E+15", "1e+15", "-9.1E+18", "12.3e4", "1.E+5", ".12346E+16"),
    *(",12346E+16", "1.2346D+15", "1.2346E 15", "1.2346 E+15", "'1.23E+15", "(1.23E+15)", "\u22121.23E+15",
    "1.23457E+15,00"),
    *("1.2E-05", "1234567890123456.0", "1234567890123456,00", "12345678901234567."),
]
"""As spreadsheets, databases and floating-point numbers write a long number."""
LEGAL = [
    *("12e34", "1E5", "0e0", "5e10", "e+5", "1e-5", "12e34a", "1d5", "7.0", "1.5", "12,5", "123456789012345.0", "#1", "N",
    "A"),
    *("NAN1", "nullo", "none-1", "a.b", "1+1", "+1", "-5", "0", "000", "..a", "1.2E", "E+15", "--1", "NA NA", "P 1",
    "1.2.3"),
    *("ＮＡ", "é", "A.1E5", "NA7", "7NA", "dn"),
]
"""Pseudonyms that look like these but are none: hexadecimal ones above all."""
# fmt: on

# fmt: off
BAD: dict[str, dict[tuple[str, str], list[str]]] = {
    "forfaits": {
        ("patient_id", "empty"): ["", " ", "\t"],
        ("patient_id", WRITTEN_OUT): MISSING,
        ("patient_id", LOST): ROUNDED,
        ("house_id", "empty"): ["", "  "],
        ("house_id", WRITTEN_OUT): MISSING,
        ("house_id", LOST): ROUNDED,
        ("service_date", NO_DATE): [
            "", "2019-02-29", "20190230", "2019-13-01", "2019-00-10", "2019-3-1", "2019/03/01", "01-03-2019", "2019-0301",
            "201903", "2019030", "201903011", "2019-03-01 00:00:00", "2019-03-01T00:00", "+20190301", "43525", "x",
            "0000-01-01", "２０１９0301", "2019-03-01.0",
        ],
        ("service_date", "a date outside 2019"): ["2018-12-31", "20200101", "9999-12-31", "0001-01-01", "20180301"],
        ("nomenclature_code", NO_CODE): ["", "x", "10961x", "1096160", "-109616", "109616.5", "109,616", "109 616"],
        ("quantity", NO_QUANTITY): [
            "", "1.5", "1e3", "x", "0.1", "1.0.0", ".0", "+", "--1", "- 1", "1 000", "1,000", "1,5", "NaN", "inf", "True",
            "0x1", "1234567890", "99999999999999999999", "１",
        ],
        ("amount_eur", NO_AMOUNT): [
            "", "30.505", "30.", ".5", "1e2", "x", "NaN", "€30", "30.50 EUR", "1.234,50", "1 000", "1234567890.00", "--1",
        ],
    },
    "beneficiaries": {
        ("patient_id", "empty"): ["", " "],
        ("patient_id", WRITTEN_OUT): MISSING,
        ("patient_id", LOST): ROUNDED,
        ("birth_year", NO_YEAR): [
            "", "80", "19800", "1980.5", "1980.0.0", "1,980", "NA", ".", "-980", "+980", "198x", "1980-01-01",
        ],
        ("birth_year", "a year of birth outside 1894 to 2019"): ["1893", "2020", "0000", "9999", "2020.0"],
        ("sex", NO_SEX): ["", "0", "3", "X", "male", "MF", "1.5", "h"],
        ("preferential", "not 0 or 1"): ["", "2", "-1", "true", "0.5", "01", "x"],
        ("valid_from", NO_DATE): ["2019-02-29", "20191301", "x", "0", "00000000", "0000-01-01", "1/1/2019"],
        ("valid_from", "a date after 2019"): ["2020-01-01", "99991231"],
    },
    "dmg": {
        ("patient_id", "empty"): ["", "\t "],
        ("patient_id", LOST): ROUNDED,
        ("practice_id", "empty"): ["", " "],
        ("practice_id", WRITTEN_OUT): MISSING,
        ("practice_id", LOST): ROUNDED,
    },
    "contributions": {
        ("patient_id", "empty"): ["", " "],
        ("household_id", "empty"): ["", "\t", "  "],
        ("household_id", WRITTEN_OUT): MISSING,
        ("household_id", LOST): ROUNDED,
        ("house_id", "empty"): ["", " \t"],
        ("amount_eur", NO_AMOUNT): ["", "2.505", "2.", ".5", "2,5,0", "x", "NaN", "€2", "1 000", "1234567890", "--1"],
    },
}

GOOD_VALUES: dict[str, dict[str, dict[str, Any]]] = {
    "forfaits": {
        "service_date": {
            "2019-01-01": datetime.date(2019, 1, 1), "20191231": datetime.date(2019, 12, 31),
            " 20190501\t": datetime.date(2019, 5, 1),
        },
        "nomenclature_code": {"109616": "109616", "109616.0": "109616", "109616,0": "109616", "109616.000000": "109616"},
        "quantity": {
            "1.0": 1, "1.": 1, "1.000": 1, "+1": 1, "-1": -1, "-2.0": -2, "0": 0, "-0": 0, "007": 7, "999999999": 999999999,
            " 3 ": 3, "1,0": 1,
        },
        "amount_eur": {
            "0": Decimal(0), "30.5": Decimal("30.50"), "-30,55": Decimal("-30.55"), "+1.10": Decimal("1.10"),
            "30.5000": Decimal("30.50"), "999999999.99": Decimal("999999999.99"), "0030": Decimal(30),
        },
        "house_id": {"007": "007", "7": "7", "a b": "a b", " x ": "x", "é'\\": "é'\\"} | {each: each for each in LEGAL},
    },
    "beneficiaries": {
        "birth_year": {"1894": 1894, "2019": 2019, "1980.0": 1980, "1980.": 1980, "1980.00": 1980, "1980,0": 1980},
        "sex": {"M": "M", "F": "F", "m": "M", "f": "F", "1": "M", "2": "F", "1.0": "M", "2.00": "F", "2,0": "F"},
        "preferential": {"0": 0, "1": 1, "1.0": 1, "0.": 0, "0,0": 0},
        "municipality_code": {
            "": None, "0": "0", "995": "995", "21004": "21004", "21004.0": "21004", "62063,0": "62063", "11002.00": "11002",
            "0.0": "0", "995.0": "995.0", "21004.5": "21004.5", "21,004": "21,004", "NA": "NA",
        },
        "sector_code": {"": None, "21004ZZZZ": "21004ZZZZ", "21004A00-": "21004A00-"},
        "valid_from": {
            "": datetime.date(2019, 1, 1), "2019-12-31": datetime.date(2019, 12, 31), "0001-01-01": datetime.date(1, 1, 1),
            "19990630": datetime.date(1999, 6, 30),
        },
    },
    "dmg": {"practice_id": {"1": "1", "a;b": "a;b"} | {each: each for each in LEGAL}},
    "contributions": {
        "house_id": {"007": "007", " x ": "x", "a;b": "a;b"},
        "amount_eur": {
            "0": Decimal(0), "2,5": Decimal("2.50"), "-2.50": Decimal("-2.50"), "+2.5000": Decimal("2.50"),
            "12.5": Decimal("12.50"), "-999999999,99": Decimal("-999999999.99"),
        },
    },
}
# fmt: on


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_cannot_be_read_is_quarantined(ingestion: Ingestion, name: str) -> None:
    lines, expected = [header(name, ";")], []
    for (column, reason), values in BAD[name].items():
        for value in values:
            lines += [line(name, delimiter=";"), line(name, delimiter=";", **{column: value})]
            expected.append((len(lines), column, reason, lines[-1]))
    account = ingestion.take(f"{name}.csv", "\n".join(lines) + "\n")
    assert ingestion.quarantine(name) == expected
    assert account.delivered == len(lines) - 1
    assert account.quarantined_by_reason == {
        f"{column}: {reason}": len(values) for (column, reason), values in sorted(BAD[name].items())
    }


@pytest.mark.parametrize(("name", "column"), [(name, column) for name in GOOD_VALUES for column in GOOD_VALUES[name]])
def test_values_that_are_read(ingestion: Ingestion, name: str, column: str) -> None:
    values = GOOD_VALUES[name][column]
    rows = [
        {**GOOD[name], "patient_id": f"P{i}", column: f'"{value}"' if ";" in value else value}
        for i, value in enumerate(values)
    ]
    ingestion.take(f"{name}.csv", "\n".join([header(name, ";"), *(";".join(row.values()) for row in rows)]))
    assert ingestion.quarantine(name) == []
    assert ingestion.values(name, column) == list(values.values())


@pytest.mark.parametrize("name", GOOD)
def test_an_id_that_looks_like_none_can_be_allowed(ingestion: Ingestion, name: str) -> None:
    """By its exact spelling, and in every column of identifiers; the others stay out."""
    ingestion = replace(ingestion, settings=replace(ingestion.settings, legal_ids=("NA", "1e+15", "it's.", "-")))
    column = [each for each in GOOD[name] if each.endswith("_id")][-1]
    values = ["NA", "1e+15", "it's.", "na", "NULL", "2e+15"]
    ingestion.take(f"{name}.csv", "\n".join([header(name), *(line(name, **{column: value}) for value in values)]))
    assert [(place, at) for place, at, *_ in ingestion.quarantine(name)] == [(5, column), (6, column), (7, column)]


LOSSY = {
    "Excel, 16 digits": [f"{10**14 + 7 * n}0" for n in range(1, 41)],
    "Excel, 19 digits": [f"{817 * 10**12 + 13 * n}0000" for n in range(1, 41)],
    "Excel, a few of 18 digits": [f"{817 * 10**12 + 13 * n}000" for n in range(1, 8)],
    "Excel, half of them": [f"{817 * 10**12 + 13 * n}{'000' if n % 2 else '123'}" for n in range(1, 41)],
    "floats, 17 digits": [str(int(float(12345678901234567 + 1001 * n))) for n in range(1, 41)],
    "floats, 19 digits": [str(int(float(9 * 10**18 + 10**9 * n + 12345))) for n in range(1, 41)],
}
WHOLE = {
    "16 digits": [str(10**15 + 982451653 * n) for n in range(1, 41)],
    "above what a float holds": [str(2**53 + 1 + 3 * n) for n in range(1, 41)],
    "19 digits": [str(9 * 10**18 + 982451653 * n) for n in range(1, 41)],
    "15 digits with zeros": [f"{10**13 + n}0" for n in range(1, 41)],
    "hexadecimal": [f"{10**15 + n:x}00000000" for n in range(1, 41)],
    "a rank of which a third is 0": [f"{817 * 10**12 + 13 * n}{n % 3}" for n in range(1, 41)],
    "a few that end in a zero": [f"{10**14 + 7 * n}0" for n in range(1, 20)],
    "some that end in .0": [*(f"{n}.0" for n in range(1, 5)), *(f"P{n}" for n in range(40))],
}


@pytest.mark.parametrize("ending", ["csv", "parquet", "numbers.parquet"])
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("ids", LOSSY.values(), ids=LOSSY)
def test_a_column_that_has_visibly_lost_digits_is_refused(
    ingestion: Ingestion, ids: list[str], name: str, ending: str
) -> None:
    for column in (each for each in GOOD[name] if each.endswith("_id")):
        values = pa.array(map(int, ids)) if ending == "numbers.parquet" else pa.array(ids)
        rows = [line(name, **{column: value}) for value in ids]
        text = "\n".join([header(name), *rows])
        file = f"{name}.{ending.rpartition('.')[2]}"
        ingestion.put(file, text if ending == "csv" else table(name, len(ids), **{column: values}))
        assert ingestion.refused(name) == (
            f"2019/{file}, column {column}: many of its numbers of 16 digits and more are rounded to 15 digits, or "
            "to what a "
            "floating-point number holds; expected whole identifiers. Digits are lost, and different persons or houses have "
            "become one. Nothing was kept: ask the sender to deliver the identifiers as text, without a spreadsheet in "
            f"between; if these are whole, set MM_LEGAL_IDS={column}."
        )
        sure = replace(ingestion, settings=replace(ingestion.settings, legal_ids=(column,)))
        assert sure.ingest(name).quarantined == 0


@pytest.mark.parametrize("name", GOOD)
def test_a_column_that_went_through_a_column_of_numbers_is_refused(ingestion: Ingestion, name: str) -> None:
    """Its identifiers end in .0 and would be found nowhere: a house whose DMGs are of 71234567.0 would lose its patients."""
    for column in (each for each in GOOD[name] if each.endswith("_id")):
        ids = [f"{71234567 + n}.0" for n in range(9)]
        ingestion.put(f"{name}.csv", "\n".join([header(name), *(line(name, **{column: each}) for each in ids)]))
        said = ingestion.refused(name)
        assert said.startswith(f"2019/{name}.csv, column {column}: its identifiers end in .0; expected them as they ")
        assert said.endswith(f"deliver them as text; if they are so everywhere, set MM_LEGAL_IDS={column}.")


def test_a_large_file_is_looked_at_in_part(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mm_pipeline.ingest.ingest.LOOKED_AT_WHOLE", 2000)
    ids = [f"{10**15 + 7 * n}0" for n in range(1, 1001)]
    ingestion.put("dmg.csv", "\n".join([header("dmg"), *(f"P{n},{each}" for n, each in enumerate(ids))]))
    assert "column practice_id: many of its numbers" in ingestion.refused("dmg")


@pytest.mark.parametrize("ids", WHOLE.values(), ids=WHOLE)
def test_long_numbers_that_are_whole(ingestion: Ingestion, ids: list[str]) -> None:
    assert ingestion.take("dmg.csv", "\n".join([header("dmg"), *(f"{each},{each}" for each in ids)])).kept == len(ids)
    assert ingestion.values("dmg", "practice_id") == ids


def test_the_first_fault_gives_the_reason(ingestion: Ingestion) -> None:
    text = f"{header('forfaits')}\n,,x,109616,x,x\n,,x,x,x,x\n{line('forfaits')}\n"
    ingestion.take("forfaits.csv", text)
    assert [(column, reason) for _, column, reason, _ in ingestion.quarantine("forfaits")] == [
        ("patient_id", "empty"),
        ("nomenclature_code", NO_CODE),
    ]


def test_other_nomenclature_codes_are_ignored_whatever_the_rest(ingestion: Ingestion) -> None:
    others = ["P1,H1,2019-01-01,101032,1,20.00", ",,x,9,x,x", "P1,H1,20180101,0,1.5,"]
    account = ingestion.take("forfaits.csv", "\n".join([header("forfaits"), *others, line("forfaits")]))
    assert (account.kept, account.ignored, account.quarantined) == (1, 3, 0)
    assert account.ignored_reason == "another nomenclature code than 109616"
    assert ingestion.values("forfaits", "nomenclature_code") == ["109616"]


def test_a_file_whose_every_row_is_bad_is_still_accounted_for(ingestion: Ingestion) -> None:
    account = ingestion.take("dmg.csv", "patient_id,practice_id\n,G1\n,G2\n")
    assert (account.delivered, account.kept, account.quarantined) == (2, 0, 2)
    assert ingestion.rows("dmg") == []

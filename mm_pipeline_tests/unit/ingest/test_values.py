"""Values of text files: which are read and as what, and which row is quarantined with which reason."""

import datetime
from decimal import Decimal
from typing import Any

import pytest

from mm_pipeline_tests.support.ingestion import GOOD, Ingestion, header, line

NO_CODE = "not a nomenclature code of 1 to 6 digits"
NO_DATE = "not a date YYYY-MM-DD or YYYYMMDD"
NO_QUANTITY = "not a whole number"
NO_AMOUNT = "not an amount in euro with at most 2 decimals"
NO_YEAR = "not a year of four digits"
NO_SEX = "not M or F (or 1 or 2)"

# fmt: off
BAD: dict[str, dict[tuple[str, str], list[str]]] = {
    "forfaits": {
        ("patient_id", "empty"): ["", " ", "\t"],
        ("house_id", "empty"): ["", "  "],
        ("service_date", NO_DATE): [
            "", "2019-02-29", "20190230", "2019-13-01", "2019-00-10", "2019-3-1", "2019/03/01", "01-03-2019", "2019-0301",
            "201903", "2019030", "201903011", "2019-03-01 00:00:00", "2019-03-01T00:00", "+20190301", "43525", "x",
            "0000-01-01", "２０１９0301", "2019-03-01.0",
        ],
        ("service_date", "a date outside 2019"): ["2018-12-31", "20200101", "9999-12-31", "0001-01-01", "20180301"],
        ("nomenclature_code", NO_CODE): ["", "x", "10961x", "1096160", "-109616", "109616.0", "109 616", "10_9616"],
        ("quantity", NO_QUANTITY): [
            "", "1.5", "1e3", "x", "0.1", "1.0.0", ".0", "+", "--1", "- 1", "1 000", "1,0", "NaN", "inf", "True", "0x1",
            "1234567890", "99999999999999999999", "１",
        ],
        ("amount_eur", NO_AMOUNT): [
            "", "30.505", "30.", ".5", "1e2", "x", "NaN", "€30", "30.50 EUR", "1.234,50", "1 000", "1234567890.00", "--1",
        ],
    },
    "beneficiaries": {
        ("patient_id", "empty"): ["", " "],
        ("birth_year", NO_YEAR): ["", "80", "19800", "1980.5", "1980.", "1980.00", "-980", "+980", "198x", "1980-01-01"],
        ("birth_year", "a year of birth outside 1894 to 2019"): ["1893", "2020", "0000", "9999", "2020.0"],
        ("sex", NO_SEX): ["", "0", "3", "X", "male", "MF", "1.0", "h"],
        ("preferential", "not 0 or 1"): ["", "2", "-1", "true", "1.0", "01", "x"],
        ("valid_from", NO_DATE): ["2019-02-29", "20191301", "x", "0", "00000000", "0000-01-01", "1/1/2019"],
        ("valid_from", "a date after 2019"): ["2020-01-01", "99991231"],
    },
    "dmg": {("patient_id", "empty"): ["", "\t "], ("practice_id", "empty"): ["", " "]},
    "contributions": {
        ("patient_id", "empty"): ["", " "],
        ("household_id", "empty"): ["", "\t", "  "],
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
        "quantity": {
            "1.0": 1, "1.": 1, "1.000": 1, "+1": 1, "-1": -1, "-2.0": -2, "0": 0, "-0": 0, "007": 7, "999999999": 999999999,
            " 3 ": 3,
        },
        "amount_eur": {
            "0": Decimal(0), "30.5": Decimal("30.50"), "-30,55": Decimal("-30.55"), "+1.10": Decimal("1.10"),
            "30.5000": Decimal("30.50"), "999999999.99": Decimal("999999999.99"), "0030": Decimal(30),
        },
        "house_id": {"007": "007", "7": "7", "a b": "a b", " x ": "x", "NULL": "NULL", "7.0": "7.0", "é'\\": "é'\\"},
    },
    "beneficiaries": {
        "birth_year": {"1894": 1894, "2019": 2019, "1980.0": 1980},
        "sex": {"M": "M", "F": "F", "m": "M", "f": "F", "1": "M", "2": "F"},
        "preferential": {"0": 0, "1": 1},
        "municipality_code": {"": None, "0": "0", "995": "995", "21004": "21004"},
        "sector_code": {"": None, "21004ZZZZ": "21004ZZZZ", "21004A00-": "21004A00-"},
        "valid_from": {
            "": datetime.date(2019, 1, 1), "2019-12-31": datetime.date(2019, 12, 31), "0001-01-01": datetime.date(1, 1, 1),
            "19990630": datetime.date(1999, 6, 30),
        },
    },
    "dmg": {"practice_id": {"1": "1", "a;b": "a;b"}},
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

"""Any bytes: whatever is inserted into, deleted from or replaced in a small file, it is refused or accounted for exactly."""

import csv
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from mm_pipeline.errors import DeliveryError
from mm_pipeline_tests.properties.fuzz.plain_reader import is_identifier
from mm_pipeline_tests.support.examples import examples
from mm_pipeline_tests.support.ingestion import GOOD, Ingestion
from mm_pipeline_tests.support.keys import SECRET, key
from mm_pipeline_tests.support.pipeline import settings_for

PEOPLE = range(6)
FILES: dict[str, tuple[bytes, ...]] = {}
FILES["dmg"] = (
    b"patient_id,practice_id\n" + b"".join(b"P%d,G%d\n" % (i, i) for i in PEOPLE),
    b"\xef\xbb\xbfpatient_id;note;practice_id\r\n" + b"".join(b"%d;n;G%d\r\n" % (i, i) for i in PEOPLE),
    b"practice_id,patient_id,note\n" + b"".join(b'G%d,"P,%d","a ""b"" c"\n' % (i, i) for i in PEOPLE),
    b'"patient_id";"practice_id";"note"\r\n' + b"".join(b'"P%d";"G ";" "\r\n' % i for i in PEOPLE),
    b"patient_id,practice_id,note\n\n" + b"".join(b"P%d,G,\n\n" % i for i in PEOPLE),
)
FILES["contributions"] = (
    b"patient_id,household_id,house_id,amount_eur\n" + b"".join(b"P%d,F%d,H,2.5\n" % (i, i // 2) for i in PEOPLE),
    b"PP0010;note;household_id;SS00075;amount_eur\r\n" + b"".join(b"%d;n;%d;7;-%d,50\r\n" % (i, i, i) for i in PEOPLE),
    b"amount_eur,house_id,household_id,patient_id\n" + b"".join(b'"%d,25","H,1","F ",P%d\n' % (i, i) for i in PEOPLE),
)
TOKENS = (
    *(
        b",",
        b";",
        b'"',
        b"\n",
        b"\r",
        b"\r\n",
        b" ",
        b"\t",
        b"a",
        b"7",
        b"\x00",
        b"\\",
        b"'",
        b"#",
        b"\xc3\xa9",
        b"\xff",
    ),
    *(b'""', b'"\n', b'\n"', b'","', b'" ', b' "', b'"\n"', b"\n\n", b'"" ""'),
)


AMOUNT = re.compile(r"[+-]?[0-9]{1,9}([.,][0-9]{1,2}0*)?")
AGENCY_NAMES = {"PP0010": "patient_id", "SS00075": "house_id"}


@st.composite
def contents(draw: st.DrawFn, name: str) -> bytes:
    content = bytearray(draw(st.sampled_from(FILES[name])))
    for _ in range(draw(st.integers(1, 6))):
        # Mostly behind the header: a header that is wrong is refused, and that is all.
        start = draw(st.sampled_from((0, *5 * (min(28, len(content)),))))
        at = draw(st.integers(start, len(content)))
        removed = draw(st.sampled_from((0, 0, 1, 1, 2, 5)))
        content[at : at + removed] = draw(st.sampled_from((b"", *TOKENS))) if removed else draw(st.sampled_from(TOKENS))
    return bytes(content)


@pytest.fixture(scope="module")
def busy_ingestion(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Ingestion:
    return Ingestion(backend, settings_for(tmp_path_factory.mktemp("mutations"), id_key=SECRET))


def physical_lines(content: bytes) -> list[tuple[int, str]]:
    lines = enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
    return [(number, line.removesuffix(b"\r").decode()) for number, line in lines if line not in (b"", b"\r")]


def split(text: str, delimiter: str) -> list[str] | None:
    """The values of a line as Python reads them, blanks around them removed; None if it cannot."""
    try:
        values = next(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    if any(value.startswith("\t") and value.lstrip(" \t").startswith('"') for value in values):
        return None  # is it quoted? Python says no
    return [value.strip(" \t") for value in values]


def is_bad(column: str, value: str) -> bool:
    return AMOUNT.fullmatch(value) is None if column == "amount_eur" else not is_identifier(value)


def practice(row: dict[str, str]) -> dict[str, Any]:
    return {"patient_key": key(row["patient_id"]), "practice_id": row["practice_id"]}


def contribution(row: dict[str, str]) -> dict[str, Any]:
    return {
        "patient_key": key(row["patient_id"]),
        "household_key": key(f"household:{row['household_id']}"),
        "house_id": row["house_id"],
        "amount_eur": Decimal(row["amount_eur"].replace(",", ".")),
    }


@examples(150)
@given(content=contents("dmg"))
@example(content=b'patient_id,practice_id\n"P0"?,"G0\n"P1","G1"\n"P2","G2"\n')
@example(content=b'\n\npatient_id,practice_id\nP0,"G0\nP1,G1"\nP2,G2\n')
@example(content=b"patient_id,practice_id\nP0,\r\nG0\nP1,G1\nP2,G2\n")
def test_refused_or_accounted_for(busy_ingestion: Ingestion, content: bytes) -> None:
    is_refused_or_accounted_for(busy_ingestion, "dmg", content, practice)


@examples(150)
@given(content=contents("contributions"))
@example(
    content=b"patient_id,household_id,house_id,amount_eur\nP0,F0,H,\nP1,,H,1\nP2,F2,,1\nP3,F3,H,2.505\nP4,F4,H,-2,5\n"
)
def test_contributions_are_refused_or_accounted_for(busy_ingestion: Ingestion, content: bytes) -> None:
    is_refused_or_accounted_for(busy_ingestion, "contributions", content, contribution)


def is_refused_or_accounted_for(
    ingestion: Ingestion, name: str, content: bytes, kept_of: Callable[[dict[str, str]], dict[str, Any]]
) -> None:
    ingestion.put(f"{name}.csv", content)
    try:
        account = ingestion.ingest(name)
    except DeliveryError:
        event("refused")
        return
    (_, header), *lines = physical_lines(content)
    delimiter = ";" if header.count(";") > header.count(",") else ","
    delivered = [each.strip() for each in split(header, delimiter) or []]
    canonical = [AGENCY_NAMES.get(each, each) for each in delivered]
    quarantine = {number: (column, raw) for number, column, _, raw in ingestion.quarantine(name)}
    event("quarantine" if quarantine else "all kept")

    assert account.delivered == len(lines)
    assert len(quarantine) == account.quarantined
    kept = []
    for number, text in lines:
        values = split(text, delimiter) if "\r" not in text else None
        row = dict(zip(canonical, values, strict=True)) if values and len(values) == len(canonical) else None
        if number in quarantine:
            column, raw = quarantine.pop(number)
            assert raw == text
            # Nothing that can be read is quarantined, and the right column is blamed.
            if column == "":
                assert row is None
            else:
                blamed = canonical[delivered.index(column)]
                assert row is not None
                assert is_bad(blamed, row[blamed])
        else:
            assert row is not None
            assert not any(is_bad(column, row[column]) for column in GOOD[name])
            kept.append(kept_of(row))
    assert quarantine == {}
    assert ingestion.rows(name) == kept

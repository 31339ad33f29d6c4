"""Lines of text files: a row is one line, whatever its quotes say, and every line that is no row is quarantined.

The lines are counted here on their own, by splitting the bytes: nothing of the package is asked.
"""

import csv
import gzip
from collections.abc import Iterator

import pytest

from mm_pipeline.errors import DeliveryError
from mm_pipeline_tests.support.ingestion import Ingestion, Quarantined

TOO_FEW = "fewer values than the header has columns"
TOO_MANY = "more values than the header has columns"
BAD_QUOTE = "a quote that is not closed, or text after a closing quote"
CARRIAGE_RETURN = "a carriage return inside the line"
TOO_LONG = "a line longer than 2 MB"
EMPTY = "empty"

HEADER = "patient_id,practice_id\n"


def rows_delivered(content: bytes) -> int:
    """Lines that hold something, less the header."""
    return sum(line not in (b"", b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")) - 1


def accounted(ingestion: Ingestion, text: str, file_name: str = "dmg.csv") -> tuple[list[str], list[Quarantined]]:
    """The practices that were kept and the quarantine; all rows of the file are in one of them."""
    content = text.encode()
    account = ingestion.take(file_name, gzip.compress(content) if file_name.endswith(".gz") else content)
    assert account.delivered == rows_delivered(content)
    lines = dict(enumerate(text.removeprefix("\ufeff").split("\n"), 1))
    for number, _, _, raw in ingestion.quarantine("dmg"):
        assert raw == lines[number].removesuffix("\r")
    return ingestion.values("dmg", "practice_id"), ingestion.quarantine("dmg")


ROWS = "P1,G1\nP2,G2\nP3,G3\n"

# fmt: off
CASES: dict[str, tuple[str, list[str], list[Quarantined]]] = {
    # The number of values
    "too many, too few": (
        HEADER + "P1,G1,?\nP2\n" + ROWS,
        ["G1", "G2", "G3"],
        [(2, "", TOO_MANY, "P1,G1,?"), (3, "", TOO_FEW, "P2")],
    ),
    "a delimiter too many at the end": (
        HEADER + "P1,G1,\nP2,G2,,\n" + ROWS,
        ["G1", "G2", "G3"],
        [(2, "", TOO_MANY, "P1,G1,"), (3, "", TOO_MANY, "P2,G2,,")],
    ),
    "only delimiters": (
        HEADER + ",\n,,\n,,,,,,\n" + ROWS,
        ["G1", "G2", "G3"],
        [(2, "patient_id", EMPTY, ","), (3, "", TOO_MANY, ",,"), (4, "", TOO_MANY, ",,,,,,")],
    ),
    "only blanks": (HEADER + "  \n \t\n" + ROWS, ["G1", "G2", "G3"], [(2, "", TOO_FEW, "  "), (3, "", TOO_FEW, " \t")]),
    # Quotes
    "delimiters and quotes inside quotes": (
        HEADER + '"P,1","G,1"\n"P""2","""G2"""\n"P3",G3\n"",""\n',
        ["G,1", '"G2"', "G3"],
        [(5, "patient_id", EMPTY, '"",""')],
    ),
    "a quote in the middle of a value": (HEADER + 'P"1,G"1"\n', ['G"1"'], []),
    "a quote that is never closed": (
        HEADER + 'P1,G1\nP2,"G2\nP3,G3\nP4,G4\n', ["G1", "G3", "G4"], [(3, "", BAD_QUOTE, 'P2,"G2')],
    ),
    "a quote that a later one closes": (
        HEADER + 'P1,"G1\nP2,G2\nP3,G3"\nP4,G4\n', ["G2", 'G3"', "G4"], [(2, "", BAD_QUOTE, 'P1,"G1')],
    ),
    "a line break inside quotes": (
        HEADER + 'P1,"G\n1"\n' + ROWS, ["G1", "G2", "G3"], [(2, "", BAD_QUOTE, 'P1,"G'), (3, "", TOO_FEW, '1"')],
    ),
    "a blank line inside quotes": (
        HEADER + 'P1,"G\n\n1"\n"P2","G2"\nP3,\n', ["G2"],
        [(2, "", BAD_QUOTE, 'P1,"G'), (4, "", TOO_FEW, '1"'), (6, "practice_id", EMPTY, "P3,")],
    ),
    "two wrong quotes that make a false row": (
        HEADER + '"P1"?,"G1\n"P2","G2"\n"P3","G3"\n', ["G2", "G3"], [(2, "", BAD_QUOTE, '"P1"?,"G1')],
    ),
    "text after a closing quote": (
        HEADER + '"P1","G1"?\n"P2"?,"G2"\n"P3","G3"\n"P4","G4"\n', ["G3", "G4"],
        [(2, "", BAD_QUOTE, '"P1","G1"?'), (3, "", BAD_QUOTE, '"P2"?,"G2"')],
    ),
    # Blanks
    "blanks around values": (
        HEADER + " P1 ,\tG1 \nP2,  G 2\nP3, \t\n", ["G1", "G 2"], [(4, "practice_id", EMPTY, "P3, \t")],
    ),
    "blanks inside quotes": (HEADER + '"P1"," G 1 "\n"P2"," "\n', ["G 1"], [(3, "practice_id", EMPTY, '"P2"," "')]),
    "blanks before quotes": (HEADER + '"P1", "G1"\n  "P2","G2"\n', ["G1", "G2"], []),
    "a tab before quotes": (HEADER + 'P1,\t"G1"\nP2,"G2"\n', ["G2"], [(2, "", "a tab before a quote", 'P1,\t"G1"')]),
    "blanks after quotes": (HEADER + '"P1" ,"G1"\nP2,"G2"\n', ["G2"], [(2, "", BAD_QUOTE, '"P1" ,"G1"')]),
    "a blank between quotes": (HEADER + 'P1,"G" "1"\nP2,"G2"\n', ["G2"], [(2, "", BAD_QUOTE, 'P1,"G" "1"')]),
    # Line ends
    "CRLF": (HEADER.replace("\n", "\r\n") + "P1,G1\r\nP2,\r\n", ["G1"], [(3, "practice_id", EMPTY, "P2,")]),
    "no newline at the end": (HEADER + "P1,G1\nP2,", ["G1"], [(3, "practice_id", EMPTY, "P2,")]),
    "no newline at the end, CRLF": (
        HEADER.replace("\n", "\r\n") + "P1,G1\r\nP2,", ["G1"], [(3, "practice_id", EMPTY, "P2,")],
    ),
    "uneven line ends": (
        HEADER + "P1,G1\r\nP2,\nP3,G3\r\nP4,G4\n\r\nP5\r\n", ["G1", "G3", "G4"],
        [(3, "practice_id", EMPTY, "P2,"), (7, "", TOO_FEW, "P5")],
    ),
    "a carriage return at the end": (HEADER + "P1,G1\nP2,G2\r", ["G1", "G2"], []),
    "carriage returns inside": (
        HEADER + "P1,G1\rP2,G2\nP3\r,G3\nP4,G4\n\rP5,G5\nP6,\n" + ROWS, ["G4", "G1", "G2", "G3"],
        [
            (2, "", CARRIAGE_RETURN, "P1,G1\rP2,G2"),
            (3, "", CARRIAGE_RETURN, "P3\r,G3"),
            (5, "", CARRIAGE_RETURN, "\rP5,G5"),
            (6, "practice_id", EMPTY, "P6,"),
        ],
    ),
    "carriage returns before CRLF": (
        HEADER + "P1,G1\r\r\nP2,G2\n\r\r\nP3,G3\n", ["G2", "G3"],
        [(2, "", CARRIAGE_RETURN, "P1,G1\r"), (4, "", CARRIAGE_RETURN, "\r")],
    ),
    "a carriage return inside quotes": (
        HEADER + 'P1,"G\r1"\nP2,"G2"\n', ["G2"], [(2, "", CARRIAGE_RETURN, 'P1,"G\r1"')],
    ),
    # Blank lines are no rows, but they are lines.
    "blank lines": (
        HEADER + "\n\nP1,G1\n\n\n\nP2\n\nP3,\n\n\n", ["G1"], [(8, "", TOO_FEW, "P2"), (10, "practice_id", EMPTY, "P3,")],
    ),
    "blank lines, CRLF": (
        HEADER.replace("\n", "\r\n") + "\r\nP1,G1\r\n\r\nP2\r\n\r\nP3,\r\n\r\n", ["G1"],
        [(5, "", TOO_FEW, "P2"), (7, "practice_id", EMPTY, "P3,")],
    ),
    "blank lines and a line by line reading": (
        HEADER + '\n\nP1,"G1\n\nP2,G2\n\nP3\n\n' + ROWS, ["G2", "G1", "G2", "G3"],
        [(4, "", BAD_QUOTE, 'P1,"G1'), (8, "", TOO_FEW, "P3")],
    ),
    # Characters
    "NUL": (HEADER + "P\x001,G\x001\nP2,\x00a\n\x00\n", ["G\x001", "\x00a"], [(4, "", TOO_FEW, "\x00")]),
    "other separators of Unicode": (
        HEADER + "P1,G\u20281\nP2,G\x852\nP3,G\x0b\x0c\x1c3\n", ["G\u20281", "G\x852", "G\x0b\x0c\x1c3"], [],
    ),
    "BOM": ("\ufeff" + HEADER + "P1,G1\n,G2\n", ["G1"], [(3, "patient_id", EMPTY, ",G2")]),
    "backslashes are nothing special": (HEADER + 'P1,G\\1\nP2,"G2\\"\nP3,\\"G3\n', ["G\\1", "G2\\", '\\"G3'], []),
    "comments are nothing special": (HEADER + "#P1,G1\nP2,#G2\n", ["G1", "#G2"], []),
}
# fmt: on


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_line_is_a_row_or_quarantined(
    ingestion: Ingestion, case: tuple[str, list[str], list[Quarantined]]
) -> None:
    text, kept, quarantine = case
    assert accounted(ingestion, text) == (kept, quarantine)


@pytest.mark.parametrize("name", ["too many, too few", "uneven line ends", "blank lines", "BOM"])
def test_so_in_a_gzip(ingestion: Ingestion, name: str) -> None:
    text, kept, quarantine = CASES[name]
    assert accounted(ingestion, text, "dmg.csv.gz") == (kept, quarantine)


@pytest.mark.parametrize(
    "wrong", ["", 'P0,"G0\n', "P0\rG0,\n"], ids=["at once", "line by line: quote", "line by line: CR"]
)
def test_very_long_lines(ingestion: Ingestion, wrong: str) -> None:
    long = 3_000_000 * "x"
    first = 5 + wrong.count("\n")
    text = f"{HEADER}{wrong}P1,G1\n{ROWS}\n{long},G2\nP3,{long}\nP4,G4\nP5\nP6,{long}"
    kept, quarantine = accounted(ingestion, text)
    assert kept == ["G1", "G1", "G2", "G3", "G4"]
    assert [row[:3] for row in quarantine[-4:]] == [
        (first + 2, "", TOO_LONG),
        (first + 3, "", TOO_LONG),
        (first + 5, "", TOO_FEW),
        (first + 6, "", TOO_LONG),
    ]


@pytest.fixture(params=[131_072, 1 << 30])
def limit_of_python(request: pytest.FixtureRequest) -> Iterator[None]:
    """Regression: the limit is of the process, and a library that had raised it changed what was kept."""
    before = csv.field_size_limit(request.param)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("limit_of_python")
def test_a_long_line_is_a_row_where_it_can_be_one(ingestion: Ingestion) -> None:
    long = 200_000 * "x"
    kept, quarantine = accounted(ingestion, f'{HEADER}P1,G{long}\nP2,"G{long}"\n')
    assert [len(value) for value in kept] == [200_001, 200_001]
    assert quarantine == []
    kept, quarantine = accounted(ingestion, f'{HEADER}P1,G{long}\nP2,"G{long}"\r\n')  # line by line
    assert [len(value) for value in kept] == [200_001]
    assert [row[:3] for row in quarantine] == [(3, "", "a value longer than 131072")]


def test_a_stray_delimiter_does_not_shift_a_row_into_another(ingestion: Ingestion) -> None:
    """The sector is empty and so is ``valid_from``: with one comma too many every value still looks legal."""
    good, shifted = "P1,1980,F,0,21004,,", "P2,1980,F,0,,21004,,"
    names = "patient_id,birth_year,sex,preferential,municipality_code,sector_code,valid_from"
    ingestion.take("beneficiaries.csv", f"{names}\n{good}\n{shifted}\n")
    assert ingestion.values("beneficiaries", "municipality_code") == ["21004"]
    assert ingestion.quarantine("beneficiaries") == [(3, "", TOO_MANY, shifted)]


@pytest.mark.parametrize("mark", ["", '"', "\r"], ids=["at once", "quote", "carriage return"])
def test_a_file_of_which_most_lines_are_wrong_is_refused(ingestion: Ingestion, mark: str) -> None:
    lines = [f"P{i};{mark}G{i}" for i in range(5)]
    account = ingestion.take("dmg.csv", "\n".join([HEADER.strip(), *lines, *(f"P{i},G{i}" for i in range(5))]))
    assert (account.kept, account.quarantined) == (5, 5)
    ingestion.put("dmg.csv", "\n".join([HEADER.strip(), *lines, *(f"P{i},G{i}" for i in range(4))]))
    assert "2019/dmg.csv: 5 of 9 lines do not have the 2 columns of the header" in ingestion.refused("dmg")


def test_what_the_engine_swallows_does_not_count_as_wrong(ingestion: Ingestion) -> None:
    """An unclosed quote on the second line: the engine sees one bad line of one, but only one of six is bad."""
    kept, quarantine = accounted(ingestion, HEADER + 'P0,"G0\n' + "".join(f"P{i},G{i}\n" for i in range(1, 6)))
    assert kept == ["G1", "G2", "G3", "G4", "G5"]
    assert [row[:3] for row in quarantine] == [(2, "", BAD_QUOTE)]


def test_two_wrong_quotes_do_not_make_a_false_person(ingestion: Ingestion) -> None:
    """The engine ends a bad line at its fault, and of the rest and the line after it makes a row: the numbers agree."""
    ingestion.take("dmg.csv", HEADER + '"P1","G1"\n"P2","G2"\n')
    keys = ingestion.values("dmg", "patient_key")
    ingestion.take("dmg.csv", HEADER + '"P0"?,"G0\n"P1","G1"\n"P2","G2"\n')
    assert ingestion.values("dmg", "patient_key") == keys


def test_a_reader_that_loses_a_row_is_caught(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count of lines is a witness of its own: should both ways of reading differ from it, nothing is kept."""
    from mm_pipeline.ingest import reader

    monkeypatch.setattr(reader, "_read_csv", lambda *_: None)
    ingestion.put("dmg.csv", HEADER + ROWS)
    assert "3 rows were counted but another number could be read; expected both to be equal" in ingestion.refused("dmg")


def test_no_copy_of_the_lines_stays_behind(ingestion: Ingestion) -> None:
    ingestion.put("dmg.csv", HEADER + 'P1;"G1\n' * 3 + "P2,G2\n")
    with pytest.raises(DeliveryError):
        ingestion.ingest("dmg")
    assert list(ingestion.lake.spill_dir().iterdir()) == []

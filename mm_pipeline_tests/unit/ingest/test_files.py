"""The scan at the bytes of a file: it sees the same however the file is cut into chunks."""

import gzip
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_pipeline.errors import DeliveryError
from mm_pipeline.ingest import files, reader
from mm_pipeline_tests.support.examples import examples

CHUNKS = (1, 2, 3, 7)
SAMPLES = (
    b"patient_id,practice_id\nP1,G1\n",
    b"\xef\xbb\xbfpatient_id,practice_id\r\nP1,G1\r\n\r\nP2,G2\r\n",
    b"\xef\xbb\xbf\n\r\npatient_id,practice_id\nP1,G1\r\n\n\n\r\nP2",
    "é,€\n𝄞,\u2028\n\ufeffP,𝄞".encode(),
    b"a,b\r\r\nc\rd,\n\r\r\n\r",
    b"a,b\n\r\r",
    b'"a" ,"b"\n"c", "d"\n',
    b'a,b\n"c" \t "d",e\n',
    b'a,b\n" "," "\n"x "," y"\n',
    b"a,b\n  \n\t\nc,d  ",
    b'a;b\n"c \n"',
    b'a,b\n"c" ',
)


def observed(path: Path, chunk: int) -> tuple[files.TextFacts | str | None, str, list[tuple[int, bytes]] | str]:
    """All that is seen of the file; for a file that is refused, the message."""
    with patch.object(files, "_CHUNK", chunk):
        try:
            seen = files.scan(path, path.parent)
        except DeliveryError as error:
            return str(error), "", ""
        return seen.text, seen.sha256, list(files.numbered_lines(seen.unpacked))


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_chunks_make_no_difference(tmp_path: Path, sample: bytes, suffix: str) -> None:
    path = tmp_path / f"dmg.{suffix}"
    path.write_bytes(sample if suffix == "csv" else gzip.compress(sample[:9]) + gzip.compress(sample[9:]))
    whole = observed(path, 1 << 22)
    assert isinstance(whole[0], files.TextFacts)
    for chunk in CHUNKS:
        assert observed(path, chunk) == whole


TOKENS = st.sampled_from(["a", ",", ";", '"', " ", "\t", "\n", "\r", "\r\n", '""', "é", "€", "𝄞", "\ufeff"])


@examples(150)
@given(
    content=st.lists(TOKENS, min_size=1, max_size=30).map(lambda tokens: "".join(tokens).encode()),
    cut=st.integers(0, 3),
)
def test_chunks_make_no_difference_to_any_text(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content[: len(content) - cut] or b"a")  # perhaps in the middle of a character
    whole = observed(path, 1 << 22)
    for chunk in CHUNKS:
        assert observed(path, chunk) == whole
    if isinstance(whole[0], files.TextFacts):
        assert whole[0].lines == len(whole[2])
        assert whole[0].header == whole[2][0][1].decode()


def facts(tmp_path: Path, content: bytes) -> files.TextFacts:
    path = tmp_path / "dmg.csv"
    path.write_bytes(content)
    text = files.scan(path, path.parent).text
    assert text is not None
    return text


@pytest.mark.parametrize(
    ("content", "lines", "has_quotes", "has_blanks", "is_regular"),
    [
        (b"a,b\n1,2", 2, False, False, True),
        (b"a,b\r\n1,2\r\n", 2, False, False, True),
        (b"a,b\r\n1,2", 2, False, False, True),
        (b"\xef\xbb\xbfa,b\n\n1,2\n\n\n", 2, False, False, True),
        (b'"a","b c"\n" 1","2 "\n" "," "\n', 3, True, True, True),
        (b"a,b\n 1\t,2\n", 2, False, True, True),
        (b"a,b\r\n1,2\n", 2, False, False, False),
        (b"a,b\n1,2\r\n", 2, False, False, False),
        (b"a,b\n1,2\r", 2, False, False, False),
        (b"a,b\n1\r,2\n", 2, False, False, False),
        (b"\na,b\n1,2\n", 2, False, False, False),
        (b'a,b\n"1" ,2\n', 2, True, True, False),
        (b'a,b\n1,\t"2"\n', 2, True, True, False),
        (b'a,b\n  "1",2\n', 2, True, True, False),
        (b'a,b\n1,"2"  \n', 2, True, True, False),
        (b'a,b\n1,"2"  ', 2, True, True, False),
        (b'a,b\n1,"2" "3"\n', 2, True, True, False),
    ],
)
def test_facts(
    tmp_path: Path, content: bytes, lines: int, has_quotes: bool, has_blanks: bool, is_regular: bool
) -> None:
    seen = facts(tmp_path, content)
    assert (seen.lines, seen.has_quotes, seen.has_blanks, seen.is_regular) == (
        lines,
        has_quotes,
        has_blanks,
        is_regular,
    )


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a,b;c\n", ["a", "b;c"]),
        (b"a;b,c;d\n", ["a", "b,c", "d"]),
        (b' a ,"b" , "c,d"\n', None),
        (b' a ,"b ", "c,d"\n', ["a", "b", "c,d"]),
        (b"\xef\xbb\xbf\n\na,\n", ["a", ""]),
    ],
)
def test_the_header(tmp_path: Path, content: bytes, names: list[str] | None) -> None:
    path = tmp_path / "dmg.csv"
    path.write_bytes(content)
    file = files.scan(path, path.parent)
    if names is None:
        with pytest.raises(DeliveryError, match="line 1: the header cannot be read"):
            files.header_of(file)
    else:
        assert files.header_of(file) == names


@pytest.mark.parametrize(("before", "line"), [(b"", 1), (b"a\n", 2), (b"a\r\n\r\n\n", 4), (b"\xef\xbb\xbfa\nb", 2)])
@pytest.mark.parametrize("chunk", [*CHUNKS, 1 << 22])
def test_which_line_is_not_utf8(tmp_path: Path, before: bytes, line: int, chunk: int) -> None:
    path = tmp_path / "dmg.csv"
    for wrong in (b"\xff", b"\xe9t\xe9\n", b"x\xc3\n", b"\xe2\x82", b"\xed\xa0\x80"):
        path.write_bytes(before + wrong)
        assert f", line {line}: a byte that is not UTF-8" in str(observed(path, chunk)[0])


def test_a_gzip_is_read_in_pieces_of_a_chunk(tmp_path: Path) -> None:
    """A gzip of megabytes of zeros must not come back as one piece."""
    path = tmp_path / "dmg.csv.gz"
    path.write_bytes(gzip.compress(bytes(1_000_000)))
    with patch.object(files, "_CHUNK", 1000):
        pieces = [len(piece) for piece in files._decompressed(path, lambda _: None)]
    assert max(pieces) <= 1000
    assert sum(pieces) == 1_000_000


def test_parquet_is_only_fingerprinted(tmp_path: Path) -> None:
    path = tmp_path / "dmg.parquet"
    path.write_bytes(b"\xff\r")
    seen = files.scan(path, path.parent)
    assert (seen.text, seen.label) == (None, f"{tmp_path.name}/dmg.parquet")
    assert seen.sha256 == files.fingerprint(path)


@examples(300)
@given(
    lines=st.lists(st.sampled_from(["", "a", "é,b", "\r", "x\r", " "]), max_size=12),
    choice=st.lists(st.integers(0, 14), max_size=6),
    chunk=st.sampled_from((1, 2, 3, 7, 1 << 22)),
    ends=st.booleans(),
)
def test_lines_are_located_as_if_counted_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], choice: list[int], chunk: int, ends: bool
) -> None:
    """Bad lines and rows by their ordinal, whatever empty lines stand between them and wherever a block ends."""
    path = tmp_path_factory.getbasetemp() / "located.csv"
    path.write_bytes("\n".join(["\ufeffheader", *lines, *([""] if ends else [])]).encode())
    numbered = list(files.numbered_lines(path))[1:]
    bad = {numbered[i][0] for i in choice[::2] if i < len(numbered)}
    rows = [place for place in numbered if place[0] not in bad]
    wanted = {i for i in choice[1::2] if i < len(rows)}
    one_by_one = sorted(
        [(number, None, text) for number, text in numbered if number in bad]
        + [(*rows[ordinal][:1], ordinal, rows[ordinal][1]) for ordinal in wanted],
        key=lambda place: place[0],
    )
    with patch.object(files, "_CHUNK", chunk):
        file = files.scan(path, path.parent)
        located = [(number, ordinal, text.encode()) for ordinal, number, text in reader.locate(file, bad, wanted)]
    assert located == one_by_one

"""A delivery as a whole: the formats and names it may come in, and what each broken one is told.

Every refusal names the file, what was found, what was expected and what to do, and leaves the lake as it was.
"""

import gzip
import hashlib
import json
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mm_pipeline.ingest import delivery, files
from mm_pipeline.ingest.ingest import Account
from mm_pipeline.schemas import RAW_CONTRIBUTIONS, RAW_DMG
from mm_pipeline_tests.support.ingestion import GOOD, YEAR, Ingestion, header, line, table

BOM = "\ufeff"
DMG = "patient_id,practice_id\nP1,G1\nP2,G2\n"
BAD_GZIP = "copy or deliver the file again"
NAN = math.nan


class TestFormats:
    @pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["csv", "csv.gz"])
    @pytest.mark.parametrize("delimiter", [",", ";"])
    @pytest.mark.parametrize("bom", ["", BOM], ids=["", "BOM"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_text(self, ingestion: Ingestion, compress: Any, delimiter: str, bom: str, end: str) -> None:
        lines = [
            header("forfaits", delimiter),
            *(line("forfaits", delimiter=delimiter, house_id=f"é{i}") for i in (1, 2)),
        ]
        suffix = "csv" if compress is bytes else "csv.gz"
        account = ingestion.take(f"forfaits.{suffix}", compress((bom + end.join(lines) + end).encode()))
        assert (account.file, account.delivered, account.kept) == (f"forfaits.{suffix}", 2, 2)
        assert account.sha256 == hashlib.sha256((ingestion.folder / account.file).read_bytes()).hexdigest()
        assert ingestion.values("forfaits", "house_id") == ["é1", "é2"]

    def test_semicolons_and_decimal_commas(self, ingestion: Ingestion) -> None:
        text = "\n".join([header("forfaits", ";"), line("forfaits", delimiter=";", amount_eur="-30,5")])
        ingestion.take("forfaits.csv", text)
        assert str(ingestion.values("forfaits", "amount_eur")) == "[Decimal('-30.50')]"

    def test_parquet(self, ingestion: Ingestion) -> None:
        account = ingestion.take("forfaits.parquet", table("forfaits"))
        assert (account.file, account.delivered, account.kept) == ("forfaits.parquet", 2, 2)

    def test_columns_in_any_order_and_case(self, ingestion: Ingestion) -> None:
        ingestion.take("dmg.csv", "Practice_ID , PATIENT_ID\nG1,P1\n")
        assert ingestion.values("dmg", "practice_id") == ["G1"]

    def test_a_quoted_header(self, ingestion: Ingestion) -> None:
        ingestion.take("dmg.csv", '"patient_id","practice_id"\n"P1","G,1"\n')
        assert ingestion.values("dmg", "practice_id") == ["G,1"]

    @pytest.mark.parametrize(
        "content",
        [
            gzip.compress(DMG[:30].encode()) + gzip.compress(DMG[30:].encode()),
            gzip.compress(b"") + gzip.compress(DMG.encode()) + gzip.compress(b""),
            gzip.compress(DMG.encode()) + bytes(512),
            gzip.compress(DMG.encode()) + b"\0",
            gzip.compress(DMG[:30].encode()) + bytes(10_000) + gzip.compress(DMG[30:].encode()) + bytes(10_000),
        ],
        ids=["two", "empty ones around", "a block of zeros after it", "one zero", "zeros between and after"],
    )
    def test_a_gzip_of_several_members(self, ingestion: Ingestion, content: bytes) -> None:
        ingestion.take("dmg.csv.gz", content)
        assert ingestion.values("dmg", "practice_id") == ["G1", "G2"]

    def test_a_gzip_header_with_optional_fields(self, ingestion: Ingestion) -> None:
        """Which zlib reads and the engine refuses."""
        extra_and_comment = b"\x1f\x8b\x08\x14" + bytes(5) + b"\x03" + b"\x04\x00ABCD" + b"comment\0"
        deflate = zlib.compressobj(wbits=-15)
        text = DMG.encode()
        body = deflate.compress(text) + deflate.flush()
        trailer = zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")
        ingestion.take("dmg.csv.gz", extra_and_comment + body + trailer)
        assert ingestion.values("dmg", "practice_id") == ["G1", "G2"]

    @pytest.mark.parametrize("first_lines", ["\n\r\n", BOM + "\n"], ids=["blank", "a BOM of its own"])
    def test_lines_before_the_header(self, ingestion: Ingestion, first_lines: str) -> None:
        assert ingestion.take("dmg.csv", first_lines + DMG + "P3,\n").quarantined == 1
        assert ingestion.values("dmg", "practice_id") == ["G1", "G2"]
        assert ingestion.quarantine("dmg") == [(first_lines.count("\n") + 4, "practice_id", "empty", "P3,")]

    def test_a_folder_with_a_strange_name(self, ingestion: Ingestion, tmp_path: Path) -> None:
        ingestion = replace(ingestion, settings=replace(ingestion.settings, data_dir=tmp_path / "l'été [1] year=2003"))
        ingestion.take("dmg.csv", DMG)
        ingestion.take("dmg.csv", DMG)
        (ingestion.folder / "dmg.csv").unlink()
        ingestion.take("dmg.parquet", table("dmg", practice_id=pa.array(["G1", None])))
        assert ingestion.quarantine("dmg") == [(2, "practice_id", "empty", '{"patient_id":"P1","practice_id":null}')]


class TestNames:
    def test_the_agencys_own(self, ingestion: Ingestion) -> None:
        ingestion.take("forfaits.csv", f"SS00010,SS00075,ss00015,SS00020,quantity,amount_eur\n{line('forfaits')}\n")
        ingestion.take(
            "beneficiaries.csv",
            "PP0010,PP0015,PP0020,preferential,PP0025,sector_code,valid_from\n" + line("beneficiaries"),
        )
        ingestion.take("dmg.csv", "PP0010,practice_id\nP1,G1\n")
        ingestion.take("contributions.csv", "PP0010,household_id,SS00075,amount_eur\nP1,F1,H1,2.50\n")
        keys = {ingestion.values(name, "patient_key")[0] for name in GOOD}
        assert len(keys) == 1
        assert ingestion.values("contributions", "house_id") == ["H1"]
        assert ingestion.values("forfaits", "house_id") == ["H1"]
        assert ingestion.values("beneficiaries", "municipality_code") == ["21004"]

    def test_further_ones_are_a_setting(self, ingestion: Ingestion) -> None:
        ingestion = replace(ingestion, settings=replace(ingestion.settings, aliases={"MÉDECIN": "practice_id"}))
        ingestion.take("dmg.csv", "patient_id,médecin\nP1,G1\n")
        assert ingestion.values("dmg", "practice_id") == ["G1"]
        ingestion = replace(ingestion, settings=replace(ingestion.settings, aliases={"FOYER": "household_id"}))
        ingestion.take("contributions.csv", "patient_id,foyer,house_id,amount_eur\nP1,F1,H1,2.50\n")
        assert len(ingestion.values("contributions", "household_key")) == 1

    def test_the_quarantine_has_the_names_of_the_file(self, ingestion: Ingestion) -> None:
        ingestion.take("dmg.csv", "PP0010,practice_id\n,G1\n")
        assert ingestion.quarantine("dmg") == [(2, "PP0010", "empty", ",G1")]

    @pytest.mark.parametrize("names", [["note", "année"], ["numéro d'affiliation", 'a "b"'], ["x", "x"], [""]])
    @pytest.mark.parametrize("parquet", [False, True])
    def test_columns_that_are_not_used(self, ingestion: Ingestion, names: list[str], parquet: bool) -> None:
        if parquet:
            rows = table("dmg")
            for name in names:
                rows = rows.append_column(name, pa.array(["?", None]))
            account = ingestion.take("dmg.parquet", rows)
        else:
            quoted = ['"' + name.replace('"', '""') + '"' for name in names]
            text = ",".join(["patient_id", *quoted, "practice_id"]) + "\n" + "P1,{}G1\n".format("?," * len(names))
            account = ingestion.take("dmg.csv", text)
        assert account.extra_columns == names
        assert set(ingestion.values("dmg", "practice_id")) == {"G1"}


REFUSED_TEXT = {
    "zero bytes": ("", "is empty (0 bytes)", "expected a header and rows", "Ask the sender"),
    "BOM only": (BOM, "holds no line", "expected a header and rows", "Deliver it again"),
    "blank lines": ("\n\r\n\n", "holds no line", "expected a header and rows", "Deliver it again"),
    "header only": ("patient_id,practice_id\n", "holds a header and no rows", "expected rows", "Ask the sender"),
    "missing column": (
        "patient_id,practice\nP1,G1\n",
        "line 1: column practice_id is missing; found patient_id, practice",
        "",
        "set MM_ALIASES=NAME=practice_id",
    ),
    "two missing": (
        "note,practice_id\n,G1\n",
        "column patient_id (or PP0010) is missing",
        "found note, practice_id",
        "Ask the sender",
    ),
    "tabs": (DMG.replace(",", "\t"), "no known name among 1", "in commas or semicolons", "Ask the sender"),
    "column twice": (
        "patient_id,practice_id,Practice_ID\nP1,G1,G1\n",
        "line 1: practice_id is there 2 times (practice_id, Practice_ID)",
        "expected it once",
        "Remove or rename",
    ),
    "two aliases": (
        "SS00010,PP0010,practice_id\nP1,P1,G1\n",
        "patient_id is there 2 times (SS00010, PP0010)",
        "expected it once",
        "Remove or rename",
    ),
    "old Mac": (DMG.replace("\n", "\r"), "line 1: the header cannot be read", "on one line", "deliver the file again"),
    "carriage return in the header": (
        DMG.replace("d,p", "d\r,p"),
        "line 1: the header cannot be read",
        "expected column names on one line",
        "deliver the file again",
    ),
    "carriage return inside quotes in the header": (
        '"patient_id","practice\r_id",practice_id\nP1,?,G1\n',
        "line 1: the header cannot be read",
        "expected column names on one line",
        "deliver the file again",
    ),
    "endless header": (
        "patient_id,practice_id," + "é" * 40_000 + "\nP1,G1,\n",
        "line 1: the header cannot be read",
        "expected column names on one line",
        "deliver the file again",
    ),
    "unclosed quote in the header": (
        '"' + DMG,
        "line 1: the header cannot be read (a quote that is not closed",
        "expected column names",
        "Correct it",
    ),
    "wrong delimiter": (
        "patient_id,practice_id\nP1;G1\nP2;G2\nP3,G3\n",
        "2 of 3 lines do not have the 2 columns of the header",
        "expected 2 values a line, separated by ','",
        "ask the sender to deliver the file again",
    ),
    "wrong delimiter, uneven line ends": (
        "patient_id,practice_id\nP1;G1\r\nP2;G2\nP3,G3\n",
        "2 of 3 lines do not have the 2 columns of the header",
        "expected 2 values a line, separated by ','",
        "ask the sender to deliver the file again",
    ),
    "Latin-1": (
        (DMG + "Pé,G1\n").encode("latin-1"),
        "dmg.csv, line 4: a byte that is not UTF-8",
        "expected UTF-8",
        "save it again as UTF-8",
    ),
    "UTF-8 cut off": (DMG.encode() + b"P3,\xc3", "dmg.csv, line 4: a byte that is not UTF-8", "expected UTF-8", "save"),
    "UTF-16": (DMG.encode("utf-16"), "dmg.csv, line 1: a byte that is not UTF-8", "expected UTF-8", "save it again"),
    "gzip under another name": (gzip.compress(DMG.encode()), "dmg.csv, line 1: a byte", "expected UTF-8", "save"),
}


@pytest.mark.parametrize("parts", REFUSED_TEXT.values(), ids=REFUSED_TEXT)
def test_a_refused_text_file(ingestion: Ingestion, parts: tuple[str | bytes, ...]) -> None:
    content, *told = parts
    ingestion.put("dmg.csv", content)
    message = ingestion.refused("dmg")
    for part in ["2019/dmg.csv", *told]:
        assert part in message


def test_a_file_without_a_header_is_not_quoted(ingestion: Ingestion) -> None:
    ingestion.put("dmg.csv", "pseudonym-1,G1\npseudonym-2,G2\n")
    assert "pseudonym" not in ingestion.refused("dmg")


_GZIP = gzip.compress(b"patient_id,practice_id\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(500)), mtime=0)

REFUSED_GZIP = {
    "truncated": (_GZIP[:-9], "ends too early (truncated)"),
    "truncated in the second member": (_GZIP + _GZIP[:-5], "ends too early (truncated)"),
    "truncated to a byte": (_GZIP[:1], "ends too early (truncated)"),
    "damaged": (_GZIP[:300] + bytes([_GZIP[300] ^ 255]) + _GZIP[301:], "is damaged"),
    "wrong checksum": (_GZIP[:-8] + bytes(4) + _GZIP[-4:], "is damaged"),
    "not a gzip": (DMG.encode(), "is damaged"),
    "zeros, and then something else": (_GZIP + bytes(100) + b"not a gzip header", "is damaged"),
    "zeros before it": (bytes(100) + _GZIP, "is damaged"),
    "zeros in the place of its end": (_GZIP[:-8] + bytes(512), "is damaged"),
}


@pytest.mark.parametrize("parts", REFUSED_GZIP.values(), ids=REFUSED_GZIP)
def test_a_refused_gzip(ingestion: Ingestion, parts: tuple[bytes, str]) -> None:
    content, found = parts
    ingestion.put("dmg.csv.gz", content)
    assert ingestion.refused("dmg") == (
        f"2019/dmg.csv.gz: the gzip file {found}; expected a complete .csv.gz. "
        "The transfer was probably cut: copy or deliver the file again."
    )


def test_a_missing_file(ingestion: Ingestion) -> None:
    message = ingestion.refused("dmg")
    assert "2019: dmg is missing; expected dmg.parquet or dmg.csv or dmg.csv.gz in data/raw/2019/" in message
    assert "the folder is missing or empty. Put the file there" in message
    ingestion.put("DMG-2019.csv", DMG)
    assert "the folder holds DMG-2019.csv. Put the file there under this name" in ingestion.refused("dmg")


def test_a_dataset_that_is_there_twice(ingestion: Ingestion) -> None:
    ingestion.put("dmg.csv", DMG)
    ingestion.put("dmg.parquet", table("dmg"))
    assert ingestion.refused("dmg") == (
        "2019: dmg is there 2 times (dmg.parquet, dmg.csv); expected one file. "
        "Keep the right one and move the others away."
    )


def _announce(ingestion: Ingestion, content: Any) -> None:
    ingestion.put("manifest.json", content if isinstance(content, str | bytes) else json.dumps(content))


def _of_dmg(**facts: Any) -> dict[str, Any]:
    return {"files": {"dmg.csv": facts}}


class TestManifest:
    @pytest.mark.parametrize("bom", [b"", BOM.encode()], ids=["", "BOM"])
    def test_one_that_holds(self, ingestion: Ingestion, bom: bytes) -> None:
        path = ingestion.put("dmg.csv", DMG + "P3\n")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest().upper()
        content = {"version": "v2", "extracted_on": "2021-07-01", **_of_dmg(rows=3, sha256=sha256)}
        _announce(ingestion, bom + json.dumps(content).encode())
        account = ingestion.ingest("dmg")
        assert (account.version, account.delivered, account.quarantined) == ("v2", 3, 1)

    @pytest.mark.parametrize(
        "content",
        [
            {},
            {"version": None, "files": {}},
            _of_dmg(rows=None, sha256=None),
            {"files": {"beneficiaries.csv": {"rows": 1}}},
        ],
    )
    def test_one_that_says_nothing_of_the_file(self, ingestion: Ingestion, content: Any) -> None:
        ingestion.put("dmg.csv", DMG)
        _announce(ingestion, content)
        assert ingestion.ingest("dmg").version == ""

    @pytest.mark.parametrize(
        ("announced", "there"),
        [
            ("dmg.csv.gz", False),
            ("dmg.parquet", False),
            ("DMG.csv", False),
            ("dmg_2019.csv", False),
            ("dmg-final.CSV", True),
            ("codes.pdf", False),
            ("forfaits", True),
        ],
    )
    def test_another_file_is_announced(self, ingestion: Ingestion, announced: str, there: bool) -> None:
        """Also where it is there, if it is data of this set: something else than was sent would be read."""
        ingestion.put("dmg.csv", DMG)
        if there:
            ingestion.put(announced, DMG)
        _announce(ingestion, {"files": {announced: {"rows": 720}}})
        if announced == "forfaits":  # the other sets look for theirs
            assert ingestion.ingest("dmg").delivered == 2
            return
        assert ingestion.refused("dmg") == (
            f"2019/dmg.csv: manifest.json announces {announced}, which is {'not what is read' if there else 'not there'}; "
            "expected every file as it was announced. Put it there as it was sent (packed or not, under this name), or ask "
            "the sender for the right manifest."
        )

    @pytest.mark.parametrize("member", ["Rows", "ROWS", "row_s", "SHA256", "sha-256", "Sha_256"])
    def test_another_spelling_of_what_is_announced_of_a_file(self, ingestion: Ingestion, member: str) -> None:
        """Else it would be passed over."""
        ingestion.put("dmg.csv", DMG)
        _announce(ingestion, {"files": {"dmg.csv": {member: 99999}}})
        known = "sha256" if "56" in member else "rows"
        assert f"manifest.json: a member '{member}' of a file; expected '{known}', spelt so" in ingestion.refused("dmg")

    @pytest.mark.parametrize("member", ["Files", "FILES", "Sample", "Synthetic", "Extracted-On"])
    def test_another_spelling_of_what_the_manifest_says(self, ingestion: Ingestion, member: str) -> None:
        """A sample that is taken for the country, above all."""
        ingestion.put("dmg.csv", DMG)
        _announce(ingestion, {member: 0.02})
        assert f"manifest.json: a member '{member}' of the manifest; expected '" in ingestion.refused("dmg")

    @pytest.mark.parametrize("name", ["MANIFEST.JSON", "Manifest.json"])
    def test_another_spelling_of_its_name(self, ingestion: Ingestion, name: str) -> None:
        ingestion.put("dmg.csv", DMG)
        ingestion.put(name, "{}")
        assert f"2019/{name}: the name {name}; expected manifest.json, spelt so" in ingestion.refused("dmg")

    def test_members_that_nobody_reads_may_be_there(self, ingestion: Ingestion) -> None:
        ingestion.put("dmg.csv", DMG)
        _announce(ingestion, {"year": 2019, "contact": "x", "files": {"dmg.csv": {"rows": 2, "md5": "x", "size": 7}}})
        assert ingestion.ingest("dmg").delivered == 2

    def test_what_is_announced_beside_the_data_may_be_anything_that_is_there(self, ingestion: Ingestion) -> None:
        for name in ("dmg_codebook.pdf", "letter.txt"):
            ingestion.put(name, "x")
        ingestion.put("dmg.csv", DMG)
        _announce(ingestion, {"files": {"dmg_codebook.pdf": {}, "letter.txt": {}, "dmg.csv": {"rows": 2}}})
        assert ingestion.ingest("dmg").delivered == 2

    @pytest.mark.parametrize(("content", "synthetic"), [({"synthetic": True}, True), ({"synthetic": 1}, False)])
    def test_made_up_deliveries_say_so(self, ingestion: Ingestion, content: Any, synthetic: bool) -> None:
        ingestion.put("dmg.csv", DMG)
        _announce(ingestion, content)
        ingestion.ingest("dmg")
        assert ingestion.lake.provenance(RAW_DMG, YEAR).synthetic is synthetic

    @pytest.mark.parametrize(
        ("content", "found", "expected"),
        [
            ("", "not JSON: Expecting value: line 1 column 1", "a JSON object"),
            ('{"files": {}\n"version": 1}', "not JSON: Expecting ',' delimiter: line 2 column 1", "a JSON object"),
            ("[" * 100_000, "not JSON", "a JSON object"),
            ('{"rows": ' + "1" * 5000 + "}", "not JSON", "a JSON object"),
            (b'{"version": "\xe9"}', "it is not UTF-8", "a JSON object in UTF-8"),
            ([], "no object of files", '{"files": '),
            ({"files": None}, "no object of files", '{"files": '),
            ({"files": ["dmg.csv"]}, "no object of files", '{"files": '),
            ({"files": {"dmg.csv": 2}}, "no object of files", '{"files": '),
            (_of_dmg(rows="2"), "rows of dmg.csv is '2'", "a whole number"),
            (_of_dmg(rows=2.0), "rows of dmg.csv is 2.0", "a whole number"),
            (_of_dmg(rows=True), "rows of dmg.csv is True", "a whole number"),
            (_of_dmg(sha256=7), "sha256 of dmg.csv is 7", "a text of 64 hexadecimal digits"),
            *(
                ({"sample": sample}, f"sample is {sample!r}", "a number above 0 and not above 1, such as 0.02")
                for sample in (True, False, "0.02", "", 0, 0.0, -0.02, 1.5, 2, 1e-400, NAN, math.inf, [0.02], {})
            ),
        ],
    )
    def test_one_that_cannot_be_used(self, ingestion: Ingestion, content: Any, found: str, expected: str) -> None:
        ingestion.put("dmg.csv", DMG)
        _announce(ingestion, content)
        message = ingestion.refused("dmg")
        assert message.startswith(f"2019/manifest.json: {found}")
        assert f"; expected {expected}" in message
        assert "Ask the sender for a correct manifest, or remove it" in message

    @pytest.mark.parametrize(
        ("content", "sample"),
        [({}, 1.0), ({"sample": None}, 1.0), ({"sample": 1}, 1.0), ({"sample": 0.02}, 0.02), ({"sample": 1e-9}, 1e-9)],
    )
    @pytest.mark.parametrize("name", GOOD)
    def test_a_sample_of_the_population_says_so(
        self, ingestion: Ingestion, content: Any, sample: float, name: str
    ) -> None:
        ingestion.put(f"{name}.parquet", table(name))
        _announce(ingestion, content)
        assert ingestion.ingest(name).sample == sample

    def test_without_a_manifest_it_is_the_population(self, ingestion: Ingestion) -> None:
        assert ingestion.take("dmg.csv", DMG).sample == 1

    def test_a_footer_that_says_nothing_of_a_sample(self, ingestion: Ingestion) -> None:
        """Written by an earlier version of the program."""
        ingestion.take("dmg.csv", DMG)
        now = ingestion.lake.provenance(RAW_DMG, YEAR)
        earlier = replace(now, details={key: value for key, value in now.details.items() if key != "sample"})
        ingestion.lake.write(ingestion.backend, RAW_DMG, YEAR, ibis.memtable(RAW_DMG.schema.empty_table()), earlier)
        assert Account.of(ingestion.lake, RAW_DMG, YEAR).sample == 1

    def test_another_sha256(self, ingestion: Ingestion) -> None:
        path = ingestion.put("dmg.csv", DMG)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        _announce(ingestion, _of_dmg(rows=2, sha256="0" * 64))
        assert ingestion.refused("dmg") == (
            f"2019/dmg.csv: its SHA-256 is {sha256}; manifest.json announces {'0' * 64}. "
            "The file or its manifest is not the right one: ask the sender, or copy both again."
        )

    @pytest.mark.parametrize("rows", [0, 1, 3, -2])
    def test_another_number_of_rows(self, ingestion: Ingestion, rows: int) -> None:
        ingestion.put("dmg.csv", DMG)
        _announce(ingestion, _of_dmg(rows=rows))
        assert f"2019/dmg.csv: it has 2 rows; manifest.json announces {rows}. " in ingestion.refused("dmg")

    def test_parquet_rows(self, ingestion: Ingestion) -> None:
        ingestion.put("dmg.parquet", table("dmg", rows=3))
        _announce(ingestion, {"files": {"dmg.parquet": {"rows": 4}}})
        assert "2019/dmg.parquet: it has 3 rows; manifest.json announces 4. " in ingestion.refused("dmg")


CONTRIBUTIONS = "\n".join([header("contributions"), line("contributions"), line("contributions", house_id="")]) + "\n"


class TestAnOptionalDataset:
    """``contributions``: taken like the others when there; absent it is an empty table that names no file."""

    @pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["csv", "csv.gz"])
    def test_delivered_as_text(self, ingestion: Ingestion, compress: Any) -> None:
        name = "contributions.csv" if compress is bytes else "contributions.csv.gz"
        account = ingestion.take(name, compress(CONTRIBUTIONS.encode()))
        assert (account.file, account.delivered, account.kept, account.ignored, account.quarantined) == (
            name,
            2,
            1,
            0,
            1,
        )
        assert ingestion.quarantine("contributions") == [(3, "house_id", "empty", "P1,F1,,2.50")]

    def test_delivered_as_parquet(self, ingestion: Ingestion) -> None:
        account = ingestion.take("contributions.parquet", table("contributions", house_id=pa.array(["H1", None])))
        assert (account.file, account.delivered, account.kept, account.quarantined) == (
            "contributions.parquet",
            2,
            1,
            1,
        )
        raw = '{"patient_id":"P1","household_id":"F1","house_id":null,"amount_eur":"2.50"}'
        assert ingestion.quarantine("contributions") == [(2, "house_id", "empty", raw)]

    @pytest.mark.parametrize(
        "content", [None, {}, {"version": "v2", "synthetic": True, "sample": 0.02, "files": {"x": {}}}]
    )
    def test_absent(self, ingestion: Ingestion, content: Any) -> None:
        if content is not None:
            _announce(ingestion, content)
        content, announced = content or {}, content is not None
        account = ingestion.ingest("contributions")
        assert (account.file, account.sha256, account.delivered, account.kept) == ("", "", 0, 0)
        assert (account.version, account.sample) == (content.get("version", ""), content.get("sample", 1))
        provenance = ingestion.lake.provenance(RAW_CONTRIBUTIONS, YEAR)
        assert provenance.synthetic == content.get("synthetic", False)
        assert set(provenance.sources) == ({"deliveries/manifest.json"} if announced else set())

    def test_withdrawn(self, ingestion: Ingestion) -> None:
        path = ingestion.put("contributions.csv", CONTRIBUTIONS)
        _announce(ingestion, {"files": {path.name: {"rows": 2}}})
        assert ingestion.ingest("contributions").quarantined == 1
        path.unlink()
        assert ingestion.refused("contributions") == (
            "2019: contributions is missing; manifest.json announces contributions.csv, so it is expected in "
            "data/raw/2019/. Put the file there and materialise the year again; if it was withdrawn, ask the sender for a "
            "manifest without it."
        )
        _announce(ingestion, {"files": {"contributions-of-2018.csv": {}}})
        assert ingestion.ingest("contributions").file == ""
        assert ingestion.rows("contributions") == ingestion.quarantine("contributions") == []

    @pytest.mark.parametrize("name", ["contributions.parquet", "contributions.csv.gz", "contributions.xlsx"])
    def test_announced_in_whatever_format(self, ingestion: Ingestion, name: str) -> None:
        _announce(ingestion, {"files": {name: {}}})
        assert f"2019: contributions is missing; manifest.json announces {name}, so" in ingestion.refused(
            "contributions"
        )

    @pytest.mark.parametrize(
        "name", ["contributions.CSV", "Contributions.csv", "contribution.csv", "contributions.xlsx"]
    )
    def test_under_a_name_that_is_not_read(self, ingestion: Ingestion, name: str) -> None:
        """It would be passed over as if none had been delivered."""
        before = delivery.delivery(ingestion.settings, YEAR).sha256("contributions")
        path = ingestion.put(name, CONTRIBUTIONS)
        assert ingestion.refused("contributions") == (
            f"2019: {name} cannot be read under this name; expected contributions.parquet or contributions.csv or "
            "contributions.csv.gz. Rename the file and materialise the year again, or move it away if it is none of this "
            "year's."
        )
        assert delivery.delivery(ingestion.settings, YEAR).sha256("contributions") != before, "the year is out of date"
        path.rename(path.with_name("contributions.csv.part"))
        assert ingestion.ingest("contributions").file == "", "still being copied"

    def test_it_is_held_against_its_manifest(self, ingestion: Ingestion) -> None:
        ingestion.put("contributions.csv", CONTRIBUTIONS)
        _announce(ingestion, {"files": {"contributions.csv": {"rows": 3}}})
        assert "2019/contributions.csv: it has 2 rows; manifest.json announces 3. " in ingestion.refused(
            "contributions"
        )

    def test_what_is_there_must_be_right(self, ingestion: Ingestion) -> None:
        path = ingestion.put("contributions.csv", header("contributions"))
        assert "2019/contributions.csv holds a header and no rows" in ingestion.refused("contributions")
        ingestion.put("contributions.csv", "patient_id,house_id,amount_eur\nP1,H1,2.50\n")
        assert "line 1: column household_id is missing; found patient_id, house_id" in ingestion.refused(
            "contributions"
        )
        ingestion.put("contributions.parquet", table("contributions"))
        assert "2019: contributions is there 2 times" in ingestion.refused("contributions")
        path.unlink()
        assert ingestion.ingest("contributions").kept == 2


class TestWhatLiesThere:
    def test_nothing(self, ingestion: Ingestion) -> None:
        assert delivery.years_delivered(ingestion.settings) == []
        found = delivery.delivery(ingestion.settings, YEAR)
        assert found.is_empty
        assert found.missing == ("forfaits", "beneficiaries", "dmg")

    def test_years_and_files(self, ingestion: Ingestion) -> None:
        path = ingestion.put("dmg.csv.gz", b"?")
        ingestion.put("../2003/forfaits.csv", "?")
        ingestion.put("../2004/notes.txt", "?")
        ingestion.put("../later/dmg.csv", "?")
        ingestion.put("../2005/contributions.csv", "?")
        assert delivery.years_delivered(ingestion.settings) == [2003, 2005, YEAR]
        found = delivery.delivery(ingestion.settings, YEAR)
        assert (found.present, found.missing) == ({"dmg": path}, ("forfaits", "beneficiaries"))
        assert not found.is_complete
        ingestion.put("forfaits.csv", "?")
        ingestion.put("beneficiaries.parquet", "?")
        assert delivery.delivery(ingestion.settings, YEAR).is_complete

    def test_an_optional_dataset_is_there_but_never_missing(self, ingestion: Ingestion) -> None:
        path = ingestion.put("contributions.csv", "?")
        found = delivery.delivery(ingestion.settings, YEAR)
        assert (found.present, found.missing) == ({"contributions": path}, ("forfaits", "beneficiaries", "dmg"))
        assert not found.is_complete
        assert not found.is_empty

    def test_the_bytes_of_a_dataset(self, ingestion: Ingestion) -> None:
        """As they go into the data version; nothing stands for what was not delivered and need not be."""
        found = delivery.delivery(ingestion.settings, YEAR)
        assert found.sha256("contributions") == ingestion.ingest("contributions").sha256 == ""
        with pytest.raises(KeyError):
            found.sha256("dmg")
        path = ingestion.put("contributions.csv", CONTRIBUTIONS)
        found = delivery.delivery(ingestion.settings, YEAR)
        assert found.sha256("contributions") == ingestion.ingest("contributions").sha256 == files.fingerprint(path)

    def test_what_a_raw_table_depends_on(self, ingestion: Ingestion) -> None:
        def version(**changes: Any) -> str:
            return delivery.data_version(replace(ingestion.settings, **changes), YEAR, "dmg", "sha256 of the file")

        first = version()
        assert version(threads=1, id_key="another") == first
        assert version(aliases={"X": "patient_id"}) != first
        _announce(ingestion, {})
        assert version() != first

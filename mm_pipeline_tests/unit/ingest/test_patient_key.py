"""The keys of patients and households: the same for the same pseudonym everywhere, and no way back to it from the lake."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline_tests.support.ingestion import GOOD, Ingestion, header, line, table
from mm_pipeline_tests.support.keys import SECRET, key


def keys_of(ingestion: Ingestion, name: str, pseudonyms: list[str], of: str = "patient") -> list[int]:
    ingestion.take(f"{name}.csv", "\n".join([header(name), *(line(name, **{f"{of}_id": each}) for each in pseudonyms)]))
    return ingestion.values(name, f"{of}_key")


PSEUDONYMS = ["7", "007", "7.0", "P1", "p1", "é", "a b"]


@pytest.mark.parametrize("name", GOOD)
def test_the_key_is_a_keyed_hash_in_every_dataset(ingestion: Ingestion, name: str) -> None:
    assert keys_of(ingestion, name, PSEUDONYMS) == [key(each) for each in PSEUDONYMS]


def test_the_key_does_not_change(ingestion: Ingestion) -> None:
    """Not by a new version of the program either: it joins the years."""
    assert keys_of(ingestion, "dmg", ["P1"]) == [-8209613290028935564]
    assert keys_of(ingestion, "contributions", ["P1"], of="household") == [494282376372748469]


def test_the_key_of_a_household_is_a_hash_of_its_own(ingestion: Ingestion) -> None:
    """A household whose pseudonym is that of a person has another key."""
    assert keys_of(ingestion, "contributions", PSEUDONYMS, of="household") == [
        key(f"household:{p}") for p in PSEUDONYMS
    ]
    assert ingestion.values("contributions", "patient_key") == [key("P1")] * len(PSEUDONYMS)


def test_numbers_and_text_have_the_same_key(ingestion: Ingestion) -> None:
    assert keys_of(ingestion, "dmg", ["7", " 7 "]) == [key("7")] * 2
    (ingestion.folder / "dmg.csv").unlink()
    for array in (
        pa.array([7]),
        pa.array([7], pa.uint8()),
        pa.array(["7"]),
        pa.array([" 7"], pa.large_string()),
        pa.array(["7"]).dictionary_encode(),
    ):
        ingestion.take("dmg.parquet", table("dmg", rows=1, patient_id=array))
        assert ingestion.values("dmg", "patient_key") == [key("7")]


def test_another_secret_gives_another_key(ingestion: Ingestion) -> None:
    other = replace(ingestion, settings=replace(ingestion.settings, id_key="another"))
    assert keys_of(other, "dmg", ["7"]) == [key("7", "another")] != [key("7")]
    assert keys_of(other, "contributions", ["7"], of="household") == [key("household:7", "another")]


def test_the_secret_may_hold_anything(ingestion: Ingestion) -> None:
    strange = "a'b\"c\\ ; DROP TABLE delivered; -- $secret é"
    other = replace(ingestion, settings=replace(ingestion.settings, id_key=strange))
    assert keys_of(other, "dmg", ["7"]) == [key("7", strange)]


def texts_of(path: Path, leave_out: str) -> Iterator[bytes]:
    """Everything that stands in a Parquet file: the bytes as they lie there, and the columns uncompressed."""
    if leave_out not in pq.read_schema(path).names:  # its statistics may quote the column that is left out
        yield path.read_bytes()
    yield str(pq.read_schema(path).metadata).encode()
    for name, column in pq.read_table(path, partitioning=None).to_pydict().items():
        if name != leave_out:
            yield str(column).encode()


def test_neither_pseudonym_nor_secret_is_in_the_lake(ingestion: Ingestion) -> None:
    secret, pseudonym, household = "THE-SECRET-OF-THE-KEY", "PSEUDONYM-OF-A-PERSON", "PSEUDONYM-OF-A-HOUSEHOLD"
    ingestion = replace(ingestion, settings=replace(ingestion.settings, id_key=secret))
    for name in GOOD:
        others = {"house_id": "", "sex": "X", "practice_id": ""}
        who = {"patient_id": pseudonym} | ({"household_id": household} if "household_id" in GOOD[name] else {})
        bad = line(name, **who, **{key: value for key, value in others.items() if key in GOOD[name]})
        rows = [header(name), line(name, **who), bad, line(name, **who) + ",?"]
        account = ingestion.take(f"{name}.csv", "\n".join(rows) + "\n")
        assert (account.kept, account.quarantined) == (1, 2)
        assert "PSEUDONYM" not in str(account)
        assert all(each in raw for *_, raw in ingestion.quarantine(name) for each in who.values())
    files = list(ingestion.settings.lake_dir.rglob("*.parquet"))
    assert len(files) == 2 * len(GOOD)
    for path in files:
        for text in texts_of(path, leave_out="raw_line"):
            assert b"PSEUDONYM" not in text
            assert secret.encode() not in text


def test_neither_is_in_a_refusal(ingestion: Ingestion) -> None:
    ingestion.put("dmg.csv", "patient_id,practice_id\n" + 3 * "PSEUDONYM;G1\n")
    message = ingestion.refused("dmg")
    assert "PSEUDONYM" not in message
    assert SECRET not in message


@contextmanager
def hash_of_two_values(ingestion: Ingestion, *with_0: str) -> Iterator[None]:
    """The engine with a hash that knows two values only: these texts have the one, all others the other."""
    texts = ", ".join(f"'{SECRET}:{text}'" for text in with_0)
    ingestion.backend.con.execute(
        f"CREATE TEMP MACRO sha256(x) AS CASE WHEN x IN ({texts}) THEN repeat('0', 64) ELSE repeat('1', 64) END"
    )
    try:
        yield
    finally:
        ingestion.backend.con.execute("DROP MACRO sha256")


COLLIDING = [("AABBC", 1), ("AAA", 0), ("ABAB", 1), ("ABCD", 2)]


@pytest.mark.parametrize(("pseudonyms", "collisions"), COLLIDING)
@pytest.mark.parametrize("name", ["dmg", "contributions"])
def test_collisions_are_counted(ingestion: Ingestion, name: str, pseudonyms: str, collisions: int) -> None:
    """A and B have one key, C and D the other."""
    with hash_of_two_values(ingestion, "A", "B"):
        keys_of(ingestion, name, list(pseudonyms))
        assert ingestion.ingest(name).key_collisions == collisions


@pytest.mark.parametrize(("pseudonyms", "collisions"), COLLIDING)
def test_so_are_those_of_households(ingestion: Ingestion, pseudonyms: str, collisions: int) -> None:
    with hash_of_two_values(ingestion, "household:A", "household:B"):
        keys_of(ingestion, "contributions", list(pseudonyms), of="household")
        assert ingestion.ingest("contributions").key_collisions == collisions


def test_collisions_of_patients_and_households_add_up(ingestion: Ingestion) -> None:
    rows = ["A,A,H1,1", "B,B,H1,1", "C,C,H1,1"]
    with hash_of_two_values(ingestion, "A", "B", "household:B", "household:C"):
        assert ingestion.take("contributions.csv", "\n".join([header("contributions"), *rows])).key_collisions == 2


def test_without_collisions(ingestion: Ingestion) -> None:
    keys_of(ingestion, "dmg", [str(i) for i in range(1000)])
    assert ingestion.ingest("dmg").key_collisions == 0
    rows = [f"P{i},P{i % 300},H1,1" for i in range(1000)]
    assert ingestion.take("contributions.csv", "\n".join([header("contributions"), *rows])).key_collisions == 0

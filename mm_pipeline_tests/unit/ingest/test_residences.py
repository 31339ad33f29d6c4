"""Several rows of a beneficiary: the last one is kept, the earlier ones are ignored, whatever their order in the file."""

import pytest

from mm_pipeline_tests.support.ingestion import GOOD, Ingestion, header

COLUMNS = list(GOOD["beneficiaries"])

# The rows of a person from the last (which counts) to the first: each is beaten by those before it.
# fmt: off
LAST_FIRST = {
    "the largest valid_from": [
        "P1,1980,F,0,11002,11002A00-,2019-12-31", "P1,1980,F,0,62063,62063A00-,20190702",
        "P1,1980,F,0,21004,21004A001,2019-07-01", "P1,1980,F,0,21004,21004A001,2018-07-01",
    ],
    "no valid_from is 1 January": [
        "P1,1980,F,0,11002,11002A00-,2019-01-02", "P1,1980,F,0,62063,62063A00-,", "P1,1980,F,0,21004,21004A001,20181231",
    ],
    "tie: the largest municipality, a missing one loses": [
        "P1,1980,F,0,62063,11002A00-,20190101", "P1,1980,F,0,21004,62063A00-,", "P1,1980,F,0,,62063A00-,",
    ],
    "tie: the largest sector, a missing one loses": [
        "P1,1980,F,0,21004,21004ZZZZ,", "P1,1980,F,0,21004,21004A001,", "P1,1990,M,1,21004,,",
    ],
    "tie: the rest": [
        "P1,1981,F,0,21004,21004A001,", "P1,1980,M,0,21004,21004A001,", "P1,1980,F,1,21004,21004A001,",
        "P1,1980,F,0,21004,21004A001,",
    ],
}
# fmt: on


@pytest.mark.parametrize("rows", LAST_FIRST.values(), ids=LAST_FIRST)
def test_the_last_row_is_kept(ingestion: Ingestion, rows: list[str]) -> None:
    other = "P2,1990,M,1,11001,11001A00-,"
    kept = []
    for order in (rows, rows[::-1], [*rows[1:], rows[0]]):
        account = ingestion.take("beneficiaries.csv", "\n".join([header("beneficiaries"), *order, other]) + "\n")
        assert (account.delivered, account.kept, account.ignored) == (len(rows) + 1, 2, len(rows) - 1)
        kept.append(sorted(ingestion.rows("beneficiaries"), key=str))
    assert kept[0] == kept[1] == kept[2]
    last = dict(zip(COLUMNS, rows[0].split(","), strict=True))
    row = next(row for row in kept[0] if row["municipality_code"] != "11001")
    for column in ("birth_year", "sex", "preferential", "municipality_code", "sector_code"):
        assert str(row[column]) == last[column]


def test_the_same_row_twice_counts_once(ingestion: Ingestion) -> None:
    row = ",".join(GOOD["beneficiaries"].values())
    account = ingestion.take("beneficiaries.csv", "\n".join([header("beneficiaries"), row, row, row]))
    assert (account.delivered, account.kept, account.ignored, account.quarantined) == (3, 1, 2, 0)
    assert account.ignored_reason == "an earlier residence of a person with several rows"


def test_a_bad_row_does_not_replace_a_good_one(ingestion: Ingestion) -> None:
    rows = [
        "P1,1980,F,0,21004,21004A001,20190101",
        "P1,1980,X,0,11002,11002A00-,20191231",
        "P1,1980,F,0,11002,,20200101",
    ]
    account = ingestion.take("beneficiaries.csv", "\n".join([header("beneficiaries"), *rows]))
    assert (account.kept, account.ignored, account.quarantined) == (1, 0, 2)
    assert ingestion.values("beneficiaries", "municipality_code") == ["21004"]


def test_rows_keep_the_order_of_the_file(ingestion: Ingestion) -> None:
    rows = [f"P{i % 70},1980,F,0,{21000 + i},,20190{1 + i // 70}01" for i in range(140)]
    ingestion.take("beneficiaries.csv", "\n".join([header("beneficiaries"), *rows]))
    assert ingestion.values("beneficiaries", "municipality_code") == [str(21000 + i) for i in range(70, 140)]


def test_in_other_datasets_every_row_is_kept(ingestion: Ingestion) -> None:
    assert ingestion.take("dmg.csv", "patient_id,practice_id\n" + 3 * "P1,G1\n").kept == 3

"""The page: holds what the released table holds, and nothing that it hides."""

import json
import re

import pyarrow as pa

from mm_pipeline.catalogue import PROTECTED_RATES
from mm_pipeline.release.page import write_page
from mm_pipeline.release.tables import released_rates
from mm_pipeline_tests.release.test_tables import row


def content_of(folder) -> dict:
    page = (folder / "index.html").read_text(encoding="utf-8")
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match
    return json.loads(match[1])


def test_page_holds_the_totals(tmp_path):
    rows = [row("country", "BE"), row("municipality", "11002", patients=None), row("municipality", "11002", "sex", "M")]
    table = released_rates(pa.Table.from_pylist(rows, schema=PROTECTED_RATES.schema), synthetic=True)
    write_page(tmp_path, table, {"11002": "Anvers / Antwerpen"})
    content = content_of(tmp_path)
    assert content["years"] == [2024]
    assert content["synthetic"] is True
    assert content["names"]["11002"] == "Anvers / Antwerpen"
    assert content["areas"] == {"country BE": {"2024": [500.0, 1000]}, "municipality 11002": {"2024": [None, 1000]}}


def test_page_needs_no_network(tmp_path):
    table = released_rates(pa.Table.from_pylist([row("country", "BE")], schema=PROTECTED_RATES.schema), synthetic=False)
    page = write_page(tmp_path, table, {"11002": "Anvers / Antwerpen"}).read_text(encoding="utf-8")
    assert not re.search(r"https?://", page)

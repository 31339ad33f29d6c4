"""What the UI shows of tables and counts.

Metadata goes into Dagster's event log and UI, which are outside the restricted zones: no pseudonym, no key, no small number
of people (``people``), and how many people there are, or rows of theirs, only in round numbers (``rounded``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import ibis.expr.types as ir

from mm_pipeline.ingest.ingest import Account


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """A small table for the UI."""
    if not rows:
        return dg.MetadataValue.md("(nothing)")
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def usable_rows(account: Account) -> int:
    """The delivered rows that are not in the quarantine, how many of which is told exactly.

    Two round numbers and an exact one between them can leave a single value; with those delivered that would be so.
    """
    return account.delivered - account.quarantined


def counted(totals: ir.Table) -> dict[str, int]:
    """The one row of an aggregation as whole numbers; a sum over nothing is 0."""
    return {name: int(value or 0) for name, value in totals.to_pyarrow().to_pylist()[0].items()}

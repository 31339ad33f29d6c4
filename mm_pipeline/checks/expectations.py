"""Great Expectations on aggregates: the rules are data, in ``suites/<name>.json``, editable without touching Python.

A suite file is a Great Expectations suite. Each expectation's ``meta`` may hold ``what`` (the rule in words) and ``do``
(what an operator should do); both are shown when it is broken. Rules over persons are not suites but expressions on the
engine: on 11.7 million rows that is ten times faster (``docs/decisions/0004-great-expectations.md``).
"""

import json
import logging
import os
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_SUITES = resources.files("mm_pipeline.checks") / "suites"


def suite_names() -> list[str]:
    return sorted(path.name.removesuffix(".json") for path in _SUITES.iterdir() if path.name.endswith(".json"))


def broken_rules(frame: "pd.DataFrame", suite_name: str) -> list[str]:
    """The rules of the suite that ``frame`` (aggregates, never persons) breaks, in words; empty when it keeps all.

    Raises RuntimeError when Great Expectations could not evaluate a rule: an internal error is not bad data.
    """
    gx, batch_definition = _great_expectations()
    content = json.loads((_SUITES / f"{suite_name}.json").read_text(encoding="utf-8"))
    batch = batch_definition.get_batch(batch_parameters={"dataframe": frame})
    validation = batch.validate(gx.ExpectationSuite(name=suite_name, expectations=content["expectations"]))
    broken = []
    for outcome in validation.results:
        rule = outcome.expectation_config
        if outcome.exception_info.get("raised_exception") or any(
            isinstance(info, dict) and info.get("raised_exception") for info in outcome.exception_info.values()
        ):
            raise RuntimeError(f"suite {suite_name}: {rule.type} on {rule.kwargs} could not be evaluated")
        if not outcome.success:
            broken.append(_in_words(rule, outcome.result))
    return broken


def _in_words(rule: Any, found: dict[str, Any]) -> str:
    meta = rule.meta or {}
    what = meta.get("what") or f"{rule.type} { ({k: v for k, v in rule.kwargs.items() if k != 'batch_id'}) }"
    count = found.get("unexpected_count")
    where = f" ({count} of {found.get('element_count')} rows)" if count else ""
    observed = found.get("observed_value")
    seen = f" (found {observed})" if observed is not None else ""
    advice = f" {meta['do']}" if meta.get("do") else ""
    return f"{what}{where}{seen}.{advice}"


@cache
def _great_expectations() -> tuple[Any, Any]:
    """The library and a batch definition for data frames. On first use only: the import takes several seconds."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("aggregates")
    return gx, source.add_dataframe_asset("aggregates").add_batch_definition_whole_dataframe("all")

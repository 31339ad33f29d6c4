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

from mm_pipeline.errors import OperatorError
from mm_pipeline.files import safe_names
from mm_pipeline.operations.start_up import without_collector

if TYPE_CHECKING:
    import pandas as pd

_SUITES = resources.files("mm_pipeline.defs.checks") / "suites"
_ROWS_NAMED = 10
"""Rows named in a message; further ones are only counted."""


def broken_rules(frame: "pd.DataFrame", suite_name: str, *, row: str = "") -> list[str]:
    """The rules of the suite that ``frame`` (aggregates, never persons) breaks, in words; empty when it keeps all.

    ``row``: the column that says which row it is, to be shown with a broken rule; without it the frame has one row.
    Raises OperatorError, with file and rule, when the suite cannot be used: an error of a rule is not bad data.
    """
    gx, batch_definition = _great_expectations()
    suite = _suite(gx, suite_name)
    batch = batch_definition.get_batch(batch_parameters={"dataframe": frame})
    shown = {"result_format": "COMPLETE", "unexpected_index_column_names": [row]} if row else "SUMMARY"
    validation = batch.validate(suite, result_format=shown)
    if len(validation.results) != len(suite.expectations):
        raise RuntimeError(
            f"suite {suite_name}: {len(validation.results)} of {len(suite.expectations)} rules were looked at"
        )
    broken = []
    for outcome in validation.results:
        rule = outcome.expectation_config
        infos = [outcome.exception_info, *outcome.exception_info.values()]
        if error := next((info for info in infos if isinstance(info, dict) and info.get("raised_exception")), None):
            raise OperatorError(
                f"{_file(suite_name)}, rule {rule.meta['number']}: {rule.type} on {_arguments(rule)} could not be "
                f"evaluated ({safe_names.shown(str(error.get('exception_message')), 200)}); expected a rule on a column of "
                f"the table ({', '.join(map(str, frame.columns))}) with bounds that fit. Undo the last change of the file."
            )
        if not outcome.success:
            broken.append(_in_words(rule, outcome.result, row))
    return broken


def _suite(gx: Any, suite_name: str) -> Any:
    """The suite as it lies on disk, with the number of each rule, since Great Expectations gives them back in another order.

    Rule by rule: it would leave out one whose name it does not know.
    """
    from great_expectations.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    file, expectations = _file(suite_name), []
    for number, rule in enumerate(_rules(suite_name, file), 1):
        try:
            configuration = ExpectationConfiguration(**rule)
            configuration.meta = {**(configuration.meta or {}), "number": number}
            expectations.append(configuration.to_domain_obj())
        except (TypeError, ValueError, GreatExpectationsError) as error:
            raise OperatorError(
                f"{file}, rule {number}: {error}; expected a rule of Great Expectations. Undo the last change of the file."
            ) from None
    return gx.ExpectationSuite(name=suite_name, expectations=expectations)


def _file(suite_name: str) -> str:
    return f"mm_pipeline/defs/checks/suites/{suite_name}.json"


def _rules(suite_name: str, file: str) -> list[dict[str, Any]]:
    data = (_SUITES / f"{suite_name}.json").read_bytes()
    try:
        rules = json.loads(data.decode("utf-8-sig"))["expectations"]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OperatorError(
            f"{file}, line {line}: a byte that is not UTF-8; expected JSON in UTF-8. Save the file as UTF-8, or undo its "
            "last change."
        ) from None
    except json.JSONDecodeError as error:
        raise OperatorError(
            f"{file}, line {error.lineno}, column {error.colno}: {error.msg}; expected JSON. Undo the last change of the "
            "file."
        ) from None
    except (KeyError, TypeError):
        raise OperatorError(f'{file}: no "expectations"; expected a list of them. Undo the last change.') from None
    if not rules:
        raise OperatorError(f"{file} holds no rule, so nothing would be looked at. Undo the last change of the file.")
    return rules


def _in_words(rule: Any, found: dict[str, Any], row: str) -> str:
    meta = rule.meta or {}
    what = meta.get("what") or f"{rule.type} {_arguments(rule)}"
    where = ""
    if row and (count := found.get("unexpected_count")):
        names = [str(each[row]) for each in found["unexpected_index_list"][:_ROWS_NAMED]]
        where = f" ({count} rows: {', '.join(names)}{', ...' * (count > len(names))})"
    observed = found.get("observed_value")
    seen = f" (found {observed})" if observed is not None else ""
    advice = f" {meta['do']}" if meta.get("do") else ""
    return f"{what}{where}{seen}.{advice}"


def _arguments(rule: Any) -> dict[str, Any]:
    return {name: value for name, value in rule.kwargs.items() if name != "batch_id"}


@cache
def _great_expectations() -> tuple[Any, Any]:
    """The library and a batch definition for data frames. On first use only: the import takes several seconds."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with without_collector():
        import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    nowhere = DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False))
    context = gx.get_context(mode="ephemeral", project_config=nowhere)  # else it makes a folder in TMPDIR
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("aggregates")
    return gx, source.add_dataframe_asset("aggregates").add_batch_definition_whole_dataframe("all")

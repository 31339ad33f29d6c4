"""Audit findings: which figures break the promise (``docs/disclosure.md``).

The audit does not know which cells are small; it judges what a reader of the releases can conclude.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import KEY
from mm_pipeline.disclosure.audit.intervals import intervals
from mm_pipeline.disclosure.audit.release import SHOWN, VERSIONS, contradiction, read
from mm_pipeline.disclosure.audit.system import FIGURES, M, N, System, n, system_of
from mm_pipeline.errors import OperatorError


@dataclass(frozen=True)
class Audit:
    """The findings of an audit: what a reader of all the releases can conclude."""

    intervals: pd.DataFrame = field(repr=False)
    """A row for each figure that a release does not show, and for each shown one that breaks the promise.

    KEY, ``release`` (0 is the newest; for a cell that did not change, the newest that has it), VERSIONS, ``figure``
    (beneficiaries, patients, or others = beneficiaries who are not patients), ``lowest``, ``highest`` (Int64; empty:
    unbounded), ``broken``. Where beneficiaries are shown, others mirror patients and have a row only if they break the
    promise.
    """
    summary: pd.DataFrame = field(repr=False)
    """The newest release by ``level`` and ``dimension``.

    ``cells``, ``visible``, ``hidden``: numbers of cells. ``visible_share``: of the beneficiaries shown, the share in cells
    that show patients. ``narrowest``: the least highest - lowest of the hidden figures that could be small, else empty.
    """

    @property
    def violations(self) -> pd.DataFrame:
        """The rows of ``intervals`` that break the promise."""
        return self.intervals[self.intervals.broken].reset_index(drop=True)

    def readable(self) -> list[dict[str, str]]:
        """``summary`` as texts to display, keyed by heading."""
        headings = {"visible_share": "people in visible areas", "narrowest": "narrowest interval"}
        shown = self.summary.assign(visible_share=self.summary.visible_share.map("{:.1%}".format, na_action="ignore"))
        return shown.rename(columns=headings).astype("object").fillna("").astype(str).to_dict("records")


def audit(
    published: pd.DataFrame | Sequence[pd.DataFrame], disclosure_threshold: int, known: pd.DataFrame | None = None
) -> Audit:
    """Audit one release, or several of the same year (newest first), each in the shape of ``protected_rates``.

    A figure with the same ``version_beneficiaries`` or ``version_patients`` in several releases did not change; without
    these columns no figure did. ``change``: since the release before, the cell gained persons and lost none (1), lost some
    and gained none (-1); 0 or no column: not known. Rows of residuals (``<NIS5>ZZZZ``; level ``unassigned``) may be there,
    without figures, for their versions.

    ``known``: what the reader knows from elsewhere about figures of the newest release, residuals included: KEY, ``figure``
    (beneficiaries or patients), ``at_least``, ``at_most`` (either may be empty). It narrows the intervals. A figure that is
    known in this way breaks the promise only if it does so without ``known``.

    Raises :class:`OperatorError` for tables or known figures that contradict themselves or each other.
    """
    releases = [published] if isinstance(published, pd.DataFrame) else list(published)
    if not releases:
        raise OperatorError("There is no release to audit. Name at least one.")
    if len({year for release in releases if "year" in release for year in release.year}) > 1:
        raise OperatorError("The releases to audit are of several years. Expected is one year; audit each by itself.")
    rows = pd.concat(
        [read(release, position).assign(release=position) for position, release in enumerate(releases)],
        ignore_index=True,
    )
    rows["unknown"] = rows.groupby([*KEY, *VERSIONS], sort=True).ngroup()
    for figure, version in zip(SHOWN, VERSIONS, strict=True):
        ambiguous = rows[rows.groupby([*KEY, version])[figure].transform("nunique") > 1]
        if len(ambiguous):
            raise contradiction("cells of one version shown differently in two releases", ambiguous)
    system = system_of(rows)
    bounds = intervals(system)
    # Each unknown once, with what the newest release that has it shows.
    cells = rows.sort_values(["release", *KEY]).drop_duplicates("unknown").reset_index(drop=True)
    own = (3 * cells.unknown.to_numpy()[:, None]) + range(len(FIGURES))
    # Of another version of the patients it is another unknown, and may be shown there.
    shown_people = rows.groupby([*KEY, VERSIONS[0]]).beneficiaries.count()
    shows = pd.MultiIndex.from_frame(cells[[*KEY, VERSIONS[0]]]).isin(shown_people.index[shown_people > 0])
    lowest, highest, could_be_small, broken = _judged(bounds, own, shows, disclosure_threshold)
    if known is not None:
        is_told, narrowed = _told(system, rows, cells, known)
        is_told[:, M] = is_told[:, n] & (is_told[:, N] | shows)
        try:
            bounds = intervals(narrowed)
        except OperatorError:
            raise OperatorError("What is known contradicts what is shown, or itself. Correct it.") from None
        broken_before = broken
        lowest, highest, could_be_small, broken = _judged(bounds, own, shows, disclosure_threshold)
        could_be_small &= ~is_told
        broken = (broken & ~is_told) | broken_before
    newest = (cells.release == 0).to_numpy()
    widths = np.where(could_be_small, highest - lowest, np.nan)
    return Audit(_listed(cells, lowest, highest, broken), _summary(cells[newest], widths[newest]))


def _judged(
    bounds: tuple[np.ndarray, np.ndarray], own: np.ndarray, shows: np.ndarray, disclosure_threshold: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lowest, highest, could be small, breaks the promise: four arrays, a row per cell and a column per figure.

    ``shows``: whether some release shows N of the cell.
    """
    lowest, highest = (bound[own] for bound in bounds)
    could_be_small, widths = (lowest < disclosure_threshold) & (highest > 0), highest - lowest
    caps = np.full(lowest.shape, float(disclosure_threshold))
    # A hidden n is at least 1 where N is shown: of N = t others can be at most t - 1.
    caps[shows, M] = np.minimum(disclosure_threshold, lowest[shows, N] - 1)
    broken = could_be_small & ((widths < disclosure_threshold - 1) | (highest < caps))
    # That everybody in the cell is a patient, or nearly, tells something of every beneficiary in it.
    broken[:, M] |= (lowest[:, M] == 0) & (highest[:, n] > 0) & (widths[:, M] < disclosure_threshold - 1)
    return lowest, highest, could_be_small, broken


def _told(system: System, rows: pd.DataFrame, cells: pd.DataFrame, known: pd.DataFrame) -> tuple[np.ndarray, System]:
    """Whether each figure of ``cells`` is known, or another of its version is; and the system with the known bounds."""
    of = known.merge(rows[rows.release == 0], on=KEY, how="left")
    if of.unknown.isna().any():
        raise OperatorError("What is known is of a cell that the newest release does not have. Correct it.")
    is_told = np.zeros((len(cells), len(FIGURES)), dtype=bool)
    for figure, version in enumerate(VERSIONS):
        same = pd.MultiIndex.from_frame(of.loc[of.figure == SHOWN[figure], [*KEY, version]])
        is_told[:, figure] = pd.MultiIndex.from_frame(cells[[*KEY, version]]).isin(same)
    column = 3 * of.unknown.to_numpy(int) + of.figure.map(SHOWN.index).to_numpy(int)
    lowest, highest = system.lowest.copy(), system.highest.copy()
    np.maximum.at(lowest, column, of.at_least.astype("Float64").to_numpy(float, na_value=0))
    np.minimum.at(highest, column, of.at_most.astype("Float64").to_numpy(float, na_value=np.inf))
    return is_told, replace(system, lowest=lowest, highest=highest)


def _listed(cells: pd.DataFrame, lowest: np.ndarray, highest: np.ndarray, broken: np.ndarray) -> pd.DataFrame:
    """The rows of :attr:`Audit.intervals`."""
    hidden = cells[[*SHOWN, "beneficiaries"]].isna().to_numpy()  # others mirror patients where N is shown
    row, figure = at = np.nonzero(hidden | broken)
    listed = cells.loc[row, [*KEY, "release", *VERSIONS]].reset_index(drop=True)
    listed["figure"] = np.array(FIGURES)[figure]
    listed["lowest"] = pd.Series(lowest[at]).astype("Int64")
    listed["highest"] = pd.Series(highest[at]).replace(np.inf, np.nan).astype("Int64")
    listed["broken"] = broken[at]
    return listed


def _summary(cells: pd.DataFrame, widths: np.ndarray) -> pd.DataFrame:
    """The rows of :attr:`Audit.summary`. ``widths``: highest - lowest of the figures that could be small, else NaN."""
    by = ["level", "dimension"]
    hidden = cells[[*SHOWN, "patients"]].isna().to_numpy()
    visible = cells.patients.notna()
    rows = cells.assign(
        visible=visible,
        seen=cells.beneficiaries.where(visible),
        narrowest=pd.DataFrame(np.where(hidden & np.isfinite(widths), widths, np.nan)).min(axis=1),
    )
    # The width of a residual counts with the cells of its level; the unassigned have no cells.
    summary = rows.groupby(by).agg(
        residuals=("residual", "sum"),
        cells=("residual", "size"),
        visible=("visible", "sum"),
        seen=("seen", "sum"),
        all=("beneficiaries", "sum"),
        narrowest=("narrowest", "min"),
    )
    summary["cells"] -= summary.residuals
    summary["hidden"] = summary.cells - summary.visible
    summary["visible_share"] = summary.seen / summary["all"]
    summary["narrowest"] = summary.narrowest.astype("Int64")
    columns = [*by, "cells", "visible", "hidden", "visible_share", "narrowest"]
    return summary[summary.cells > 0].reset_index()[columns]

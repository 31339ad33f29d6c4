"""What a small number of people is, and how numbers of people are told outside the restricted zones.

``is_small`` is the rule of the release and of all that stands beside it: Dagster's event log and UI, the command line,
receipts. These tell no small number, and round ones where others are near. ``threshold``: the smallest number of people that
may be shown (``Settings.disclosure_threshold``).
"""

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

ROUNDED_TO = 100
"""Numbers of people are rounded to multiples of it; the first holds those up to 49, more than any disclosure threshold."""


@overload
def is_small(count: int, threshold: int) -> bool: ...
@overload
def is_small(count: NDArray[np.int64], threshold: int) -> NDArray[np.bool_]: ...
def is_small(count: Any, threshold: int) -> Any:
    """Of one number, or of each of several."""
    return (count >= 1) & (count < threshold)


def in_words(threshold: int) -> str:
    return "five" if threshold == 5 else str(threshold)


def people(count: int, threshold: int) -> int | str:
    """A number of people as it may be shown outside the restricted zones."""
    return f"1 to {threshold - 1}" if is_small(count, threshold) else count


def rounded(count: int) -> int:
    """A number of people, or of rows of theirs, to the nearest 100; from 100 000 on to three digits.

    Whoever knows three, of which one is the sum of the others, still knows none of them to fewer than 49
    values (``docs/disclosure.md``, section 8).
    """
    step = max(ROUNDED_TO, 10 ** (len(str(count)) - 3))
    return (count + step // 2) // step * step


def told(count: int) -> int | str:
    """``rounded``, or in words where that is 0: nobody and a few are told alike."""
    return rounded(count) or f"fewer than {ROUNDED_TO // 2}"


def parts(threshold: int, **counts: int) -> dict[str, Any]:
    """The parts of a number that is shown: none of them if one is small, since subtraction would tell it."""
    if any(is_small(count, threshold) for count in counts.values()):
        return dict.fromkeys(counts, "not shown, one is a small number")
    return dict(counts)

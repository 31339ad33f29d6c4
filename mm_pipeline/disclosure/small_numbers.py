"""Numbers of people as the program's own messages tell them: no small one, and round ones where others are near.

For whatever stands outside the restricted zones beside the release: Dagster's event log and UI, the command line, receipts.
"""

from typing import Any

SMALLEST_SHOWN = 5

ROUNDED_TO = 100
"""Numbers of people are rounded to multiples of it; the first holds those up to 49, more than any disclosure threshold."""


def is_small(count: int) -> bool:
    return 1 <= count < SMALLEST_SHOWN


def people(count: int) -> int | str:
    """A number of people as it may be shown outside the restricted zones."""
    return f"1 to {SMALLEST_SHOWN - 1}" if is_small(count) else count


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


def parts(**counts: int) -> dict[str, Any]:
    """The parts of a number that is shown: none of them if one is small, since subtraction would tell it."""
    if any(map(is_small, counts.values())):
        return dict.fromkeys(counts, "not shown, one is a small number")
    return dict(counts)

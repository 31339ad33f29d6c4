"""Bad lines, as every real delivery has a few: damaged copies of good lines."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mm_pipeline.demo.hashing import Dice

#: Function from the fields of a good line to those of a bad one.
Damage = Callable[[list[str]], list[str]]

#: Bad lines in a file: at least the first number, fewer than the second more, at most the third per 1000 lines.
BAD_LINES, MORE_BAD_LINES, BAD_PER_1000 = 3, 4, 3


def of_forfaits(year: int) -> list[Damage]:
    """The damages of forfaits: an unparseable date, one of another year, half a forfait, no patient, wrong field counts."""
    return [
        _replace(2, f"{year}0231"),
        _replace(2, f"{year - 1}0701"),
        _replace(4, "1.5"),
        _replace(0, ""),
        _too_many,
        _too_few,
    ]


def of_beneficiaries(year: int) -> list[Damage]:
    """The damages of beneficiaries: an unknown sex, a future birth, an unparseable date, no patient, wrong field counts."""
    return [
        _replace(2, "X"),
        _replace(1, str(year + 1)),
        _replace(6, f"{year}-13-01"),
        _replace(0, ""),
        _too_many,
        _too_few,
    ]


class BadLines:
    """The bad lines of one file that is written in pieces."""

    def __init__(self, dice: Dice, file: str, year: int, pieces: int, damages: Sequence[Damage]) -> None:
        count = BAD_LINES + int(dice.below(f"bad lines of {file}", np.zeros(1, np.int64), MORE_BAD_LINES, year)[0])
        self._dice, self._file, self._year = dice, file, year
        self._numbers = np.arange(count)
        self._piece = dice.below(f"piece of a bad line of {file}", self._numbers, pieces, year)
        # Each year begins with the next kind, so that a few years have all kinds.
        self._damages = [damages[(year + number) % len(damages)] for number in range(count)]

    def of(self, piece: int, rows: int) -> Mapping[int, Damage]:
        """The damages of a piece, by the row before which the bad line stands."""
        row = self._dice.below(f"row of a bad line of {self._file}", self._numbers, rows, self._year)
        here = self._numbers[self._piece == piece][: rows * BAD_PER_1000 // 1000]
        return {int(row[number]): self._damages[number] for number in here}


def _replace(column: int, value: str) -> Damage:
    return lambda fields: [*fields[:column], value, *fields[column + 1 :]]


def _too_many(fields: list[str]) -> list[str]:
    return [*fields, "?"]


def _too_few(fields: list[str]) -> list[str]:
    return fields[:-2]

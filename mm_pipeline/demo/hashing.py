"""Reproducible chance: draws from a hash of what they are about, the same on every machine.

A draw depends on (seed, purpose, index, when) and on nothing else, so that a person needs no stored state: every year,
alone or in a range, finds the same birth, moves and registrations again. Only 64-bit integer arithmetic is used: numpy
does not promise the streams of its generators across versions, and floating-point functions differ between machines.
"""

from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Hashes: TypeAlias = npt.NDArray[np.uint64]
Bools: TypeAlias = npt.NDArray[np.bool_]

#: Steps of splitmix64 (Steele, Lea, Flood 2014): the increment is 2^64 / golden ratio, the multipliers its finaliser's.
INCREMENT = np.uint64(0x9E3779B97F4A7C15)
FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)

#: Points of ``Dice.spread``.
POINTS = 1 << 32


def finalise(bits: Hashes) -> Hashes:
    """Apply the finaliser of splitmix64, in place: every bit of the input changes half of the bits of the output."""
    bits ^= bits >> np.uint64(30)
    bits *= FIRST_MULTIPLIER
    bits ^= bits >> np.uint64(27)
    bits *= SECOND_MULTIPLIER
    bits ^= bits >> np.uint64(31)
    return bits


class Dice:
    """All draws of one seed. ``index``: whom a draw is about; ``when`` (mostly a year): distinguishes repeated draws."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def roll(self, purpose: str, index: Ints, when: int = 0) -> Hashes:
        """64 random bits for each index; distinct indices give distinct values, because every step is a bijection."""
        return finalise(self._sequence(purpose, index, when))

    def below(self, purpose: str, index: Ints, limit: int | Ints, when: int = 0) -> Ints:
        """A uniform number in [0, limit) for each index; limits (one, or one an index) up to 2^31."""
        return (_upper_half(self.roll(purpose, index, when)) * limit) >> 32

    def chance(self, purpose: str, index: Ints, per_10_000: int, when: int = 0) -> Bools:
        """True for ``per_10_000`` of 10 000 indices, on average."""
        return self.below(purpose, index, 10_000, when) < per_10_000

    def spread(self, purpose: str, index: Ints) -> Ints:
        """A point in [0, 2^32) for each index; consecutive ones are far more even than chance (a Weyl sequence)."""
        return _upper_half(self._sequence(purpose, index, 0))

    def _sequence(self, purpose: str, index: Ints, when: int) -> Hashes:
        key = blake2b(f"{self.seed}/{purpose}/{when}".encode(), digest_size=8).digest()
        return index.astype(np.uint64) * INCREMENT + np.uint64(int.from_bytes(key, "little"))


def _upper_half(bits: Hashes) -> Ints:
    """The upper, better half of the bits, as numbers that can be multiplied within 64 bits."""
    return (bits >> np.uint64(32)).astype(np.int64)

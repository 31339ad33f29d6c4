"""Pseudonyms of persons and households, and identifiers of houses and practices, which share one space."""

import numpy as np
import pyarrow as pa

from mm_pipeline.demo.hashing import Dice, Hashes, Ints

_HEXADECIMAL = np.frombuffer(b"0123456789abcdef", np.uint8)


def pseudonyms(dice: Dice, index: Ints) -> pa.StringArray:
    """Pseudonyms of persons, ``syn`` and 16 hexadecimal digits: opaque, distinct, and visibly not real ones."""
    return _opaque(b"syn", dice.roll("pseudonym", index))


def household_pseudonyms(dice: Dice, number: Ints) -> pa.StringArray:
    """Pseudonyms of households, ``synh`` and 16 hexadecimal digits."""
    return _opaque(b"synh", dice.roll("pseudonym of a household", number))


def providers(houses: int, practices: int, year: int) -> pa.StringArray:
    """Houses ``H0001``, ..., then the ghost house of the year (``H9020`` in 2020), then practices ``P00001``, ..."""
    own = [f"H{n + 1:04d}" for n in range(houses)]
    return pa.array([*own, f"H{7000 + year}", *(f"P{n + 1:05d}" for n in range(practices))])


def _opaque(prefix: bytes, hashes: Hashes) -> pa.StringArray:
    """Texts of the prefix and the digits of each hash."""
    octets = hashes.astype(">u8").view(np.uint8).reshape(-1, 8)
    width = len(prefix) + 16
    text = np.empty((len(hashes), width), np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    text[:, len(prefix) :: 2] = _HEXADECIMAL[octets >> 4]
    text[:, len(prefix) + 1 :: 2] = _HEXADECIMAL[octets & 15]
    offsets = np.arange(len(hashes) + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(len(hashes), pa.py_buffer(offsets), pa.py_buffer(text))

"""Pseudonyms of persons and households, and identifiers of houses and practices, which share one space."""

from binascii import hexlify

import numpy as np
import pyarrow as pa

from mm_pipeline.demo.hashing import Dice, Hashes, Ints


def pseudonyms(dice: Dice, index: Ints) -> pa.StringArray:
    """Pseudonyms of persons, ``syn`` and 16 hexadecimal digits: opaque, distinct, and visibly not real ones."""
    return _opaque("syn", dice.roll("pseudonym", index))


def household_pseudonyms(dice: Dice, number: Ints) -> pa.StringArray:
    """Pseudonyms of households, ``synh`` and 16 hexadecimal digits."""
    return _opaque("synh", dice.roll("pseudonym of a household", number))


def providers(houses: int, practices: int, year: int) -> pa.StringArray:
    """Houses ``H0001``, ..., then the ghost house of the year (``H9020`` in 2020), then practices ``P00001``, ..."""
    own = [f"H{n + 1:04d}" for n in range(houses)]
    return pa.array([*own, f"H{7000 + year}", *(f"P{n + 1:05d}" for n in range(practices))])


def _opaque(prefix: str, hashes: Hashes) -> pa.StringArray:
    """Texts of the prefix and the digits of each hash."""
    marks = np.tile(np.frombuffer(prefix.encode(), np.uint8), (len(hashes), 1))
    digits = np.frombuffer(hexlify(hashes.astype(">u8").tobytes()), np.uint8).reshape(-1, 16)
    texts = np.hstack([marks, digits])
    ends = np.arange(len(hashes) + 1, dtype=np.int32) * texts.shape[1]
    return pa.StringArray.from_buffers(len(hashes), pa.py_buffer(ends), pa.py_buffer(texts))

"""Pseudonyms of persons, and identifiers of houses and practices, which share one space."""

import numpy as np
import pyarrow as pa

from mm_pipeline.demo.hashing import Dice, Ints

_PREFIX = np.frombuffer(b"syn", np.uint8)
_HEXADECIMAL = np.frombuffer(b"0123456789abcdef", np.uint8)


def pseudonyms(dice: Dice, index: Ints) -> pa.StringArray:
    """``syn`` and 16 hexadecimal digits for each person: opaque, distinct, and visibly not a real one."""
    octets = dice.roll("pseudonym", index).astype(">u8").view(np.uint8).reshape(-1, 8)
    width = len(_PREFIX) + 16
    text = np.empty((len(index), width), np.uint8)
    text[:, : len(_PREFIX)] = _PREFIX
    text[:, len(_PREFIX) :: 2] = _HEXADECIMAL[octets >> 4]
    text[:, len(_PREFIX) + 1 :: 2] = _HEXADECIMAL[octets & 15]
    offsets = np.arange(len(index) + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(len(index), pa.py_buffer(offsets), pa.py_buffer(text))


def providers(houses: int, practices: int) -> pa.StringArray:
    """The houses ``H0001``, ... and then the general practices ``P00001``, ..."""
    return pa.array([*(f"H{n + 1:04d}" for n in range(houses)), *(f"P{n + 1:05d}" for n in range(practices))])

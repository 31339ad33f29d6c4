"""Pseudonyms of persons and households, and identifiers of houses and practices, which share one space."""

from binascii import hexlify

import pyarrow as pa
import pyarrow.compute as pc

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
    digits = pa.py_buffer(hexlify(hashes.astype(">u8").tobytes()))
    texts = pa.Array.from_buffers(pa.binary(16), len(hashes), [None, digits]).cast(pa.string())
    return pc.binary_join_element_wise(prefix, texts, "")

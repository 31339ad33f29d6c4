"""Running many cases from seeds: a case that fails says how to run just that one.

``MM_FUZZ_SEED=n`` runs case n alone; ``MM_FUZZ_FIRST=n`` begins with another seed than usual, and ``MM_FUZZ_TIMES=n`` runs n
times as many cases, for a longer search.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

from mm_pipeline.errors import OperatorError
from mm_pipeline_tests.support.examples import how_many

LONGEST_MESSAGE = 2000


def run(name: str, count: int, case: Callable[[Random], str], report: Callable[[str], None]) -> Counter[str]:
    """Run ``case`` for each seed; it returns what came of it, in a word. The seeds are told, and how often what came."""
    count = how_many(count, max(25, count // 10))
    first, times = int(os.environ.get("MM_FUZZ_FIRST", "1")), int(os.environ.get("MM_FUZZ_TIMES", "1"))
    seeds: Iterable[int] = range(first, first + count * times)
    if only := os.environ.get("MM_FUZZ_SEED"):
        seeds = [int(only)]
    came: Counter[str] = Counter()
    for seed in seeds:
        try:
            came[case(Random(f"{name} {seed}"))] += 1
        except Exception as error:
            again = f"MM_FUZZ_SEED={seed} pytest mm_pipeline_tests/fuzz -k '{name}'"
            raise AssertionError(f"{type(error).__name__} in one case. To run it alone: {again}") from error
    counts = ", ".join(f"{count} {what}" for what, count in sorted(came.items()))
    report(f"fuzz {name}: seeds {first} to {first + count * times - 1}: {counts}")
    return came


def hold_message(error: OperatorError, secrets: Iterable[str] = ()) -> None:
    """A message that an operator can be shown: one line of bounded length, printable, without any of these secrets."""
    message = str(error)
    assert message.isprintable()
    assert len(message) <= LONGEST_MESSAGE
    message.encode()
    for secret in secrets:
        assert secret not in message


def chance(random: Random, share: float) -> bool:
    return random.random() < share


_TEXTS = (
    *list(",;|\"'\\\n\r\t \0\x1a#[]{}`07-"),
    *("\r\n", "\n\n", '""', '"\n', '\n"', '","', '" ', ' "', "=1+1", "\x1b[2J", "<b>", "1e999", "NaN", "null"),
    *("\ufeff", "\u202e", "\u200b", "\u00a0", "\u2028", "\x85", "é", "𝄞", "٣", "１"),
    *("{" * 50, "[" * 2000, "9" * 5000, "x" * 3000),
)
SNIPPETS = (*(text.encode() for text in _TEXTS), b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe")


def mutated(random: Random, content: bytes, *, most: int = 4) -> bytes:
    """The content with some bytes flipped, dropped, doubled, moved or cut off, or snippets put in."""
    data = bytearray(content)
    for _ in range(random.randint(1, most)):
        at = random.randint(0, len(data))
        end = min(len(data), at + random.choice((1, 1, 2, 5, 20, 200)))
        match random.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end] * random.choice((1, 1, 2, 30))
            case 3:
                del data[at:]
            case 4:
                piece = data[at:end]
                del data[at:end]
                to = random.randint(0, len(data))
                data[to:to] = piece
            case 5:
                data[at:end] = random.choice(SNIPPETS)
            case _:
                data[at:at] = random.choice(SNIPPETS)
    return bytes(data)


JSON_VALUES = (
    *("null", "true", "false", "0", "-1", "1", "1.5", "1e999", "-1e999", "NaN", "Infinity", "1e-999", "0.02", "2"),
    *('""', '"x"', '"\\ud800"', '"\\u0000"', '"\\u202e"', '"a\\nb"', '"' + "x" * 5000 + '"', "9" * 300, "9" * 5000),
    *("[]", "{}", "[[]]", '{"a": 1, "a": 2}', "[" * 500 + "]" * 500, "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500),
    *(
        '"../dmg.csv"',
        '"/etc/passwd"',
        '"<script>"',
        '[null, {"x": []}]',
        '"１２"',
        '"21004"',
        "21004",
        '"1"',
        "[1, 2]",
    ),
)


def json_text(random: Random, value: object, share: float) -> str:
    """JSON of a value in which any part may be another value (of the wrong type), any member be there twice or not."""
    if chance(random, share):
        return random.choice(JSON_VALUES)
    if isinstance(value, dict):
        members = []
        for name, member in value.items():
            if chance(random, share / 2):
                continue
            label = random.choice(JSON_VALUES) if chance(random, share / 4) else json.dumps(name)
            members += [f"{label}: {json_text(random, member, share)}"] * (2 if chance(random, share / 4) else 1)
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(json_text(random, member, share) for member in value) + "]"
    return json.dumps(value)

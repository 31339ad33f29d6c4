"""What a process spends before it begins: imports, definitions, Dagster's instance."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """What is imported and built meanwhile stays: the garbage collector would look through it over and over.

    It goes on afterwards, and leaves alone what is there by then.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

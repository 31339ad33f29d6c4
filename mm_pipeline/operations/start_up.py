"""What a process spends before it begins: imports, definitions, Dagster's instance."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """What is imported and built meanwhile stays: the garbage collector would look through it over and over."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def starting() -> Iterator[None]:
    """The same, and the collector leaves alone what is there by then: at the end of the process too, if not unfrozen."""
    with without_collector():
        yield
        gc.freeze()

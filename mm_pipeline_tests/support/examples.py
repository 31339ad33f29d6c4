"""Which examples are drawn: few in ``make test``, all in ``make test-all``, and others every time with ``make test-more``.

The first two draw the same ones each time (``derandomize``), so a change is refused for nothing but what it did. What others
find is for whoever looks for it, and becomes a test of its own; ``--hypothesis-seed=n`` draws those of seed n again.
"""

from typing import Any

from hypothesis import HealthCheck, settings

QUICK, FULL, OTHERS = "quick", "full", "full_others"
_SHARE = 10
"""Of so many examples, a quick run draws one."""
_AT_LEAST = 5

for _name, _most in ((QUICK, 10), (FULL, 100), (OTHERS, 100)):
    settings.register_profile(
        _name,
        max_examples=_most,
        derandomize=_name != OTHERS,
        deadline=None,  # no test depends on the speed of the machine
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        print_blob=True,
    )


def is_full() -> bool:
    return settings.get_current_profile_name().startswith(FULL)


def how_many(full: int, quick: int | None = None) -> int:
    """Of ``full`` examples, how many are drawn in this run; by default a tenth."""
    return full if is_full() else min(full, quick or max(_AT_LEAST, full // _SHARE))


def examples(full: int, quick: int | None = None, **more: Any) -> settings:
    """The decorator of a test that draws so many examples, with other settings of Hypothesis if need be."""
    return settings(max_examples=how_many(full, quick), **more)


settings.load_profile(QUICK)

"""How many examples are drawn at random: few in ``make test``, all in ``make test-all``.

``pytest --hypothesis-profile=full`` draws all of them, and ``--hypothesis-seed=n`` those of seed n again.
"""

from typing import Any

from hypothesis import HealthCheck, settings

QUICK, FULL = "quick", "full"
_SHARE = 10
"""Of so many examples, a quick run draws one."""
_AT_LEAST = 5

for _name, _most in ((QUICK, 10), (FULL, 100)):
    settings.register_profile(
        _name,
        max_examples=_most,
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

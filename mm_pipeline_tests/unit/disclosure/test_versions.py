"""Which figures a reader of several public tables takes to be the same."""

import pandas as pd

from mm_pipeline.disclosure.audit import audit, with_versions

MEN, WOMEN = "sex M", "sex F"
FIGURES = ["beneficiaries", "patients"]


def table(**areas: list[str]) -> pd.DataFrame:
    """A municipality each: N n of its total, its men and its women; a dot is hidden. ``arrondissement`` is above them."""
    rows = []
    for area, shown in areas.items():
        is_above = area == "arrondissement"
        for kind, numbers in zip(("total total", MEN, WOMEN), shown, strict=True):
            place = ("arrondissement", "11000", "10000") if is_above else ("municipality", area, "11000")
            figures = [None if number == "." else int(number) for number in numbers.split()]
            rows.append([*place, *kind.split(), *figures])
    names = ["level", "area_code", "parent_code", "dimension", "category", *FIGURES]
    return pd.DataFrame(rows, columns=names).astype(dict.fromkeys(FIGURES, "Int64"))


def same(releases: list[pd.DataFrame], area: str, category: str) -> tuple[bool, ...]:
    """Whether the newest release has the N and the n of the one before."""
    newest, before = (
        release.set_index(["area_code", "category"]).loc[(area, category)] for release in with_versions(releases)[:2]
    )
    return tuple(bool(newest[f"version_{figure}"] == before[f"version_{figure}"]) for figure in FIGURES)


def changes(releases: list[pd.DataFrame]) -> dict[str, int]:
    newest = with_versions(releases)[0]
    return dict(zip(newest["category"], newest["change"].astype(int), strict=True))


def test_hidden_figures_of_an_area_that_did_not_change_are_the_same():
    old = table(a=["200 60", "100 .", "100 ."], b=["200 60", "100 .", "100 ."])
    new = table(a=["200 60", "100 .", "100 ."], b=["200 66", "100 .", "100 ."])
    assert same([new, old], "a", "M") == (True, True)
    assert same([new, old], "b", "M") == (True, False)


def test_where_a_total_is_hidden_the_area_above_tells():
    hidden = ["200 .", "100 .", "100 ."]
    above = table(arrondissement=["200 60", "100 30", "100 30"], a=hidden)
    changed = table(arrondissement=["200 61", "100 31", "100 30"], a=hidden)
    assert same([above, above], "a", "F") == (True, True)
    assert same([changed, above], "a", "F") == (True, False)


def test_a_zero_that_is_hidden_now_was_another():
    old = table(a=["200 60", "100 60", "100 0"], b=["200 60", "100 50", "100 10"])
    new = table(a=["200 .", "100 .", "100 ."], b=["200 60", "100 50", "100 10"])
    assert same([new, old], "a", "F") == (True, True), "all of a is hidden, zeros too"
    new = table(a=["200 60", "100 59", "100 ."], b=["200 60", "100 50", "100 10"])
    assert same([new, old], "a", "F") == (True, False)
    assert same([old, new], "a", "F") == (True, False)


def test_persons_came():
    """n where N stays is the same, though the area changed; the n of the women moved by at most 10."""
    old, new = table(a=["200 60", "100 .", "100 ."]), table(a=["210 62", "100 .", "110 ."])
    assert same([new, old], "a", "M") == (True, True)
    assert same([new, old], "a", "F") == (False, False)
    assert changes([new, old]) == {"total": 1, "M": 0, "F": 1}
    assert changes([old, new]) == {"total": -1, "M": 0, "F": -1}


def test_beneficiaries_were_delivered_anew():
    old, new = table(a=["200 60", "100 .", "100 ."]), table(a=["210 60", "101 .", "109 ."])
    assert same([new, old], "a", "M") == (False, True)
    assert set(changes([new, old]).values()) == {0}


def test_forfaits_were_delivered_anew():
    old, new = table(a=["200 60", "100 .", "100 ."]), table(a=["201 65", "101 .", "100 ."])
    assert same([new, old], "a", "F") == (True, False)
    assert set(changes([new, old]).values()) == {0}


def test_a_figure_that_a_release_between_hides():
    shown, hidden = table(a=["200 60", "100 40", "100 20"]), table(a=["200 60", "100 .", "100 ."])
    later = table(a=["200 65", "100 45", "100 20"])
    assert same([hidden, shown], "a", "M") == (True, True)
    assert same([later, hidden, shown], "a", "M") == (True, False)
    assert same([shown, hidden, shown], "a", "M") == (True, True)


def test_residuals_are_guessed_too():
    """All sectors and the total stay: so does who lives in none of them."""
    old = table(a=["200 60", "100 .", "100 ."])
    sector = pd.DataFrame([["sector", "aA0-", "a", "total", "total", 150, 50]], columns=old.columns)
    old = pd.concat([old, sector], ignore_index=True).astype(dict.fromkeys(FIGURES, "Int64"))
    assert same([old, old], "aZZZZ", "total") == (True, True)
    new = old.assign(patients=old["patients"].replace(60, 61))
    assert same([new, old], "aZZZZ", "total") == (True, False)


def test_two_releases_unmask_together_what_neither_does():
    """The men of a did not change, and the newer release shows them: in the older one those of b are 30 - 28."""
    above = ["400 60", "200 30", "200 30"]
    old = table(arrondissement=above, a=["200 40", "100 .", "100 ."], b=["200 20", "100 .", "100 ."])
    new = table(
        arrondissement=["410 70", "210 40", "200 30"], a=["200 40", "100 28", "100 12"], b=["210 30", "110 .", "100 ."]
    )
    assert audit(old, 5).violations.empty
    assert audit(new, 5).violations.empty
    violations = audit(with_versions([new, old]), 5).violations
    assert set(violations[["area_code", "category", "release"]].itertuples(index=False, name=None)) == {("b", "M", 1)}

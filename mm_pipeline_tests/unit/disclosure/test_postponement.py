"""Changes of a revision that wait: which, for how long, and what the table is that leaves them out."""

import pytest
from pandas.testing import assert_frame_equal

from mm_pipeline.disclosure.audit import audit
from mm_pipeline.disclosure.protect import protect, protect_revision
from mm_pipeline.disclosure.revision import as_published, disclosed
from mm_pipeline_tests.support.small_tables import AREAS, KEY, Area, Group, SmallTable, table_of

T = 5
COUNTS = ["beneficiaries", "patients"]
PLACES = {"11001": (100, 20), "11002": (100, 0), "11004": (100, 20), "12014": (150, 30), "24062": (90, 30)}
PLACES |= {"21004": (150, 30), "21005": (120, 30)}


def rates_of(*changes, parents=None, sectors=()):
    """A country by sex; ``changes``: (municipality or "", men more, patients among them)."""
    areas = [Area("country", "BE", "")]
    for region, provinces in AREAS.items():
        areas.append(Area("region", region, "BE"))
        for province, arrondissements in provinces.items():
            areas.append(Area("province", province, region))
            for code, municipalities in arrondissements.items():
                areas.append(Area("arrondissement", code, province))
                areas += [Area("municipality", each, (parents or {}).get(each, code)) for each in municipalities]
    groups = [Group(code, "", sex, "0-17", "0", *counts) for code, counts in PLACES.items() for sex in "MF"]
    groups += [Group(code, "", "M", "0-17", "0", people, patients) for code, people, patients in changes]
    groups += [Group("11001", code, "M", "0-17", "0", people, 0) for code, people in sectors]
    areas += [Area("sector", code, "11001") for code, _ in sectors]
    return table_of(
        SmallTable(tuple(areas), "country", "sector" if sectors else "municipality", ("sex",), tuple(groups))
    )


def revised(*tables, threshold=T, **options):
    """The last of some tables, the others being released before it; all releases together keep the promise."""
    releases = []
    for rates in tables:
        result = protect_revision(rates, threshold, releases, **options)
        releases.append(disclosed(result.rates, result.table))
    assert not len(audit(as_published(releases), threshold).violations)
    return result


def counts_of(rates, *areas):
    return rates[rates["area_code"].isin(areas)].set_index(KEY)[COUNTS].sort_index()


def test_one_patient_waits_where_he_is_and_nothing_above_is_hidden():
    before, after = rates_of(), rates_of(("11002", 0, 1), ("21004", 40, 20))
    result = revised(before, after)
    assert result.postponed == {"11000"}
    assert_frame_equal(counts_of(result.rates, "11000", "11002"), counts_of(before, "11000", "11002"))
    assert_frame_equal(counts_of(result.rates, "21004", "04000"), counts_of(after, "21004", "04000"))
    assert counts_of(result.rates, "BE")["patients"].iloc[-1] == counts_of(after, "BE")["patients"].iloc[-1] - 1
    upper = result.table[result.table["level"].isin(["country", "region", "province"])]
    assert (upper["status"] == "published").all()


def test_what_has_grown_enough_comes_with_the_next_delivery():
    after = rates_of(("11002", 30, 15))
    result = revised(rates_of(), rates_of(("11002", 0, 1)), after)
    assert not result.postponed
    assert_frame_equal(counts_of(result.rates, "11002"), counts_of(after, "11002"))


def test_a_patient_without_a_municipality_keeps_no_arrondissement_waiting():
    everywhere = [(code, 50, 10) for code in PLACES]
    assert not revised(rates_of(), rates_of(*everywhere)).postponed
    assert revised(rates_of(), rates_of(*everywhere, ("", 1, 1))).postponed == {"unassigned"}


def test_an_area_that_changed_its_place_cannot_stay_as_it_was():
    """Of neither arrondissement: its people would be counted twice, or not at all."""
    after = rates_of(("11002", 0, 1), parents={"11004": "12000"})
    result = revised(rates_of(), after, highest="country")
    assert not result.postponed
    assert_frame_equal(counts_of(result.rates, "11000", "12000"), counts_of(after, "11000", "12000"))
    assert not protect_revision(after, T, [disclosed(rates_of(), protect(rates_of(), T))]).postponed


@pytest.mark.parametrize("empty_sector_is_new", [False, True])
def test_a_sector_without_people_comes_and_goes_with_its_arrondissement(empty_sector_is_new):
    sectors = [[("11001A00-", 20)], [("11001A00-", 20), ("11001A01-", 0)]]
    before, after = sectors if empty_sector_is_new else sectors[::-1]
    old, new = rates_of(sectors=before), rates_of(("11002", 0, 1), ("21004", 40, 20), sectors=after)
    result = revised(old, new)
    assert result.postponed == {"11000"}
    is_there = result.rates["area_code"].eq("11001A01-").any()
    assert is_there == (not empty_sector_is_new)


def test_a_release_that_does_not_say_its_threshold_is_protected_at_the_one_of_now():
    rates = rates_of(("11002", 0, 7))
    result = protect_revision(rates, 10, [disclosed(rates, protect(rates, 5))])
    assert not len(audit(result.table, 10).violations)

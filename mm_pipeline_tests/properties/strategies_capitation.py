"""Random years of a small country of houses, rich in everything that the rules of the capitation system turn on.

What belongs here: Hypothesis strategies for `Deliveries`, and `peculiarities`, which names what is special about one. What
does not: expectations (`oracle_capitation`), and rows that break their contract (`strategies`).

A house is drawn with a crowd, alike in all but residence, so that shares and thresholds are met exactly; single persons
with a life of their own are added, and lines that correct, take back or bill twice.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from mm_pipeline_tests.properties import oracle
from mm_pipeline_tests.properties.oracle_capitation import (
    ALL_MONTHS,
    Deliveries,
    amounts_of,
    billed_lines,
    capitation,
    is_forfait,
    known_residences,
    overlaps,
    patients_of,
    unit_amount,
)
from mm_pipeline_tests.properties.strategies import Municipality, TextRow, area_table

PLACES = (
    Municipality("21004", "21000", "04000", "04000", ()),
    Municipality("21009", "21000", "04000", "04000", ()),
    Municipality("11002", "11000", "10000", "02000", ()),
    Municipality("24062", "24000", "20001", "02000", ()),
    Municipality("25112", "25000", "20002", "03000", ()),
    Municipality("31005", "31000", "30000", "02000", ()),
    Municipality("44021", "44000", "40000", "02000", ()),
    Municipality("52011", "52000", "50000", "03000", ()),
    Municipality("62063", "62000", "60000", "03000", ()),
    Municipality("62051", "62000", "60000", "03000", ()),
    Municipality("71022", "71000", "70000", "02000", ()),
    Municipality("81001", "81000", "80000", "03000", ()),
    Municipality("92094", "92000", "90000", "03000", ()),
)
BRUSSEL, LEUVEN, WAVRE, BRUGGE, GENT = "21004", "24062", "25112", "31005", "44021"
CHARLEROI, LIEGE, HASSELT, ARLON, NAMUR = "52011", "62063", "71022", "81001", "92094"

YEARS = (2024, 2013, 2012, 2013, 2005, 2004, 2003, 2014)
HOUSES = ("H9", "H10", "h9", "MM;é,1")
NOTHING_COUNTS = "H0"
"""A house with lines and no counted month, or hardly one."""
CROWDS = (
    (5,),
    (4,),
    (),
    (19, 1),
    (18, 1),
    (18, 1, 1),
    (20, 5),
    (20, 5),
    (24, 6),
    (19, 5),
    (6, 5),
    (6, 4),
    (2, 2, 1),
    (9, 6),
    (38, 1, 1),
    (3, 2),
    (1, 1, 1),
    (7,),
    (10,),
)
"""Patients of a house in each of several municipalities: shares of 95 % and 20 %, and their edges, among them."""
SAMPLES = ("1.0", "0.002", "0.01", "0.02", "0.04", "0.004", "0.014", "0.038", "0.05", "0.012", "0.011")
"""500 times these: 500, 1, 5, 10, 20, 2, 7, 19, 25, 6, 5.5."""
UNITS = ("20.00", "20.00", "20.00", "18.52", "100.00", "20.01")
QUANTITIES = (-1, 1, -2, 2, 0, 1, -1)
LOST = ("", "999", "62064")


@st.composite
def _careers(draw: DrawFn) -> list[int]:
    """Months: a run, or a run with months missing, or anything."""
    first = draw(st.integers(1, 12))
    last = draw(st.one_of(st.just(min(first + 5, 12)), st.integers(first, 12)))
    missing = draw(st.sets(st.integers(first, last), max_size=2)) if draw(st.booleans()) else set()
    return [month for month in range(first, last + 1) if month not in missing]


@st.composite
def _lives(draw: DrawFn, houses: Sequence[str]) -> dict[str, list[int]]:
    """house -> months: one house, or one after another with none, one or more months at both."""
    a, b, c = (draw(st.permutations(houses)) * 3)[:3]
    kind = draw(st.sampled_from(("one", "transfer", "transfer", "overlap", "three", "free", "early", "late")))
    cut = draw(st.integers(2, 11))
    match kind:
        case "one":
            return {a: draw(_careers())}
        case "transfer":
            both = draw(st.integers(-1, 1))
            return {b: list(range(cut + both, 13)), a: list(range(1, cut + 1))}
        case "overlap":
            return {b: list(range(cut - 1, 13)), a: list(range(1, cut + 1))}
        case "three":
            return {c: list(range(cut, min(cut + 2, 13))), b: list(range(cut, 13)), a: list(range(1, cut + 1))}
        case "early":
            return {b: [1], a: list(range(1, cut))}
        case "late":
            return {b: [12], a: list(range(cut, 13))}
    return {house: draw(_careers()) for house in (a, b, c)}


def _line(year: int, patient_id: str, house_id: str, month: int, quantity: int, amount: Decimal) -> TextRow:
    return {
        "patient_id": patient_id,
        "house_id": house_id,
        "service_date": f"{year}-{month:02}-{10 + month}",
        "nomenclature_code": oracle.FORFAIT_CODE,
        "quantity": str(quantity),
        "amount_eur": str(amount),
    }


def _resident(year: int, patient_id: str, municipality: str, since: str = "") -> TextRow:
    return {
        "patient_id": patient_id,
        "birth_year": str(year - 40),
        "sex": "F",
        "preferential": "0",
        "municipality_code": municipality,
        "sector_code": "",
        "valid_from": since,
    }


@st.composite
def _beneficiary_rows(draw: DrawFn, year: int, patient_id: str, municipalities: Sequence[str]) -> list[TextRow]:
    municipality = draw(st.sampled_from(municipalities))
    row = _resident(year, patient_id, municipality)
    match draw(st.sampled_from(("plain", "plain", "plain", "none", "moved", "lost", "born after"))):
        case "none":
            return []
        case "moved":
            return [row, _resident(year, patient_id, draw(st.sampled_from(municipalities)), f"{year}-06-01")]
        case "lost":
            return [row | {"municipality_code": draw(st.sampled_from(LOST))}]
        case "born after":
            return [row | {"birth_year": str(year + 1)}]
    return [row]


@st.composite
def _earlier(draw: DrawFn, year: int, starts: dict[str, int]) -> dict[int, dict[str, int | None]]:
    """Some of the years from two years before on backwards, with the first months of some houses."""
    earlier: dict[int, dict[str, int | None]] = {}
    for before in (2, 3, 6):
        if year - before >= 2003 and draw(st.sampled_from((True, True, False) if before == 2 else (True, False))):
            rows = earlier[year - before] = {}
            for house_id, start in {**starts, NOTHING_COUNTS: 3}.items():
                first = draw(st.sampled_from((start, "not there", start % 12 + 1, 1, None, 12)))
                if first != "not there":
                    rows[house_id] = first
    return earlier


@st.composite
def _contributions(draw: DrawFn, patients: Sequence[str], houses: Sequence[str]) -> list[TextRow]:
    amounts = st.sampled_from(("2.50", "1,25", "2.51", "0.01", "-1.25", "5", "12.50"))
    row = st.fixed_dictionaries(
        {
            "patient_id": st.sampled_from(patients),
            "household_id": st.sampled_from(("F1", "F2", "F3")),
            "house_id": st.sampled_from(houses),
            "amount_eur": amounts,
        }
    )
    return draw(st.lists(row, max_size=12))


@st.composite
def system_deliveries(draw: DrawFn, years: Sequence[int] = YEARS, with_earlier: bool = True) -> Deliveries:
    year = draw(st.sampled_from(years))
    places = draw(st.lists(st.sampled_from(PLACES), min_size=2, max_size=6, unique=True))
    municipalities = [place.code for place in places]
    houses = draw(st.sampled_from((HOUSES[:2], HOUSES[:3], HOUSES[:1], HOUSES)))

    lines: list[tuple[str, str, int, int]] = []  # patient, house, month, quantity
    forfaits: list[TextRow] = []
    beneficiaries: list[TextRow] = []
    starts: dict[str, int] = {}
    for house_id in houses:
        career = draw(_careers())[: draw(st.sampled_from((1, 2, 6, 12)))] or [1]
        starts[house_id] = career[0]
        homes = draw(st.permutations(municipalities))
        for home, people in zip(homes, draw(st.sampled_from(CROWDS)), strict=False):
            for number in range(people):
                patient_id = f"{house_id}-{home}-{number}"
                beneficiaries.append(_resident(year, patient_id, home))
                lines += [(patient_id, house_id, month, 1) for month in career]
    visited = houses[: draw(st.sampled_from((1, 2, 3, 3)))]  # the other houses keep their shares
    singles = [f"P{number}" for number in range(draw(st.integers(1, 6)))]
    for patient_id in singles:
        beneficiaries += draw(_beneficiary_rows(year, patient_id, municipalities))
        for house_id, months in draw(_lives(visited)).items():
            lines += [(patient_id, house_id, month, 1) for month in months]
    known = sorted({line[0] for line in lines}) or singles
    for patient_id, house_id, month, quantity in draw(
        st.lists(
            st.tuples(
                st.sampled_from([*singles, *singles, *known[:3]]),
                st.sampled_from(visited),
                st.integers(1, 12),
                st.sampled_from(QUANTITIES),
            ),
            max_size=8,
        )
    ):
        lines.append((patient_id, house_id, month, quantity))
    for quantity in draw(st.sampled_from(((), (), (1, -1), (0,), (-1,), (1, -2)))):
        lines.append((singles[0], NOTHING_COUNTS, 3, quantity))
    if lines:  # corrections of what was billed
        for (patient_id, house_id, month, _), quantity in draw(
            st.lists(st.tuples(st.sampled_from(lines[-60:]), st.sampled_from(QUANTITIES)), max_size=5)
        ):
            lines.append((patient_id, house_id, month, quantity))

    units = {house_id: draw(st.sampled_from(UNITS)) for house_id in houses}
    changed = draw(st.dictionaries(st.tuples(st.sampled_from(houses), st.integers(1, 12)), st.sampled_from(UNITS)))
    odd = draw(st.dictionaries(st.integers(0, len(lines)), st.sampled_from((*UNITS, "0", "-20", "10.05")), max_size=6))
    for number, (patient_id, house_id, month, quantity) in enumerate(lines):
        unit = Decimal(odd.get(len(lines) - number, changed.get((house_id, month), units.get(house_id, "20.00"))))
        amount = unit * quantity if quantity else Decimal(draw(st.sampled_from(("0", "20.00"))))
        forfaits.append(_line(year, patient_id, house_id, month, quantity, amount))
    for patient_id, house_id, month, quantity, amount in draw(
        st.lists(
            st.tuples(
                st.sampled_from(singles),
                st.sampled_from(visited),
                st.integers(1, 12),
                st.sampled_from((3, -3, 7, 1, 2)),
                st.sampled_from(("10.00", "20.00", "10.01", "-10")),
            ),
            max_size=2,
        )
    ):
        forfaits.append(_line(year, patient_id, house_id, month, quantity, Decimal(amount)))

    record = st.fixed_dictionaries(
        {"patient_id": st.sampled_from(known), "practice_id": st.sampled_from((*houses, "GP"))}
    )
    dmg = draw(st.lists(record, max_size=4))
    return Deliveries(
        year=year,
        forfaits=draw(st.permutations(forfaits)) if len(forfaits) < 20 else forfaits,
        beneficiaries=beneficiaries,
        dmg=dmg or [{"patient_id": "somebody else", "practice_id": "GP"}],
        areas=area_table(places, with_sectors=False),
        contributions=draw(_contributions(singles, houses)),
        earlier=draw(_earlier(year, starts)) if with_earlier else {},
        sample=draw(st.sampled_from(SAMPLES)),
        threshold=draw(st.sampled_from((6, 6, 3))),
    )


def peculiarities(delivered: Deliveries) -> set[str]:
    """Names of everything special that occurs: for `hypothesis.event`, and to know that the strategies stay rich."""
    found = capitation(delivered)
    year, at = delivered.year, found.registrations
    lines = billed_lines(year, delivered.forfaits)
    persons = oracle.last_rows(oracle.read_delivery(oracle.read_beneficiary, year, delivered.beneficiaries).kept)
    parents = oracle.area_parents(delivered.areas)
    names: set[str] = set()

    def note(name: str, occurs: object) -> None:
        if occurs:
            names.add(name)

    note("more than one forfait", found.more_than_one_forfait)
    note("two houses, no transfer", found.two_houses_in_a_month)
    transfers = {month for _, _, month, transfer in overlaps(at) if transfer}
    note("transfer", transfers)
    note("transfer in January", 1 in transfers)
    note("transfer in December", 12 in transfers)
    pairs = Counter((patient_id, month) for patient_id, _, month, _ in overlaps(at))
    note("three houses", 3 in pairs.values())
    note("gap", found.gaps)
    for (patient_id, _), each in at.items():
        note("registration without a counted month", not each.months)
        if each.months:
            inside = set(range(min(each.months), max(each.months))) - each.months
            elsewhere = set().union(*(other.months for (who, _), other in at.items() if who == patient_id))
            note("gap at the side of another house", inside & elsewhere)
    note("patient without beneficiary row", found.billed_without_beneficiary)
    note("line with quantity 0", any(line.quantity == 0 for line in lines))
    amounts = Counter((line.house_id, line.month, unit_amount(line)) for line in lines if is_forfait(line))
    for (house_id, month, amount), count in amounts.items():
        others = [n for (h, m, a), n in amounts.items() if (h, m) == (house_id, month) and a != amount]
        note("several amounts in a month", others)
        note("tie of amounts", others and count == max(others))

    for house_id, house in found.houses.items():
        m = house.first_month
        names.add(house.status)
        note("house without a counted month", m is None)
        note(f"two years: {house.two_years}", True)
        then = delivered.earlier.get(year - 2, {}).get(house_id)
        note("two years to the month", then is not None and then == m)
        note("4 persons", house.persons == 4)
        note("5 persons", house.persons == 5)
        if m is not None and house.registered:
            enough = 500 * Decimal(delivered.sample)
            note("exactly mature", house.registered[m - 1] == enough and house.two_years)
            note("one short of mature", house.registered[m - 1] == enough - 1 and house.two_years)
        if house.residents is not None:
            zone = house.zone or ()
            residences = known_residences(patients_of(house_id, at), persons, parents)
            held = sum(code in zone for code in residences)
            note("zone of none", not zone)
            note("zone of one", len(zone) == 1)
            note("zone of several", len(zone) > 1)
            note("zone that leaves somebody out", held < len(residences))
            note("exactly 95 %", residences and held * 20 == len(residences) * 19)
            note("some far away", house.far)
            note("exactly 20 %", house.far and house.far >= 5 and house.far * 5 == len(residences))
    note("far outside", found.patients_far_outside)
    note("deviating beginner", found.deviating_beginners)
    note("deviating mature", found.deviating_mature)
    note("mature after April 2013", year >= 2013 and amounts_of(found.houses, "mature", ALL_MONTHS))
    return names

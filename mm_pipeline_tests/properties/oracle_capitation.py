"""The rules of the capitation system, read slowly: the oracle of registrations, houses and contributions.

What belongs here: `docs/capitation.md` in the most obvious Python there is, one small function for each sentence of it.
What does not: speed, Ibis, files, and anything out of `mm_pipeline`. What a delivered row is, which of them are kept,
where a person lives and who is attributed to which house comes from `oracle`.

Months are sets of numbers from 1 to 12; a test that looks at a mask of twelve bits has to make one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from itertools import combinations

from mm_pipeline_tests.properties import oracle
from mm_pipeline_tests.properties.oracle import Beneficiary, Forfait, Place, Row

ALL_MONTHS = range(1, 13)
CONTRIBUTION_COLUMNS = ("patient_id", "household_id", "house_id", "amount_eur")
LEAST_PERSONS = 5
"""A house with fewer has no breakdown, and fewer who live far away are no sign of anything."""
MATURE_PATIENTS = 500
MOST_PER_PATIENT, MOST_PER_HOUSEHOLD = Decimal("2.50"), Decimal("12.50")

BRUSSELS, WALLOON_BRABANT, FLEMISH_BRABANT = "04000", "20002", "20001"
ANTWERP, WEST_FLANDERS, EAST_FLANDERS, LIMBURG = "10000", "30000", "40000", "70000"
HAINAUT, LIEGE, LUXEMBOURG, NAMUR = "50000", "60000", "80000", "90000"
NEIGHBOURS = (
    (BRUSSELS, FLEMISH_BRABANT),
    (BRUSSELS, WALLOON_BRABANT),  # 3 km apart
    (ANTWERP, EAST_FLANDERS),
    (ANTWERP, FLEMISH_BRABANT),
    (ANTWERP, LIMBURG),
    (WEST_FLANDERS, EAST_FLANDERS),
    (WEST_FLANDERS, HAINAUT),
    (EAST_FLANDERS, FLEMISH_BRABANT),
    (EAST_FLANDERS, HAINAUT),
    (FLEMISH_BRABANT, LIMBURG),
    (FLEMISH_BRABANT, LIEGE),
    (FLEMISH_BRABANT, HAINAUT),
    (FLEMISH_BRABANT, WALLOON_BRABANT),
    (WALLOON_BRABANT, HAINAUT),
    (WALLOON_BRABANT, NAMUR),
    (WALLOON_BRABANT, LIEGE),
    (LIMBURG, LIEGE),
    (LIEGE, NAMUR),
    (LIEGE, LUXEMBOURG),
    (NAMUR, HAINAUT),
    (NAMUR, LUXEMBOURG),
)

Key = tuple[str, str]  # (patient_id, house_id)
HouseMonth = tuple[str, int]  # (house_id, month)
Earlier = Mapping[int, Mapping[str, int | None]]  # year whose table was built -> house -> its first month there


@dataclass(frozen=True)
class Line:
    """A billed line that is kept."""

    patient_id: str
    house_id: str
    month: int
    quantity: int
    amount: Decimal


@dataclass(frozen=True)
class Registration:
    """A patient at a house."""

    months: frozenset[int]
    months_twice: frozenset[int]
    first_month: int | None
    last_month: int | None
    quantity: int
    regularised: int


@dataclass(frozen=True)
class PatientForfaits:
    """What explains FF_MH of a patient."""

    forfaits: int
    house_id: str | None
    houses: tuple[str, ...]
    first_month: int | None
    last_month: int | None
    gaps: int
    months_billed_twice: int
    quantity: int
    regularised: int


@dataclass(frozen=True)
class House:
    first_month: int | None
    last_month: int | None
    persons: int
    registered: tuple[int, ...] | None
    attributed: int | None
    forfaits_billed: int
    regularised: int
    amounts: tuple[Decimal | None, ...]
    lines: int
    lines_at_another_amount: int
    two_years: bool | None
    status: str
    zone: tuple[str, ...] | None
    residents: int | None
    far: int | None


@dataclass(frozen=True)
class Deliveries:
    """A year as it arrives, with what is known of the years before it."""

    year: int
    forfaits: Sequence[Row]
    beneficiaries: Sequence[Row]
    dmg: Sequence[Row]
    areas: Sequence[Row]
    contributions: Sequence[Row] = ()
    earlier: Earlier = field(default_factory=dict)
    sample: str = "1"
    """Share of the population that was delivered, as the manifest writes it."""
    threshold: int = oracle.THRESHOLD


@dataclass(frozen=True)
class Capitation:
    """Everything the engine must agree with. What is held against something is a set; what it is held against, another."""

    registrations: dict[Key, Registration]
    forfaits_per_patient: dict[str, PatientForfaits]
    houses: dict[str, House]

    more_than_one_forfait: set[tuple[str, str, int]]
    """(patient, house, month)"""
    two_houses_in_a_month: set[tuple[str, int]]
    """(patient, month)"""
    registered_in_month_of_leaving: set[tuple[str, frozenset[str], int]]
    """(patient, the two houses, month)"""
    changes_of_house: set[tuple[str, frozenset[str]]]
    """(patient, the two houses): what the former is held against"""
    gaps: set[tuple[str, str, int]]
    """(patient, house, month)"""
    billed_without_beneficiary: set[str]
    lines_at_another_amount: dict[str, int]
    lines: dict[str, int]
    deviating_beginners: set[HouseMonth]
    beginners_with_amount: set[HouseMonth]
    deviating_mature: set[HouseMonth]
    mature_with_amount: set[HouseMonth]
    patients_far_outside: set[str]
    above_per_patient: set[str]
    above_per_household: set[str]


def capitation(delivered: Deliveries) -> Capitation:
    """All of the page, from the deliveries of one year."""
    year = delivered.year
    lines = billed_lines(year, delivered.forfaits)
    persons = oracle.last_rows(oracle.read_delivery(oracle.read_beneficiary, year, delivered.beneficiaries).kept)
    at = registrations(lines)
    of_patients = forfaits_per_patient(lines, at)
    found = houses(delivered, lines, at, persons)
    beginners = amounts_of(found, "beginner", ALL_MONTHS)
    mature = amounts_of(found, "mature", months_before_may_2013(year))
    per_patient, per_household = contributions_above(delivered.contributions)
    return Capitation(
        registrations=at,
        forfaits_per_patient=of_patients,
        houses=found,
        more_than_one_forfait={(*key, month) for key, each in at.items() for month in each.months_twice},
        two_houses_in_a_month={(patient, month) for patient, _pair, month, transfer in overlaps(at) if not transfer},
        registered_in_month_of_leaving={
            (patient, pair, month) for patient, pair, month, transfer in overlaps(at) if transfer
        },
        changes_of_house=set(pairs_of_houses(at)),
        gaps=gaps(at),
        billed_without_beneficiary=billed_without_beneficiary(year, lines, persons),
        lines_at_another_amount={house_id: house.lines_at_another_amount for house_id, house in found.items()},
        lines={house_id: house.lines for house_id, house in found.items()},
        deviating_beginners=deviating(beginners),
        beginners_with_amount=set(beginners),
        deviating_mature=deviating(mature),
        mature_with_amount=set(mature),
        patients_far_outside=patients_far_outside(at, persons, delivered.areas),
        above_per_patient=per_patient,
        above_per_household=per_household,
    )


# --- lines ------------------------------------------------------------------------------------------------------------


def decimal_of(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def billed_lines(year: int, forfaits: Sequence[Row]) -> list[Line]:
    """The kept lines of nomenclature code 109616."""
    lines = []
    for row in forfaits:
        read = oracle.read_forfait(year, row)
        if isinstance(read, Forfait):
            amount = decimal_of(oracle.stripped(row, "amount_eur"))
            lines.append(Line(read.patient_id, read.house_id, read.month, read.quantity, amount))
    return lines


def net_quantity(lines: Iterable[Line]) -> int:
    """Regularisations included."""
    return sum(line.quantity for line in lines)


def taken_back(lines: Iterable[Line]) -> int:
    """The sum of the negative quantities, as a positive number."""
    return sum(-line.quantity for line in lines if line.quantity < 0)


# --- registrations ----------------------------------------------------------------------------------------------------


def registrations(lines: Sequence[Line]) -> dict[Key, Registration]:
    """A row for every patient and house with a billed line."""
    of_key: dict[Key, list[Line]] = {}
    for line in lines:
        of_key.setdefault((line.patient_id, line.house_id), []).append(line)
    return {key: registration(own) for key, own in of_key.items()}


def registration(lines: Sequence[Line]) -> Registration:
    months = months_with_at_least(1, lines)
    return Registration(
        months=months,
        months_twice=months_with_at_least(2, lines),
        first_month=first(months),
        last_month=last(months),
        quantity=net_quantity(lines),
        regularised=taken_back(lines),
    )


def months_with_at_least(forfaits: int, lines: Sequence[Line]) -> frozenset[int]:
    """Per calendar month the quantities are added up."""
    return frozenset(
        month for month in ALL_MONTHS if net_quantity(line for line in lines if line.month == month) >= forfaits
    )


def first(months: Iterable[int]) -> int | None:
    return min(months, default=None)


def last(months: Iterable[int]) -> int | None:
    return max(months, default=None)


def houses_of_patients(at: Mapping[Key, Registration]) -> dict[str, oracle.Houses]:
    """patient -> house -> counted months, of the houses with one; every patient with a line is there."""
    of_patients: dict[str, oracle.Houses] = {}
    for (patient_id, house_id), each in at.items():
        own = of_patients.setdefault(patient_id, {})
        if each.months:
            own[house_id] = set(each.months)
    return of_patients


def pairs_of_houses(at: Mapping[Key, Registration]) -> list[tuple[str, frozenset[str]]]:
    """The changes of house: pairs of houses of a patient, both with a counted month in the year."""
    return [
        (patient_id, frozenset(pair))
        for patient_id, own in houses_of_patients(at).items()
        for pair in combinations(sorted(own), 2)
    ]


def overlaps(at: Mapping[Key, Registration]) -> list[tuple[str, frozenset[str], int, bool]]:
    """(patient, two houses of his, month that counts at both, whether it is a transfer)"""
    found = []
    for patient_id, pair in pairs_of_houses(at):
        one, other = (at[patient_id, house_id].months for house_id in pair)
        for month in one & other:
            transfer = hands_over(one, other, month) or hands_over(other, one, month)
            found.append((patient_id, pair, month, transfer))
    return found


def hands_over(old: frozenset[int], new: frozenset[int], month: int) -> bool:
    """The old house does not count in the next month, and the new one did not in the month before.

    Before January and after December nothing is known, so it may be so.
    """
    return (month == 12 or month + 1 not in old) and (month == 1 or month - 1 not in new)


def gaps(at: Mapping[Key, Registration]) -> set[tuple[str, str, int]]:
    """Months strictly inside a registration in which no house of the patient counts."""
    found = set()
    of_patients = houses_of_patients(at)
    for (patient_id, house_id), each in at.items():
        counted_anywhere = set().union(*of_patients[patient_id].values())
        for month in months_between(each.months):
            if month not in counted_anywhere:
                found.add((patient_id, house_id, month))
    return found


def months_between(months: Iterable[int]) -> range:
    """The months strictly between the first and the last of them."""
    months = set(months)
    return range(min(months) + 1, max(months)) if months else range(0)


# --- forfaits of a patient --------------------------------------------------------------------------------------------


def forfaits_per_patient(lines: Sequence[Line], at: Mapping[Key, Registration]) -> dict[str, PatientForfaits]:
    found = {}
    for patient_id, own in houses_of_patients(at).items():
        billed = [line for line in lines if line.patient_id == patient_id]
        counted = set().union(*own.values())
        twice = {
            month
            for month in ALL_MONTHS
            if sum(month in months for months in own.values()) >= 2
            or any(month in at[patient_id, house_id].months_twice for house_id in own)
        }
        found[patient_id] = PatientForfaits(
            forfaits=oracle.number_of_forfaits(own),
            house_id=oracle.main_house(own) if own else None,
            houses=tuple(sorted(own)),
            first_month=first(counted),
            last_month=last(counted),
            gaps=len([month for month in months_between(counted) if month not in counted]),
            months_billed_twice=len(twice),
            quantity=net_quantity(billed),
            regularised=taken_back(billed),
        )
    return found


def billed_without_beneficiary(year: int, lines: Sequence[Line], persons: Mapping[str, Beneficiary]) -> set[str]:
    """Patients with a billed line who have no kept row among the beneficiaries, or were born after the year."""
    return {
        line.patient_id
        for line in lines
        if line.patient_id not in persons or persons[line.patient_id].birth_year > year
    }


# --- houses -----------------------------------------------------------------------------------------------------------


def houses(
    delivered: Deliveries,
    lines: Sequence[Line],
    at: Mapping[Key, Registration],
    persons: Mapping[str, Beneficiary],
) -> dict[str, House]:
    """A row for every house with a billed line in the year."""
    records = oracle.read_delivery(oracle.read_dmg, delivered.year, delivered.dmg).kept
    counted = {patient_id: own for patient_id, own in houses_of_patients(at).items() if own}
    attributed_to = Counter(
        house_id for _, house_id in oracle.attributed(counted, records, delivered.threshold).values()
    )
    parents = oracle.area_parents(delivered.areas)
    found = {}
    for house_id in {line.house_id for line in lines}:
        patients = patients_of(house_id, at)
        registered = tuple(sum(month in months for months in patients.values()) for month in ALL_MONTHS)
        counted_months = set().union(*patients.values())
        own_lines = [line for line in lines if line.house_id == house_id and is_forfait(line)]
        amounts = tuple(usual_amount([line for line in own_lines if line.month == month]) for month in ALL_MONTHS)
        two_years = in_system_for_two_years(house_id, first(counted_months), delivered.year, delivered.earlier)
        residences = known_residences(patients, persons, parents)
        zone = de_facto_zone(residences)
        shown = len(patients) >= LEAST_PERSONS
        found[house_id] = House(
            first_month=first(counted_months),
            last_month=last(counted_months),
            persons=len(patients),
            registered=registered if shown else None,
            attributed=attributed_to[house_id] if shown else None,
            forfaits_billed=sum(line.quantity for line in own_lines if line.quantity > 0),
            regularised=taken_back(own_lines),
            amounts=amounts,
            lines=len(own_lines),
            lines_at_another_amount=sum(unit_amount(line) != amounts[line.month - 1] for line in own_lines),
            two_years=two_years,
            status=status(registered, first(counted_months), two_years, delivered.sample),
            zone=zone if shown and zone else None,
            residents=len(residences) if shown else None,
            far=living_far_away(residences, zone, parents) if shown else None,
        )
    return found


def patients_of(house_id: str, at: Mapping[Key, Registration]) -> dict[str, frozenset[int]]:
    """A patient of a house is one with a counted month there; patient -> these months."""
    return {patient_id: each.months for (patient_id, other), each in at.items() if other == house_id and each.months}


def is_forfait(line: Line) -> bool:
    """A line with quantity 0 is no forfait and has no amount."""
    return line.quantity != 0


def unit_amount(line: Line) -> Decimal:
    """Amount ÷ quantity, at 4 decimals."""
    return (line.amount / line.quantity).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def usual_amount(lines: Sequence[Line]) -> Decimal | None:
    """The unit amount of most lines; tie: the smallest; none without a line."""
    return most_frequent([unit_amount(line) for line in lines])


def most_frequent(amounts: Sequence[Decimal]) -> Decimal | None:
    counts = Counter(amounts)
    return min((amount for amount in counts if counts[amount] == max(counts.values())), default=None)


def in_system_for_two_years(house_id: str, m: int | None, year: int, earlier: Earlier) -> bool | None:
    """m: the first month of the year in which the house has a patient; without one nothing is known."""
    if m is None:
        return None
    for earlier_year, houses_then in earlier.items():
        if earlier_year < year - 2 and houses_then.get(house_id) is not None:
            return True
    if year - 2 not in earlier:
        return None
    then = earlier[year - 2].get(house_id)
    return then is not None and then <= m


def status(registered: Sequence[int], m: int | None, two_years: bool | None, sample: str) -> str:
    """``mature`` is two years in the system and at least 500 patients in month m (of a sample: a share of 500)."""
    if m is None or registered[m - 1] < MATURE_PATIENTS * Decimal(sample):
        return "beginner"
    if two_years is None:
        return "unknown"
    return "mature" if two_years else "beginner"


def known_residences(
    patients: Iterable[str], persons: Mapping[str, Beneficiary], parents: Mapping[Place, str]
) -> list[str]:
    """The municipality of each patient whose residence is a municipality of the year."""
    residences = [persons[patient_id].municipality_code for patient_id in patients if patient_id in persons]
    return [code for code in residences if ("municipality", code) in parents]


def de_facto_zone(residences: Sequence[str]) -> tuple[str, ...]:
    """The municipalities, most patients first (tie: smallest code), up to the first with which they hold 95 %."""
    counts = Counter(residences)
    zone: list[str] = []
    held = 0
    for code in sorted(counts, key=lambda code: (-counts[code], code)):
        zone.append(code)
        held += counts[code]
        if held * 100 >= 95 * len(residences):
            break
    return tuple(zone)


def province_of(municipality: str, parents: Mapping[Place, str]) -> str:
    return parents["arrondissement", parents["municipality", municipality]]


def next_to(one: str, other: str) -> bool:
    """Provinces that share a border, and Brussels and Walloon Brabant."""
    return (one, other) in NEIGHBOURS or (other, one) in NEIGHBOURS


def living_far_away(residences: Sequence[str], zone: Sequence[str], parents: Mapping[Place, str]) -> int:
    """In a province that is neither that of the zone's first municipality nor one next to it."""
    if not zone:
        return 0
    home = province_of(zone[0], parents)
    provinces = [province_of(code, parents) for code in residences]
    return sum(province != home and not next_to(province, home) for province in provinces)


def patients_far_outside(
    at: Mapping[Key, Registration], persons: Mapping[str, Beneficiary], areas: Sequence[Row]
) -> set[str]:
    """Houses of which at least 5 persons, and more than 20 % of those with a known residence, live far away."""
    parents = oracle.area_parents(areas)
    found = set()
    for house_id in {house_id for _, house_id in at}:
        residences = known_residences(patients_of(house_id, at), persons, parents)
        far = living_far_away(residences, de_facto_zone(residences), parents)
        if far >= LEAST_PERSONS and far * 100 > 20 * len(residences):
            found.add(house_id)
    return found


# --- amounts ----------------------------------------------------------------------------------------------------------


def amounts_of(found: Mapping[str, House], status: str, months: Iterable[int]) -> dict[HouseMonth, Decimal]:
    """The amounts of the houses of one status; a month without an amount is not there."""
    months = list(months)
    amounts = {}
    for house_id, house in found.items():
        if house.status == status:
            for month in months:
                amount = house.amounts[month - 1]
                if amount is not None:
                    amounts[house_id, month] = amount
    return amounts


def deviating(amounts: Mapping[HouseMonth, Decimal]) -> set[HouseMonth]:
    """Houses whose amount of a month is not the one of most houses (tie: the smallest)."""
    found = set()
    for (house_id, month), amount in amounts.items():
        usual = most_frequent([other for (_, its_month), other in amounts.items() if its_month == month])
        if amount != usual:
            found.add((house_id, month))
    return found


def months_before_may_2013(year: int) -> range:
    if year < 2013:
        return ALL_MONTHS
    return range(1, 5) if year == 2013 else range(0)


# --- houses that appear and vanish ------------------------------------------------------------------------------------


def appearing(houses_now: Iterable[str], houses_before: Iterable[str]) -> set[str]:
    return set(houses_now) - set(houses_before)


def vanishing(houses_now: Iterable[str], houses_before: Iterable[str]) -> set[str]:
    return set(houses_before) - set(houses_now)


def houses_of_both_years(houses_now: Iterable[str], houses_before: Iterable[str]) -> set[str]:
    """What both are held against."""
    return set(houses_now) | set(houses_before)


# --- contributions ----------------------------------------------------------------------------------------------------


def contributions_above(contributions: Sequence[Row]) -> tuple[set[str], set[str]]:
    """Patients above €2.50 in the year, whatever the house and household, and households above €12.50."""
    return (
        above(sums_of(contributions, "patient_id"), MOST_PER_PATIENT),
        above(sums_of(contributions, "household_id"), MOST_PER_HOUSEHOLD),
    )


def sums_of(contributions: Sequence[Row], column: str) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for row in contributions:
        who = oracle.stripped(row, column)
        sums[who] = sums.get(who, Decimal(0)) + decimal_of(oracle.stripped(row, "amount_eur"))
    return sums


def above(sums: Mapping[str, Decimal], most: Decimal) -> set[str]:
    return {who for who, amount in sums.items() if amount > most}

"""What the year's billing says of each maison médicale: patients, amounts, maturity, and where its patients live.

Nothing here changes a figure of the statistic. Rules: ``docs/capitation.md``.
"""

from datetime import date

import ibis
import ibis.expr.types as ir
from ibis import _

from mm_pipeline.statistic.cells import whole
from mm_pipeline.statistic.rates import ladder
from mm_pipeline.statistic.registrations import MONTHS, patients_by_month

MATURE_PATIENTS = 500
"""Registered patients from which a house can be mature (and it must be in the system for two years)."""

OWN_AMOUNTS_SINCE = date(2013, 5, 1)
"""From this month on mature houses are paid different amounts."""

ZONE_PERCENT = 95
FAR_PERCENT, FAR_PERSONS = 20, 5
"""A house has patients far outside its zone when more than this part, and at least so many persons, live far away."""

NEIGHBOURS = {
    "04000": ("20001", "20002"),  # Walloon Brabant shares no border with Brussels, but is 3 km away
    "10000": ("20001", "40000", "70000"),
    "20001": ("04000", "10000", "20002", "40000", "50000", "60000", "70000"),
    "20002": ("04000", "20001", "50000", "60000", "90000"),
    "30000": ("40000", "50000"),
    "40000": ("10000", "20001", "30000", "50000"),
    "50000": ("20001", "20002", "30000", "40000", "90000"),
    "60000": ("20001", "20002", "70000", "80000", "90000"),
    "70000": ("10000", "20001", "60000"),
    "80000": ("60000", "90000"),
    "90000": ("20002", "50000", "60000", "80000"),
}
"""The provinces next to each province."""

BEGINNER, MATURE, UNKNOWN = "beginner", "mature", "unknown"


def houses(
    registrations: ir.Table,
    raw_forfaits: ir.Table,
    attributed_patients: ir.Table,
    raw_beneficiaries: ir.Table,
    geography: ir.Table,
    earlier_houses: ir.Table,
    year: int,
    *,
    sample: float = 1.0,
    two_years_before_is_built: bool,
    disclosure_threshold: int,
) -> ir.Table:
    """One row a house with a billed line. Columns of :data:`mm_pipeline.schemas.HOUSES`.

    ``earlier_houses``: ``year``, ``house_id``, ``first_month`` of the tables of ``year`` - 2 and before. ``sample``: the
    share of the population that the delivery holds. A house with fewer persons than ``disclosure_threshold`` has no
    breakdown.
    """
    living = _living(registrations, raw_beneficiaries, geography)
    known = _patients(registrations)
    for part in (
        _amounts(raw_forfaits),
        attributed_patients.group_by("house_id").agg(attributed=_.count()),
        # The first month in the earlier tables, counted from year 0.
        earlier_houses.group_by("house_id").agg(since=(12 * _.year + _.first_month).min()),
        _zones(living),
    ):
        known = known.left_join(part, "house_id").drop("house_id_right")
    known = known.mutate(**{name: known[name].fill_null(0) for name in ("attributed", "residents", "far")})

    two_years_ago = 12 * (year - 2) + known.first_month
    in_time = (known.since <= two_years_ago).fill_null(False if two_years_before_is_built else None)
    two_years = ibis.ifelse(known.first_month.notnull(), in_time, None)
    at_start = known.registered[known.first_month.cast("int64") - 1].fill_null(0)
    many = at_start.cast("float64") >= ibis.literal(MATURE_PATIENTS * sample, "float64")
    status = ibis.cases((~many, BEGINNER), (two_years, MATURE), (~two_years, BEGINNER), else_=UNKNOWN)
    breakdown = ("registered", "attributed", "zone", "residents", "far")
    shown = {name: ibis.ifelse(known.persons >= disclosure_threshold, known[name], None) for name in breakdown}
    return known.mutate(two_years=two_years, status=status, **shown)


def has_patients_far_outside(houses: ir.Table) -> ir.BooleanValue:
    """Whether a house of the table has at least 5 persons, and more than 20 % of those with a residence, far away."""
    return (houses.far >= FAR_PERSONS) & (100 * houses.far > FAR_PERCENT * houses.residents)


def amounts_of(houses: ir.Table, status: str, months: range = MONTHS) -> ir.Table:
    """What the houses of one status are paid: ``house_id``, ``month``, ``amount``, and the ``usual`` amount of the month.

    The usual amount is that of most of them (tie: the smallest). A month without an amount has no row.
    """
    paid = houses.filter(_.status == status)
    rows = [paid.select("house_id", month=ibis.literal(month), amount=_.amounts[month - 1]) for month in months]
    amounts = ibis.union(*rows).filter(_.amount.notnull())
    lines = amounts.group_by("month", "amount").agg(lines=_.count())
    usual = _most_frequent(lines, ["month"]).select("month", usual=_.amount)
    return amounts.inner_join(usual, "month").select("house_id", "month", "amount", "usual")


def months_of_one_amount(year: int) -> range:
    """The months of the year in which mature houses are all paid the same amount: those before May 2013."""
    return range(1, sum(date(year, month, 1) < OWN_AMOUNTS_SINCE for month in MONTHS) + 1)


def _patients(registrations: ir.Table) -> ir.Table:
    """Per house: persons, patients by month, first and last month, and what was billed and taken back."""
    of_month = patients_by_month()
    table = registrations.group_by("house_id").agg(
        first_month=_.first_month.min(),
        last_month=_.last_month.max(),
        persons=_.count(where=_.months > 0),
        forfaits_billed=whole((_.quantity + _.regularised).sum()),
        regularised=whole(_.regularised.sum()),
        **of_month,
    )
    return table.mutate(registered=ibis.array([whole(table[name]) for name in of_month])).drop(*of_month)


def _amounts(raw_forfaits: ir.Table) -> ir.Table:
    """Per house: the usual unit amount of each month, the lines, and those at another amount.

    A line of quantity 0 is no forfait: it has no amount and is not counted.
    """
    lines = raw_forfaits.group_by("house_id", month=_.service_date.month(), amount=_unit_amount(raw_forfaits)).agg(
        lines=_.count(where=_.quantity != 0)
    )
    usual = _most_frequent(lines, ["house_id", "month"])
    # Of a whole number below 10^14, the nearest binary fraction is the right decimal again.
    usual = usual.mutate(amount=(_.amount.cast("float64") / 10_000.0).cast("decimal(14,4)"))
    of_month = {f"m{m}": _.amount.max(where=_.month == m) for m in MONTHS}
    table = usual.group_by("house_id").agg(lines=whole(_.all_lines.sum()), usual=whole(_.lines.sum()), **of_month)
    return table.select(
        "house_id",
        "lines",
        lines_at_another_amount=_.lines - _.usual,
        amounts=ibis.array([table[name] for name in of_month]),
    )


def _unit_amount(raw_forfaits: ir.Table) -> ir.IntegerValue:
    """Amount / quantity in 1/10 000 euro, halves away from zero; empty for a quantity of 0. All in whole numbers."""
    hundredths = (raw_forfaits.amount_eur * 100).cast("int64") * 100
    divisor = raw_forfaits.quantity.cast("int64").nullif(0)
    doubled = 2 * hundredths.abs() + divisor.abs()
    rounded = (doubled - doubled % (2 * divisor.abs())) / (2 * divisor.abs())
    return (rounded.cast("int64") * hundredths.sign() * divisor.sign()).cast("int64")


def _most_frequent(lines: ir.Table, keys: list[str]) -> ir.Table:
    """For each of ``keys`` the ``amount`` of most ``lines`` (tie: the smallest), and ``all_lines`` of whatever amount."""
    best_first = ibis.row_number().over(group_by=keys, order_by=[_.lines.desc(), _.amount])
    ranked = lines.mutate(rank=best_first, all_lines=_.lines.sum().over(group_by=keys))
    return ranked.filter(_.rank == 0).drop("rank")


def _living(registrations: ir.Table, raw_beneficiaries: ir.Table, geography: ir.Table) -> ir.Table:
    """Patients of each house by the municipality of the year where they live, with its ``province``."""
    provinces = ladder(geography).filter(_.level == "province").select("municipality_code", province=_.area_code)
    residence = raw_beneficiaries.select("patient_key", "municipality_code")
    patients = registrations.filter(_.months > 0).inner_join(residence, "patient_key")
    counts = patients.group_by("house_id", "municipality_code").agg(patients=_.count())
    living = counts.inner_join(provinces, "municipality_code")
    return living.select("house_id", "municipality_code", "province", "patients")


def _zones(living: ir.Table) -> ir.Table:
    """Per house: its de-facto ``zone``, its ``residents`` (patients with a known residence), and how many live ``far``."""
    order = [_.patients.desc(), _.municipality_code]
    to_here = ibis.window(group_by="house_id", order_by=order, preceding=(None, 0))
    ranked = living.mutate(
        rank=ibis.row_number().over(group_by="house_id", order_by=order),
        all=whole(_.patients.sum().over(group_by="house_id")),
        to_here=whole(_.patients.sum().over(to_here)),
        home=_.province.first().over(group_by="house_id", order_by=order),
    )
    within = 100 * (ranked.to_here - ranked.patients) < ZONE_PERCENT * ranked.all
    near = ibis.or_(
        ranked.province == ranked.home,
        *((ranked.home == home) & ranked.province.isin(others) for home, others in NEIGHBOURS.items()),
    )
    ranked = ranked.mutate(within=within, near=near)
    return ranked.group_by("house_id").agg(
        zone=_.municipality_code.collect(where=_.within, order_by=_.rank),
        residents=whole(_.patients.sum()),
        far=whole(_.patients.sum(where=~_.near)),
    )

"""The forfaits and the DMGs: rates, houses, months, and every oddity that is planted."""

import pytest

from mm_pipeline.demo.violations import GHOST_PATIENTS, PLANTED
from mm_pipeline_tests.support.demo_delivery import SCALE, Delivery

FLANDERS, WALLONIA, BRUSSELS = "02000", "03000", "04000"

#: Published rates in percent; how far deliveries at SCALE may be from them by chance.
PUBLISHED = [
    (2003, None, 1.1, 0.15),
    (2014, None, 2.9, 0.15),
    (2014, FLANDERS, 1.4, 0.15),
    (2014, WALLONIA, 3.4, 0.25),
    (2014, BRUSSELS, 10.4, 0.7),
    (2019, None, 4.2, 0.15),
    (2019, FLANDERS, 2.2, 0.15),
    (2019, WALLONIA, 4.6, 0.25),
    (2019, BRUSSELS, 14.7, 0.7),
    (2020, None, 4.4, 0.15),
    (2020, FLANDERS, 2.4, 0.15),
    (2020, WALLONIA, 4.8, 0.25),
    (2020, BRUSSELS, 15.4, 0.7),
    (2024, None, 5.3, 0.15),
]


@pytest.mark.parametrize(("year", "region", "percent", "tolerance"), PUBLISHED)
def test_rates_follow_the_published_ones(
    deliveries: dict[int, Delivery], year: int, region: str | None, percent: float, tolerance: float
) -> None:
    where = f"WHERE region = '{region}'" if region else ""
    rate = deliveries[year].value(
        f"""
        SELECT 100 * count(a.person) / count(*) FROM residents r
        LEFT JOIN municipalities ON code = municipality_code LEFT JOIN attributed a USING (person) {where}
        """
    )
    assert rate == pytest.approx(percent, abs=tolerance)


def test_rates_are_concentrated_in_towns(deliveries: dict[int, Delivery]) -> None:
    rates = [
        row[0]
        for row in deliveries[2020].rows(
            """
            SELECT 100 * count(a.person) / count(*) FROM residents r
            JOIN municipalities ON code = municipality_code LEFT JOIN attributed a USING (person) GROUP BY code
            """
        )
    ]
    assert sum(rate == 0 for rate in rates) > 100
    assert 15 < max(rates) < 30


@pytest.mark.parametrize(("year", "houses"), [(2003, 60), (2014, 140), (2019, 193), (2024, 250)])
def test_the_houses_are_there(deliveries: dict[int, Delivery], year: int, houses: int) -> None:
    """Each has a patient, however few there are at this scale, and so has the ghost house."""
    delivery = deliveries[year]
    assert delivery.value("SELECT count(DISTINCT house) FROM net") == houses + 1
    assert delivery.value(f"SELECT count(DISTINCT person) FROM net WHERE house = '{delivery.ghost}'") == GHOST_PATIENTS


def test_patients_stay_with_their_house(deliveries: dict[int, Delivery]) -> None:
    query = (
        "SELECT person, any_value(house) FROM net GROUP BY person HAVING count(*) = 12 AND count(DISTINCT house) = 1"
    )
    before, after = (dict(deliveries[year].rows(query)) for year in (2018, 2019))
    everyone = {row[0] for row in deliveries[2019].rows("SELECT person FROM net")}
    assert sum(person in everyone for person in before) > 0.9 * len(before)
    both = before.keys() & after.keys()
    assert sum(before[person] == after[person] for person in both) > 0.97 * len(both)


def test_months_are_those_of_a_registration(deliveries: dict[int, Delivery]) -> None:
    """All year, from a month on or up to one, with no gap but the planted ones, and those who changed house with the
    last month taken back; nobody is billed in the month of birth.
    """
    months = deliveries[2020].rows(
        "SELECT list(DISTINCT month ORDER BY month), any_value(birth_year) FROM net LEFT JOIN residents USING (person) "
        "GROUP BY person"
    )
    whole = sum(present == list(range(1, 13)) for present, _ in months)
    gaps = sum(present != list(range(present[0], present[-1] + 1)) for present, _ in months)
    joined = [present[0] for present, _ in months if present[0] > 1]
    left = [present[-1] for present, _ in months if present[-1] < 12]
    assert 0.6 < whole / len(months) < 0.8
    assert 0 < gaps / len(months) < 0.015
    assert set(joined) == set(range(2, 13))
    assert set(left) == set(range(1, 12))
    assert min(present[0] for present, birth in months if birth == 2020) >= 2


def test_regularisations(deliveries: dict[int, Delivery]) -> None:
    patterns = {
        (plus, minus): share
        for plus, minus, share in deliveries[2020].rows(
            """
            SELECT plus, minus, count(*) / sum(count(*)) OVER () FROM (
                SELECT count(*) FILTER (quantity = 1) plus, count(*) FILTER (quantity = -1) minus
                FROM forfaits GROUP BY person, house, month)
            GROUP BY plus, minus
            """
        )
    }
    assert patterns.keys() == {(1, 0), (1, 1), (2, 1), (2, 0), (0, 0)}
    # Taken back; and taken back and billed again, or billed twice and taken back.
    assert 0.004 < patterns[1, 1] < 0.006
    assert 0.006 < patterns[2, 1] < 0.012
    # Planted: twice in two rows, and in one.
    assert patterns[2, 0] == patterns[0, 0] < 0.0001
    assert deliveries[2020].value("SELECT bool_and(sign(euro) = sign(quantity)) FROM forfaits")
    assert (
        deliveries[2020].value("SELECT sum(euro) FROM forfaits GROUP BY person, house, month ORDER BY 1 LIMIT 1") == 0
    )


def test_transfers_double_months_and_ties(deliveries: dict[int, Delivery]) -> None:
    delivery = deliveries[2020]
    patients = delivery.value("SELECT count(DISTINCT person) FROM net")
    spells = delivery.rows(
        """
        SELECT list((first, last, billed) ORDER BY first, last) FROM (
            SELECT person, house, min(month) AS first, max(month) AS last, count(*) AS billed FROM net GROUP BY ALL)
        GROUP BY person HAVING count(*) > 1
        """
    )
    pairs = [pair for (pair,) in spells]
    assert {len(pair) for pair in pairs} == {2}
    assert 0.01 < len(pairs) / patients < 0.04
    # Planted: both houses bill the month of leaving; another house bills a month in between.
    assert sum(before[1] == after[0] for before, after in pairs) == PLANTED["registration_in_month_of_leaving"]
    assert sum(before[1] > after[0] for before, after in pairs) == PLANTED["one_house_a_month"]
    assert any(before[2] == after[2] for before, after in pairs)


def test_other_codes_and_other_days(deliveries: dict[int, Delivery]) -> None:
    delivery = deliveries[2020]
    ((codes, other, day),) = delivery.rows(
        "SELECT count(DISTINCT SS00020), avg((SS00020 <> '109616')::INT), avg((SS00015 NOT LIKE '%01')::INT) "
        "FROM delivered"
    )
    assert codes == 4
    assert 0.025 < other < 0.035
    assert 0.01 < day < 0.03


def test_dmgs(deliveries: dict[int, Delivery]) -> None:
    delivery = deliveries[2020]
    holders = delivery.value("SELECT count(DISTINCT patient_id) FROM dmg SEMI JOIN residents ON person = patient_id")
    assert holders / delivery.value("SELECT count(*) FROM residents") == pytest.approx(0.71, abs=0.02)
    assert 0.01 < delivery.value("SELECT count(*) / count(DISTINCT patient_id) - 1 FROM dmg") < 0.05
    assert delivery.value("SELECT count(*) - count(DISTINCT (patient_id, practice_id)) FROM dmg") > 0
    own, elsewhere = (
        delivery.value(
            f"""
            SELECT count(DISTINCT person) / (SELECT count(DISTINCT person) FROM net)
            FROM net JOIN dmg ON person = patient_id
            WHERE (patient_id, practice_id) {kind} (SELECT person, house FROM net)
            """
        )
        for kind in ("IN", "NOT IN")
    )
    assert 0.8 < own < 0.9
    assert 0.05 < elsewhere < 0.08
    # Houses are practices: nobody else has a record with one.
    others = "SELECT count(*) FROM dmg ANTI JOIN forfaits ON person = patient_id WHERE practice_id LIKE 'H%'"
    assert delivery.value(others) < 0.01 * delivery.value("SELECT count(*) FROM dmg WHERE practice_id LIKE 'H%'")


def test_a_house_is_paid_one_amount_a_month(deliveries: dict[int, Delivery]) -> None:
    """All beginners the same; all others the same until April 2013, each its own from May on."""
    for delivery in deliveries.values():
        amounts = dict(
            delivery.rows(
                "SELECT amounts, count(*) FROM (SELECT count(DISTINCT euro / quantity) amounts FROM forfaits "
                "GROUP BY house, month) GROUP BY amounts"
            )
        )
        assert amounts.keys() == {1, 2}
        assert amounts[2] == PLANTED["one_amount_a_house"]
        ((low, high),) = delivery.rows("SELECT min(euro / quantity), max(euro / quantity) FROM forfaits")
        assert 10 < low <= high < 26
    paid = """
        CREATE TEMP VIEW paid AS
        SELECT house, month, mode(euro / quantity) euro, any_value(registered) < {limit} AS small
        FROM forfaits JOIN (
            SELECT house, count(DISTINCT person) registered
            FROM net JOIN (SELECT house, min(month) AS month FROM net GROUP BY house) USING (house, month)
            GROUP BY house) USING (house)
        GROUP BY house, month
    """
    for year in (2003, 2013, 2020):
        deliveries[year].db.execute(paid.format(limit=500 * SCALE))
    # Houses of which most share an amount; a planted one has another.
    by_month = "SELECT count(*) FROM (SELECT month FROM paid GROUP BY month, euro HAVING count(*) > 2) GROUP BY month"
    assert [row[0] for row in deliveries[2003].rows(by_month)] == [2] * 12
    counts = "SELECT count(DISTINCT euro) FROM paid GROUP BY month ORDER BY month"
    counts_2013 = [row[0] for row in deliveries[2013].rows(counts)]
    assert counts_2013[:4] == [4] * 4
    assert min(counts_2013[4:]) > 40
    # Houses with fewer registered patients than 500 at national size are beginners, whatever their age; one is planted.
    beginners = dict(deliveries[2020].rows("SELECT small, count(DISTINCT euro) FROM paid GROUP BY small"))
    assert beginners[True] == 2
    assert beginners[False] > 50


@pytest.mark.parametrize("dataset", ["forfaits", "beneficiaries"])
def test_a_few_lines_are_bad(deliveries: dict[int, Delivery], dataset: str) -> None:
    kinds: set[str] = set()
    for year, delivery in deliveries.items():
        lines = delivery.lines(dataset)
        bad = [(number, kind) for number, line in enumerate(lines[1:]) if (kind := fault(dataset, line, year))]
        assert 3 <= len(bad) <= 6
        assert len(bad) < 0.01 * len(lines)
        assert any(number < 0.9 * len(lines) for number, _ in bad)
        kinds |= {kind for _, kind in bad}
    assert len(kinds) == 6


def fault(dataset: str, line: str, year: int) -> str:
    """What is wrong with a line, nothing for a good one."""
    if dataset == "forfaits":
        fields = line.split(";")
        if len(fields) != 6:
            return "too many fields" if len(fields) > 6 else "too few fields"
        person, _, day, _, quantity, _ = fields
        if not person:
            return "no person"
        if quantity not in ("1", "-1", "2"):
            return "quantity"
        if not 1 <= int(day[4:6]) <= 12 or day[4:] in ("0230", "0231"):
            return "date"
        return "" if day.startswith(str(year)) else "year"
    fields = line.split(",")
    if len(fields) != 7:
        return "too many fields" if len(fields) > 7 else "too few fields"
    person, birth_year, sex, _, _, _, valid_from = fields
    if not person:
        return "no person"
    if sex == "X":
        return "sex"
    if int(birth_year) > year:
        return "birth"
    return "date" if valid_from[5:7] == "13" else ""


def test_a_tiny_delivery_has_hardly_a_bad_line(tiny: Delivery) -> None:
    for dataset in ("forfaits", "beneficiaries"):
        lines = tiny.lines(dataset)[1:]
        assert sum(bool(fault(dataset, line, tiny.year)) for line in lines) <= 0.003 * len(lines)

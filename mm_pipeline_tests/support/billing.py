"""Billed lines and residences, written by hand."""

from decimal import Decimal
from typing import Any

from mm_pipeline_tests.properties.strategies import area_table
from mm_pipeline_tests.properties.strategies_capitation import LIEGE, PLACES

YEAR = 2024


EVERYWHERE = area_table(PLACES, with_sectors=False)


Text = dict[str, str]


def line(
    month: int = 1,
    quantity: int = 1,
    amount: str | None = None,
    house: str = "A",
    patient: str = "P",
    year: int = YEAR,
    unit: str = "20.00",
) -> Text:
    return {
        "patient_id": patient,
        "house_id": house,
        "service_date": f"{year}-{month:02}-01",
        "nomenclature_code": "109616",
        "quantity": str(quantity),
        "amount_eur": str(Decimal(unit) * quantity) if amount is None else amount,
    }


def months(*numbers: int, house: str = "A", patient: str = "P", unit: str = "20.00", year: int = YEAR) -> list[Text]:
    return [line(number, house=house, patient=patient, unit=unit, year=year) for number in numbers]


def crowd(people: int, *numbers: int, house: str = "A", name: str = "", **more: Any) -> list[Text]:
    """As many patients of a house; by default in January."""
    lines = []
    for number in range(people):
        lines += months(*(numbers or (1,)), house=house, patient=f"{name or house}{number}", **more)
    return lines


def person(patient: str = "P", municipality: str = LIEGE, born: int = 1980, since: str = "") -> Text:
    return {
        "patient_id": patient,
        "birth_year": str(born),
        "sex": "F",
        "preferential": "0",
        "municipality_code": municipality,
        "sector_code": "",
        "valid_from": since,
    }


def residents(**people_in: tuple[str, int]) -> list[Text]:
    """name=(municipality, people): the residences of a crowd of that name."""
    return [
        person(f"{name}{number}", municipality)
        for name, (municipality, people) in people_in.items()
        for number in range(people)
    ]

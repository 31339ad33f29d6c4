"""Reads a synthetic delivery the way a suspicious reader would: with DuckDB, nothing of the pipeline but the areas."""

import gzip
import json
from pathlib import Path

import duckdb
import pyarrow as pa

from mm_pipeline.reference.areas import areas
from mm_pipeline_tests.support.paths import REFERENCE

#: Of ``conftest.deliveries``.
SCALE = 0.015


def areas_of(year: int) -> pa.Table:
    """The shipped hierarchy, which has no sectors."""
    return areas(REFERENCE, year)


class Delivery:
    """The good rows of one year in tables, and the lines of its CSV files.

    Tables: ``forfaits`` (of code 109616: person, house, month, quantity, euro), ``residents`` (last row of each
    person), ``beneficiaries`` (all rows), ``dmg``, ``net`` (person, house, month: net quantity of at least 1),
    ``attributed`` (person) and ``municipalities`` (code, region). ``ghost`` is the house that is planted in the year.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.year = int(folder.name)
        self.ghost = f"H{7000 + self.year}"
        self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.db = duckdb.connect()
        year = self.year
        read = "read_csv('{}', delim='{}', header=true, all_varchar=true, store_rejects=true)"
        self.db.execute("CREATE TABLE delivered AS FROM " + read.format(folder / "forfaits.csv.gz", ";"))
        self.db.execute(
            f"""
            CREATE TABLE forfaits AS
            SELECT SS00010 person, SS00075 house, SS00015[5:6]::INT AS month, quantity::INT quantity,
                   amount_eur::DECIMAL(9, 2) euro
            FROM delivered
            WHERE SS00020 = '109616' AND SS00010 IS NOT NULL AND regexp_full_match(quantity, '-?[0-9]+')
              AND try_strptime(SS00015, '%Y%m%d') IS NOT NULL AND SS00015[:4] = '{year}'
            """
        )
        self.db.execute(
            f"""
            CREATE TABLE beneficiaries AS
            FROM {read.format(folder / "beneficiaries.csv.gz", ",")}
            WHERE patient_id IS NOT NULL AND sex IN ('1', '2', 'M', 'F') AND birth_year::INT <= {year}
              AND (valid_from IS NULL OR try_cast(valid_from AS DATE) IS NOT NULL)
            """
        )
        self.db.execute(
            """
            CREATE TABLE residents AS
            SELECT patient_id person, birth_year::INT birth_year, sex IN ('2', 'F') female,
                   preferential = '1' preferential, municipality_code, sector_code
            FROM beneficiaries
            QUALIFY row_number() OVER (PARTITION BY patient_id ORDER BY coalesce(valid_from, '') DESC) = 1
            """
        )
        self.db.execute(f"CREATE TABLE dmg AS FROM '{folder / 'dmg.parquet'}'")
        self.db.execute(
            "CREATE TABLE net AS SELECT person, house, month FROM forfaits GROUP BY ALL HAVING sum(quantity) >= 1"
        )
        self.db.execute(
            """
            CREATE TABLE attributed AS
            SELECT person FROM net GROUP BY person HAVING count(DISTINCT month) >= 6
              AND person NOT IN (
                SELECT patient_id FROM dmg WHERE (patient_id, practice_id) NOT IN (SELECT person, house FROM net))
            """
        )
        self.db.register("areas", areas_of(year))
        self.db.execute(
            """
            CREATE TABLE municipalities AS
            SELECT m.area_code code, p.parent_code region FROM areas m
            JOIN areas a ON a.level = 'arrondissement' AND a.area_code = m.parent_code
            JOIN areas p ON p.level = 'province' AND p.area_code = a.parent_code
            WHERE m.level = 'municipality'
            """
        )

    def rows(self, sql: str) -> list[tuple]:
        return self.db.execute(sql).fetchall()

    def value(self, sql: str) -> float:
        ((value,),) = self.rows(sql)
        return value

    def lines(self, dataset: str) -> list[str]:
        """The lines of a CSV file, the header first."""
        return gzip.decompress((self.folder / f"{dataset}.csv.gz").read_bytes()).decode().splitlines()

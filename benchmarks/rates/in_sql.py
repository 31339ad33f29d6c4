"""As one would write it by hand for DuckDB and for speed: all in temporary tables, sorted once at the end."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from mm_pipeline.dimensions import AGE_CLASS_STARTS

_EXPLAINED = """
CREATE TEMP TABLE registrations AS
SELECT patient_key, house_id, ({months})::INTEGER AS months, ({twice})::INTEGER AS months_twice,
    least({counted})::INTEGER AS first_month, greatest({counted})::INTEGER AS last_month,
    ({quantity})::BIGINT AS quantity, regularised::BIGINT AS regularised
FROM (
    SELECT patient_key, house_id, {sums}, sum(greatest(-quantity, 0)) AS regularised
    FROM (SELECT *, month(service_date) AS month FROM raw_forfaits) GROUP BY patient_key, house_id);

CREATE TEMP VIEW houses AS SELECT patient_key, house_id, months, last_month FROM registrations WHERE months > 0;

CREATE TEMP TABLE forfaits_per_patient AS
WITH patients AS (
    SELECT patient_key, bit_or(months) AS months, bit_or(months_twice) AS twice, min(first_month) AS first_month,
        max(last_month) AS last_month, sum(quantity)::BIGINT AS quantity, sum(regularised)::BIGINT AS regularised,
        max(house_id) FILTER (months > 0) AS house_id, count(*) FILTER (months > 0) AS houses
    FROM registrations GROUP BY patient_key),
several AS (FROM houses SEMI JOIN (FROM patients WHERE houses > 1) USING (patient_key)),
best AS (
    SELECT patient_key, list(house_id ORDER BY house_id) AS houses,
        first(house_id ORDER BY bit_count(months) DESC, last_month DESC, house_id) AS house_id
    FROM several GROUP BY patient_key),
shared AS (
    SELECT a.patient_key, bit_or(a.months & b.months) AS months FROM several AS a
    JOIN several AS b ON a.patient_key = b.patient_key AND a.house_id < b.house_id GROUP BY ALL)
SELECT p.patient_key, bit_count(p.months)::INTEGER AS forfaits, coalesce(best.house_id, p.house_id) AS house_id,
    coalesce(best.houses, CASE WHEN p.house_id IS NOT NULL THEN [p.house_id] END) AS houses, first_month, last_month,
    coalesce(last_month - first_month + 1 - bit_count(p.months), 0)::INTEGER AS gaps,
    bit_count(twice | coalesce(shared.months, 0))::INTEGER AS months_billed_twice, quantity, regularised
FROM patients AS p LEFT JOIN best ON best.patient_key = p.patient_key
LEFT JOIN shared ON shared.patient_key = p.patient_key;

CREATE TEMP TABLE candidates AS SELECT patient_key, forfaits, house_id FROM forfaits_per_patient WHERE forfaits >= 6;
"""

_SQL = """
CREATE TEMP TABLE excluded AS
SELECT DISTINCT dmg.patient_key FROM raw_dmg AS dmg SEMI JOIN candidates USING (patient_key)
ANTI JOIN houses ON houses.patient_key = dmg.patient_key AND houses.house_id = dmg.practice_id;

CREATE TEMP TABLE attributed_patients AS
SELECT c.*, b.patient_key IS NOT NULL AS is_beneficiary, birth_year, sex, preferential, municipality_code, sector_code
FROM (FROM candidates ANTI JOIN excluded USING (patient_key)) AS c
LEFT JOIN raw_beneficiaries AS b ON b.patient_key = c.patient_key;

CREATE TEMP TABLE delivered AS
WITH people AS (
    SELECT 1 AS n, 0 AS p, municipality_code, sector_code, sex, preferential, birth_year FROM raw_beneficiaries),
patients AS (
    SELECT 0 AS n, 1 AS p, municipality_code, sector_code, sex, preferential, birth_year FROM attributed_patients
    WHERE is_beneficiary),
counted AS (
    SELECT municipality_code, sector_code, sex, preferential, {age} AS age, count(*) AS n, 0 AS p FROM people GROUP BY ALL
    UNION ALL
    SELECT municipality_code, sector_code, sex, preferential, {age} AS age, 0 AS n, count(*) AS p FROM patients GROUP BY ALL)
SELECT municipality_code, sector_code, sex, preferential, age, sum(n)::BIGINT AS n, sum(p)::BIGINT AS p FROM counted
GROUP BY ALL;

CREATE TEMP TABLE cells AS
WITH named AS (
    SELECT sector_code, municipality_code FROM delivered
    WHERE regexp_matches(sector_code, '^[0-9]{{5}}[0-9A-Z-]{{4}}$') AND NOT sector_code LIKE '%ZZZZ'
        AND municipality_code IN (SELECT area_code FROM geography WHERE level = 'municipality')
    GROUP BY sector_code, municipality_code
    QUALIFY row_number() OVER (PARTITION BY sector_code ORDER BY sum(n) DESC, municipality_code) = 1)
SELECT m.area_code AS municipality_code,
    CASE WHEN m.area_code IS NOT NULL THEN coalesce(named.sector_code, m.area_code || 'ZZZZ') END AS sector_code,
    sex, preferential, age, sum(n)::BIGINT AS n, sum(p)::BIGINT AS p
FROM delivered
LEFT JOIN geography AS m ON m.level = 'municipality' AND m.area_code = delivered.municipality_code
LEFT JOIN named ON named.sector_code = delivered.sector_code AND named.municipality_code = delivered.municipality_code
GROUP BY ALL;

CREATE TEMP TABLE long AS
WITH ladder AS (
    SELECT m.area_code AS municipality_code, unnest([
        {{'level': 'municipality', 'area_code': m.area_code}}, {{'level': 'arrondissement', 'area_code': a.area_code}},
        {{'level': 'province', 'area_code': p.area_code}}, {{'level': 'region', 'area_code': r.area_code}},
        {{'level': 'country', 'area_code': 'BE'}}], recursive := true)
    FROM geography AS m
    JOIN geography AS a ON a.level = 'arrondissement' AND a.area_code = m.parent_code
    JOIN geography AS p ON p.level = 'province' AND p.area_code = a.parent_code
    JOIN geography AS r ON r.level = 'region' AND r.area_code = p.parent_code
    WHERE m.level = 'municipality'
    UNION ALL SELECT NULL, 'country', 'BE'),
by_municipality AS (
    SELECT municipality_code, sex, preferential, age, sum(n) AS n, sum(p) AS p FROM cells GROUP BY ALL),
broken_down AS (
    SELECT municipality_code, n, p, unnest([
        {{'dimension': 'total', 'category': 'total'}}, {{'dimension': 'sex', 'category': sex}},
        {{'dimension': 'preferential', 'category': preferential::VARCHAR}},
        {{'dimension': 'age_group', 'category': CASE WHEN age = 0 THEN '0-17' WHEN age <= 3 THEN '18-64' ELSE '65+' END}},
        {{'dimension': 'age_class', 'category':
            (['0-17', '18-24', '25-44', '45-64', '65-74', '75-84', '85+'])[age + 1]}}], recursive := true)
    FROM by_municipality)
SELECT level, area_code, dimension, category, sum(n)::BIGINT AS n, sum(p)::BIGINT AS p
FROM broken_down JOIN ladder ON ladder.municipality_code IS NOT DISTINCT FROM broken_down.municipality_code GROUP BY ALL;
"""

_ATTRIBUTED = """
SELECT patient_key, forfaits, house_id, is_beneficiary, birth_year, sex, preferential, municipality_code, sector_code
FROM attributed_patients ORDER BY patient_key
"""

_COUNTS = """
SELECT municipality_code, sector_code, sex,
    (['0-17', '18-24', '25-44', '45-64', '65-74', '75-84', '85+'])[age + 1] AS age_class, preferential, n AS beneficiaries
FROM cells ORDER BY ALL
"""

_RATES = """
WITH categories(dimension, category) AS (VALUES
    ('total', 'total'), ('sex', 'M'), ('sex', 'F'), ('preferential', '0'), ('preferential', '1'),
    ('age_group', '0-17'), ('age_group', '18-64'), ('age_group', '65+'),
    ('age_class', '0-17'), ('age_class', '18-24'), ('age_class', '25-44'), ('age_class', '45-64'),
    ('age_class', '65-74'), ('age_class', '75-84'), ('age_class', '85+')),
counted AS (
    SELECT level, area_code, parent_code, dimension, category, coalesce(n, 0) AS n, coalesce(p, 0) AS p
    FROM geography JOIN categories ON NOT (level = 'municipality' AND dimension = 'age_class')
    LEFT JOIN long USING (level, area_code, dimension, category) WHERE level <> 'sector'
    UNION ALL
    SELECT 'sector', sector_code, municipality_code, 'total', 'total', sum(n)::BIGINT, sum(p)::BIGINT
    FROM cells WHERE sector_code IS NOT NULL GROUP BY ALL)
SELECT {year}::INTEGER AS year, level, area_code, parent_code, dimension, category, n AS beneficiaries, p AS patients,
    p::DOUBLE * 10000.0::DOUBLE / nullif(n, 0)::DOUBLE AS rate_per_10000,
    p::DOUBLE * 100.0::DOUBLE / nullif(n, 0)::DOUBLE AS rate_percent
FROM counted ORDER BY level, area_code, dimension, category
"""


_RESULTS = {
    "registrations": "FROM registrations ORDER BY patient_key, house_id",
    "forfaits_per_patient": "FROM forfaits_per_patient ORDER BY patient_key",
    "attributed_patients": _ATTRIBUTED,
    "beneficiary_counts": _COUNTS,
    "sector_rates": _RATES,
}


def in_sql(
    connection: duckdb.DuckDBPyConnection, files: Mapping[str, Path], year: int, target: Mapping[str, Path]
) -> None:
    """The five tables of a year without a sector table. ``files``: raw tables and geography, as Parquet."""
    for name, path in files.items():
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}', hive_partitioning=false)")
    # One pass over the lines with a sum for each month: three times as fast as grouping by month.
    months = range(1, 13)
    values = {
        "year": year,
        "sums": ", ".join(f"sum(CASE WHEN month = {m} THEN quantity ELSE 0 END) AS m{m}" for m in months),
        "months": " + ".join(f"CASE WHEN m{m} >= 1 THEN {1 << (m - 1)} ELSE 0 END" for m in months),
        "twice": " + ".join(f"CASE WHEN m{m} >= 2 THEN {1 << (m - 1)} ELSE 0 END" for m in months),
        "counted": ", ".join(f"CASE WHEN m{m} >= 1 THEN {m} END" for m in months),
        "quantity": " + ".join(f"m{m}" for m in months),
        "age": " + ".join(f"({year} - birth_year >= {start})::INT8" for start in AGE_CLASS_STARTS),
    }
    program = _EXPLAINED + _SQL
    for statement in program.format(**values).split(";"):
        if statement.strip():
            connection.execute(statement)
    for name, path in target.items():
        query = _RESULTS[name].format(year=year)
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def scan(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Path]) -> None:
    """Read every value that the statistic needs, and do no more with it than a hash."""
    needed = {
        "raw_forfaits": "patient_key, house_id, service_date, quantity",
        "raw_dmg": "patient_key, practice_id",
        "raw_beneficiaries": "patient_key, birth_year, sex, preferential, municipality_code, sector_code",
    }
    for name, columns in needed.items():
        query = f"SELECT bit_xor(hash({columns})) FROM read_parquet('{files[name]}', hive_partitioning=false)"
        connection.execute(query).fetchall()

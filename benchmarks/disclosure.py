"""The disclosure control against the optimum, against simpler rules, and as the country grows."""

import argparse
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from benchmarks.disclosure_attacks import rerun, revisions, worths
from benchmarks.disclosure_lines import KEY, primary_only, two_a_line
from benchmarks.disclosure_optimum import ROUNDS, Block, optimum
from benchmarks.material import YEAR, ingested, settings_at
from benchmarks.rates.product import by_product
from mm_pipeline import schemas
from mm_pipeline.disclosure.audit import audit
from mm_pipeline.disclosure.primary_rule import Flags, sensitive
from mm_pipeline.disclosure.protect import protect
from mm_pipeline.storage.lake import Lake

Rule = Callable[[pd.DataFrame, int], pd.DataFrame]
RULES: dict[str, Rule] = {
    "primary rule only": primary_only,
    "two hidden in each line": two_a_line,
    "protect": protect,
}
OURS = "protect"
ROUNDS_OF_A_PROVINCE = 8
"""Programmes in whole numbers until a province is left with a lower bound: more of them raise it by little."""
WORST = 5


def national_year() -> Path:
    """``sector_rates`` of a synthetic year of the country; made once, as by ``python -m benchmarks --scale 1``."""
    settings = settings_at(1)
    path = Lake(settings.lake_dir).path(schemas.SECTOR_RATES, YEAR)
    if not path.exists():
        by_product(settings, ingested(settings, 1))
    return path


def within(rates: pd.DataFrame) -> pd.DataFrame:
    """For each row the area of each level, from the province down to the municipality, that it belongs to."""
    levels = ["province", "arrondissement", "municipality"]
    parents = {
        level: rates[rates["level"] == level].drop_duplicates("area_code").set_index("area_code")["parent_code"]
        for level in levels
    }
    result = pd.DataFrame(index=rates.index)
    above = rates["parent_code"].where(rates["level"] == "sector")
    for level in reversed(levels):
        own = rates["level"] == level
        result[level] = above.where(~own, rates["area_code"])
        above = result[level].map(parents[level])
    return result


# --- against the optimum ---------------------------------------------------------------------------------------------


def blocks(rates: pd.DataFrame, kind: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Part tables: an area and what is below it, down to the municipalities, or of a municipality to the sectors."""
    area = within(rates)[kind]
    lowest = {"municipality": ["municipality", "sector"], "arrondissement": ["arrondissement", "municipality"]}
    levels = lowest.get(kind, ["province", "arrondissement", "municipality"])
    rates = rates[rates["level"].isin(levels)]
    for code, rows in rates.groupby(area[rates.index]):
        if rows["level"].nunique() == len(levels):
            yield str(code), rows.reset_index(drop=True)


@dataclass
class Tally:
    """What one way of hiding adds up to over many blocks."""

    complementary: int = 0
    violations: int = 0
    known: int = 0

    def add(self, block: Block, table: pd.DataFrame, threshold: int) -> int:
        """Count one more block; how many complementary rows it has."""
        complementary = block.complementary(hidden_in(block, table))
        violations = audit(table, threshold).violations
        self.complementary += complementary
        self.violations += len(violations)
        self.known += int((violations["lowest"] == violations["highest"]).sum())
        return complementary


@dataclass
class Comparison:
    kind: str
    tallies: dict[str, Tally] = field(default_factory=lambda: {name: Tally() for name in ["optimum", *RULES]})
    rows: list[dict[str, object]] = field(default_factory=list)
    left_out: int = 0
    unsolved: int = 0
    at_least: int = 0

    def add(self, code: str, rates: pd.DataFrame, threshold: int, rounds: int = ROUNDS) -> None:
        block = Block(rates, threshold)
        if not block.shows_all_people:
            self.left_out += 1
            return
        best = optimum(block, rounds)
        if best.hidden is None:
            self.unsolved += 1
        else:
            self.tallies["optimum"].add(block, block.table(best.hidden), threshold)
        self.at_least += best.complementary
        counts = {
            name: self.tallies[name].add(block, rule(rates, threshold), threshold) for name, rule in RULES.items()
        }
        self.rows.append(
            {
                "block": code,
                "rows": len(rates),
                "primary": int(block.primary.sum()),
                "optimum": best.complementary,
                "solved": "yes" if best.hidden is not None else "lower bound",
                OURS: counts[OURS],
            }
        )

    def print(self) -> None:
        print(
            f"\n### {self.kind}\n\n{len(self.rows)} blocks, {self.unsolved} of them not solved (their lower bound counts as "
            f"optimum, without a table to audit); {self.left_out} left out, which have a cell of fewer people than the "
            "threshold\n"
        )
        if not self.rows:
            return
        table = []
        for name, tally in self.tallies.items():
            count = self.at_least if name == "optimum" else tally.complementary
            over = f"{count / self.at_least - 1:+.1%}" if self.at_least else ""
            table.append([name, count, over, tally.violations, tally.known])
        print_table(["way of hiding", "complementary rows", "over the optimum", "violations", "exactly known"], table)
        blocks_of = pd.DataFrame(self.rows)
        ratio = blocks_of[OURS] / blocks_of["optimum"].where(blocks_of["optimum"] > 0, 1)
        ratio = ratio.where((blocks_of["optimum"] > 0) | (blocks_of[OURS] > 0), 1.0)
        limits = [1.0, 1.05, 1.1, 1.25, 1.5, 2.0, math.inf]
        names = ["as the optimum", "to +5 %", "to +10 %", "to +25 %", "to +50 %", "to +100 %", "more"]
        share = pd.cut(ratio, [-math.inf, *limits], labels=names).value_counts(sort=False)
        print()
        print_table(["protect, per block", *names], [["blocks", *share.tolist()]])
        excess = (blocks_of[OURS] - blocks_of["optimum"]).sort_values(ascending=False, kind="stable")
        worst = blocks_of.loc[excess[excess > 0].index[:WORST]]
        if len(worst):
            print()
            print_table(list(worst), worst.to_numpy().tolist())


def hidden_in(block: Block, table: pd.DataFrame) -> Flags:
    """Per cell of a block whether its n is hidden in a table."""
    cells = block.lines.cells.merge(table[[*KEY, "status"]], on=KEY, how="left")
    return (cells["status"] != "published").to_numpy()


def against_optimum(rates: pd.DataFrame, threshold: int) -> None:
    print("\n## Against the optimum")
    for kind, title in {
        "arrondissement": "Arrondissements with their municipalities",
        "municipality": "Municipalities with their sectors",
    }.items():
        comparison = Comparison(title)
        for code, part in blocks(rates, kind):
            comparison.add(code, part, threshold)
        comparison.print()


def provinces_against_bounds(rates: pd.DataFrame, threshold: int) -> None:
    comparison = Comparison("Provinces with their arrondissements and municipalities")
    for code, part in blocks(rates, "province"):
        comparison.add(code, part, threshold, ROUNDS_OF_A_PROVINCE)
    comparison.print()


# --- against simpler rules -------------------------------------------------------------------------------------------


def against_rules(rates: pd.DataFrame, threshold: int) -> None:
    """The whole table by each rule."""
    truth = rates[~rates["area_code"].str.endswith("ZZZZ")]
    primary = sensitive(truth["patients"].to_numpy(), truth["beneficiaries"].to_numpy(), threshold).sum()
    table = []
    for name, rule in RULES.items():
        published = rule(rates, threshold)
        known = truth.merge(published[[*KEY, "status"]], on=KEY, validate="one_to_one")
        is_hidden = known["status"] == "suppressed"
        visible = known.loc[~is_hidden, "beneficiaries"].sum() / known["beneficiaries"].sum()
        violations = audit(published, threshold).violations
        exactly = int((violations["lowest"] == violations["highest"]).sum())
        hidden = int(is_hidden.sum())
        table.append([name, hidden, hidden - int(primary), f"{visible:.2%}", len(violations), exactly])
    print(f"\n## The whole table by each rule\n\n{len(truth):,} rows, of which {primary:,} are sensitive\n")
    titles = ["rule", "suppressed rows", "complementary rows", "beneficiaries in visible rows", "violations"]
    print_table([*titles, "exactly known"], table)


# --- as the country grows --------------------------------------------------------------------------------------------


def measured(path: Path, provinces: list[str] | None, threshold: int) -> list[object]:
    """Rows, areas, seconds of protecting and auditing a part, and the peak memory of this process."""
    rates = pd.read_parquet(path)
    if provinces is not None:
        rates = rates[within(rates)["province"].isin(provinces)].reset_index(drop=True)
    started = time.process_time()
    published = protect(rates, threshold)
    protecting = time.process_time() - started
    violations = len(audit(published, threshold).violations)
    auditing = time.process_time() - started - protecting
    # ru_maxrss would count what the parent process had when it started this one.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    areas = len(rates[["level", "area_code"]].drop_duplicates())
    return [len(rates), areas, protecting, auditing, violations, int(peak.split()[1]) / 1024]


def growth(path: Path, threshold: int) -> None:
    """Provinces one after another, then the country with its levels above; processor time, each in its own process."""
    columns = ["level", "area_code"]
    rates = pd.read_parquet(path, columns=columns).drop_duplicates()
    codes = sorted(rates.loc[rates["level"] == "province", "area_code"])
    parts = [codes[:count] for count in (1, 2, 4, 7, 11) if count < len(codes)]
    table, seconds = [], []
    for provinces in [*parts, *([codes] if codes else []), None]:
        name = "country" if provinces is None else f"{len(provinces)} province{'s' * (len(provinces) > 1)}"
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawned) as pool:
            rows, areas, protecting, auditing, violations, peak = pool.submit(
                measured, path, provinces, threshold
            ).result()
        per_thousand = [f"{each / areas * 1000:.2f}" for each in (protecting, auditing)]
        seconds.append((areas, protecting, auditing))
        table.append(
            [name, rows, areas, f"{protecting:.1f}", f"{auditing:.1f}", *per_thousand, violations, f"{peak:.0f}"]
        )
    print("\n## As the country grows\n\nSeconds of processor time, each part in a process of its own\n")
    titles = ["part", "rows", "areas", "protect, s", "audit, s", "protect, s per 1000 areas", "audit, s per 1000 areas"]
    print_table([*titles, "violations", "peak memory, MiB"], table)
    # From the middle on: the smallest parts mostly set up the solver.
    first, last = seconds[(len(seconds) - 1) // 2], seconds[-1]
    if first[0] == last[0]:
        return
    for place, what in enumerate(["protect", "audit"], start=1):
        exponent = math.log(last[place] / first[place]) / math.log(last[0] / first[0])
        print(f"\n{what}: seconds grow as areas to the power of {exponent:.2f} ({first[0]:,} to {last[0]:,} areas)")


def print_table(titles: list[str], rows: list[list[object]]) -> None:
    """As Markdown, numbers to the right."""
    cells = [[f"{value:,}" if isinstance(value, int) else str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    numbers = [not isinstance(value, str) or value[:1] in "+-0123456789" for value in rows[0]]
    rule = ["-" * (width - 1) + ":" if number else "-" * width for width, number in zip(widths, numbers, strict=True)]
    for row in [titles, rule, *cells]:
        padded = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        ]
        print("|", " | ".join(padded), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.disclosure", description=__doc__)
    parts = ["optimum", "provinces", "rules", "growth", "worth", "revisions", "rerun"]
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)} (default: all)", default=parts)
    parser.add_argument("--table", type=Path, help="sector_rates of a year (default: a synthetic year of the country)")
    parser.add_argument("--threshold", type=int, default=5)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    path = arguments.table or national_year()
    rates = pd.read_parquet(path)
    print(f"{len(rates):,} rows, threshold {arguments.threshold}", flush=True)
    if "optimum" in arguments.parts:
        against_optimum(rates, arguments.threshold)
    if "provinces" in arguments.parts:
        provinces_against_bounds(rates, arguments.threshold)
    if "rules" in arguments.parts:
        against_rules(rates, arguments.threshold)
    if "growth" in arguments.parts:
        growth(path, arguments.threshold)
    if "worth" in arguments.parts:
        print("\n## What a total is worth\n")
        visible = ["municipality totals visible", "sectors visible", "age groups visible"]
        print_table(["worth", *visible, "suppressed rows", "violations"], list(worths(rates, arguments.threshold)))
    if "revisions" in arguments.parts:
        print("\n## Simulated revisions\n")
        titles = [
            "persons more",
            "they are",
            "units that wait",
            "newly hidden",
            "newly shown",
            "violations",
            "protect, s",
        ]
        print_table(titles, list(revisions(rates, arguments.threshold)))
    if "rerun" in arguments.parts:
        print("\n## Whoever runs the protection again\n")
        titles = ["small hidden sectors", "known exactly", "fewer than t values", "known to be small"]
        print_table(titles, [rerun(blocks(rates, "municipality"), arguments.threshold)])


if __name__ == "__main__":
    main()

"""The command line ``mm-pipeline``: run, synthesize, backfill, status, sign-off, release, purge, ui, protect, audit.

Exit codes: 0 done; 1 something failed (a year, a check) or is missing, said in words; 2 wrong use of the command.
Imports are inside the commands: ``--help`` must not wait for Dagster and Ibis.
"""

import inspect
import math
import os
import sys
import traceback
from collections.abc import Container, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mm_pipeline import __version__
from mm_pipeline.clock import FIRST_YEAR, all_years, newest_year
from mm_pipeline.errors import OperatorError, storage_error
from mm_pipeline.operations.signals import raising_on_signals
from mm_pipeline.settings import DISCLOSURE_THRESHOLDS

if TYPE_CHECKING:
    from rich.console import Console

    from mm_pipeline.operations.backfill import Backfill, YearResult
    from mm_pipeline.settings import Settings

DEMO_SCALE, DEMO_SEED = 0.02, 1
_NAMED = 20
"""How many violations are named."""


class Scale(click.FloatRange):
    """A share of the country."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        scale = float(super().convert(value, param, ctx))
        if math.isnan(scale):  # in no range, and outside none
            self.fail(f"{value} is not a number.", param, ctx)
        return scale


class Year(click.ParamType):
    """A year of the statistic."""

    name = "year"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        years = Years().convert(value, param, ctx)
        if len(years) > 1:
            self.fail(f"{value!r} is not one year, such as {newest_year()}.", param, ctx)
        return years[0]


class Years(click.ParamType):
    """``2019:2021`` (both included), ``2019``, or ``2019,2021:2023``."""

    name = "years"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        years: set[int] = set()
        for part in str(value).split(","):
            first, colon, last = part.partition(":")
            if not first.strip().isdecimal() or (colon and not last.strip().isdecimal()):
                self.fail(f"{value!r} is no list of years; expected 2019:2021, 2019 or 2019,2021.", param, ctx)
            for year in (int(first), int(last or first)):
                if year not in all_years():
                    newest = newest_year()
                    self.fail(f"{year} is not a year of the statistic: {FIRST_YEAR} to {newest} (t-2).", param, ctx)
            years.update(range(int(first), int(last or first) + 1))
        if not years:
            self.fail(f"{value!r} holds no year; the first must not be after the last.", param, ctx)
        return sorted(years)


def _is_of_output(error: Exception) -> bool:
    """Whether what was printed could not be written (the error names no file), other than to a reader who had enough."""
    if not isinstance(error, OSError) or error.filename is not None or isinstance(error, BrokenPipeError):
        return False
    where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return where == Path(__file__) or where.parent.name in ("rich", "click")


class Command(click.Command):
    """A command of which the list of commands has the whole first sentence."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return inspect.cleandoc(self.help or "").partition("\n\n")[0].replace("\n", " ")


class Commands(click.Group):
    """The commands. A user's mistake is answered in words and exit code 1, never with a traceback."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with raising_on_signals():
                super().invoke(ctx)
                sys.stdout.flush()
        except KeyboardInterrupt:
            told = "ended by a signal. What was done stays; run the command again for the rest."
        except OperatorError as error:
            told = str(error)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if _is_of_output(error) or (of_disk := storage_error(error, _settings().data_dir)) is None:
                raise
            told = str(of_disk)
        else:
            return
        click.echo(f"mm-pipeline: {told}", err=True)
        sys.exit(1)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if not _is_of_output(error):
                raise
            # What is left would be tried again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(
                f"mm-pipeline: what it says cannot be written ({error.strerror}). Send it elsewhere, and start again."
            )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mm-pipeline")
def main() -> None:
    """Patients of a maison médicale (stat_003_007): from the yearly deliveries to the published tables."""


@main.command()
def run() -> None:
    """Build every year that is delivered; with no delivery at all, make demonstration deliveries first."""
    from mm_pipeline.ingest.delivery import years_delivered

    settings = _settings()
    with _making_deliveries(settings):
        if not years_delivered(settings):
            click.echo("data/raw holds no delivery: making synthetic ones for demonstration.")
            _synthesize(settings, list(all_years()), DEMO_SCALE, DEMO_SEED)
        delivered = years_delivered(settings)
    _backfill(settings, [year for year in all_years() if year in delivered], force=False)


@main.command()
@click.option("--years", type=Years(), required=True, help="For example 2019:2024.")
@click.option(
    "--scale",
    type=Scale(min=0, min_open=True, max=3),
    default=DEMO_SCALE,
    show_default=True,
    help="1 is the country: 11.7 million beneficiaries a year.",
)
@click.option("--seed", type=int, default=DEMO_SEED, show_default=True, help="The same seed gives the same bytes.")
@click.option("--force", is_flag=True, help="Replace a delivery that is there already.")
def synthesize(years: list[int], scale: float, seed: int, force: bool) -> None:
    """Make synthetic deliveries in data/raw, for demonstration and tests."""
    settings = _settings()
    with _making_deliveries(settings):
        if not force and (there := [year for year in years if (settings.raw_dir / str(year)).exists()]):
            raise OperatorError(
                f"data/raw already holds {', '.join(map(str, there))}; a real delivery is never replaced by a synthetic one "
                "unasked. Use --force to replace them, or name other years."
            )
        _synthesize(settings, years, scale, seed)


@main.command()
@click.option("--years", type=Years(), required=True, help="For example 2019:2021.")
@click.option("--force", is_flag=True, help="Build them again even if they are up to date.")
def backfill(years: list[int], force: bool) -> None:
    """Build years from their deliveries: ingest, checks, rates, release."""
    _backfill(_settings(), years, force=force)


@main.command()
@click.option("--years", type=Years(), help="For example 2019:2021; of these every reason is told.  [default: all]")
def status(years: list[int] | None) -> None:
    """What is delivered, built, protected, published and checked, year by year; what is stale, and why."""
    from rich.markup import escape

    with _instance(_settings()) as backfill:
        # Not before: it imports what _instance imports without the garbage collector.
        from mm_pipeline.operations.status import SHORT
        from mm_pipeline.operations.status import status as status_of

        ledger = backfill.ledger()
        all_of_them = status_of(ledger, years)
        series = "up to date" if ledger.is_series_up_to_date() else "not made from the years as they are now"
    cells = [year.row.values() for year in all_of_them]
    console = _print_table(all_of_them[0].row, cells, right=SHORT, wrapped=("state", "delivered"), padding=(0, 1, 0, 0))
    for year in all_of_them:
        said = [year.state.awaits.sentence] if year.state.awaits else year.state.reasons if years else []
        for reason in said:
            console.print(f"{year.state.year}  {escape(reason)}", highlight=False, soft_wrap=True)
    console.print(f"All years in one, and the atlas: {series}.")


@main.command("sign-off")
@click.argument("year", type=Year())
@click.option("--name", help="First and last name of who signs what awaits. Without it: what is awaited.")
@click.option("--manifest", default="", help="With --name: the first 12 digits or more of what was looked at.")
def sign_off(year: int, name: str | None, manifest: str) -> None:
    """What of YEAR awaits the signatures of two people (MM_SIGN_OFF), or sign it."""
    from mm_pipeline.operations.sign_off import awaited, nothing_awaits, sign

    settings = _settings()
    if name is not None and not manifest:
        raise click.UsageError(
            f"--name goes with --manifest, which mm-pipeline sign-off {year} tells. Nothing was signed."
        )
    waiting = awaited(settings, year) if name is None else sign(settings, year, name, manifest)
    click.echo(waiting.sentence if waiting else nothing_awaits(settings, year))


@main.command()
@click.argument("year", type=Year())
@click.option("--name", help="First and last name of who releases it. Without it: what holds the year.")
@click.option("--because", default="", help="With --name: why the figures are right though checks doubt them.")
def release(year: int, name: str | None, because: str) -> None:
    """What holds YEAR back from being released, or release it all the same."""
    from mm_pipeline.operations.sign_off import awaited, nothing_is_held
    from mm_pipeline.operations.sign_off import release as release_held

    settings = _settings()
    if (name is None) != (not because):
        raise click.UsageError("--name goes with --because: who releases the year, and why. Nothing was released.")
    waiting = awaited(settings, year) if name is None else release_held(settings, year, name, because)
    click.echo(waiting.sentence if waiting and (waiting.doubts or name) else nothing_is_held(year))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="[default: 3000, with --read-only 3001]")
@click.option("--read-only", is_flag=True, help="For onlookers: nothing can be started, and no schedule runs.")
@click.option("--without-sign-in", is_flag=True, help="Listen on an address that others can reach.")
def ui(host: str, port: int | None, read_only: bool, without_sign_in: bool) -> None:
    """Serve the Dagster UI, with the schedule and the backfill daemon, over the history in data/dagster."""
    from mm_pipeline.operations.dagster_home import open_instance
    from mm_pipeline.webserver import hold_place

    if host not in ("127.0.0.1", "localhost", "::1"):
        may = "sees runs and checks" + ("" if read_only else ", starts and stops runs, and deletes history")
        if not without_sign_in:
            raise click.UsageError(
                f"on --host {host} whoever reaches this machine {may}: there is no sign-in. Leave it at 127.0.0.1 and put "
                "a reverse proxy with sign-in before it (docs/security.md), or add --without-sign-in."
            )
        click.echo(f"WARNING: no sign-in. Whoever reaches {host}, under a name of MM_UI_HOSTS, {may}.", err=True)
    settings = _settings()
    with open_instance(settings):
        pass  # its tables are there now: the processes that follow would make them all at once
    os.environ.setdefault("MM_DATA_DIR", str(settings.data_dir))
    port = port or (3001 if read_only else 3000)
    hold_place(settings, host, port, alone=not read_only)
    os.environ["PYTHONSAFEPATH"] = "1"  # for all processes that follow: nothing is imported from the current folder
    server = [sys.executable, "-P", "-m", "mm_pipeline.webserver", "--read-only" if read_only else "dev"]
    place = ["-m", "mm_pipeline.definitions", "-h", host, "-p", str(port)]
    os.execv(sys.executable, [*server, *place])


@main.command()
@click.option("--before", type=int, required=True, metavar="YEAR", help="The first year whose persons are kept.")
@click.option("--deliveries", is_flag=True, help="Remove data/raw/<year> of these years as well.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(before: int, deliveries: bool, yes: bool) -> None:
    """Remove the persons of past years from the lake; rates, houses and the release stay.

    A receipt is kept in data/lake/receipts.
    """
    from mm_pipeline.operations.dagster_home import open_instance
    from mm_pipeline.operations.purge import purge as remove
    from mm_pipeline.operations.purge import to_purge

    settings = _settings()
    found = to_purge(settings, before, deliveries=deliveries)
    if not found:
        click.echo(f"Nothing to remove: there are no persons of a year before {before}.")
        return
    for year, of_year in groupby(found, key=lambda each: each.year):
        files = list(of_year)
        size = sum(each.path.lstat().st_size for each in files)
        of = ", ".join(dict.fromkeys(each.asset or each.kind for each in files))
        click.echo(f"{year}: {len(files)} files, {size / 1e6:.1f} MB ({of})")
    if not yes:
        click.confirm("Remove them? These years can then be built again from their deliveries only.", abort=True)
    with open_instance(settings) as instance:
        done = remove(settings, instance, before, deliveries=deliveries, say=click.echo)
    click.echo(f"{len(done[1].files)} files removed; the receipt is {done[0]}." if done else "They were gone already.")


class TablePath(click.Path):
    """A ``.csv`` or ``.parquet`` file to read (``exists``) or to write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix.lower() not in (".csv", ".parquet"):
            self.fail(f"{path} is neither a .csv nor a .parquet file. Export or unpack it, or name it so.", param, ctx)
        if not self.exists and not os.access(path.parent, os.W_OK | os.X_OK):
            self.fail(f"{path}: the folder {path.parent} is not there, or nothing may be written to it.", param, ctx)
        return path


_TABLE = TablePath(exists=True, dir_okay=False)
_threshold = click.option(
    "--threshold",
    type=click.IntRange(*DISCLOSURE_THRESHOLDS),
    help="Smallest number of people that may be shown.  [default: MM_DISCLOSURE_THRESHOLD]",
)


@main.command()
@click.argument("table", type=_TABLE)
@click.option("--out", type=TablePath(dir_okay=False), required=True, help="A .csv or .parquet file.")
@_threshold
@click.option(
    "--earlier",
    type=(_TABLE, _TABLE),
    multiple=True,
    metavar="RATES PROTECTED",
    help="An earlier release of the same year: the rates it was made from, and what was released. May be repeated.",
)
@click.option(
    "--counts",
    type=TablePath(dir_okay=False),
    help="With --earlier, where changes wait: a file for the counts that the protected table is made from. Confidential: it "
    "is the RATES of this release for the next one.",
)
def protect(
    table: Path, out: Path, threshold: int | None, earlier: tuple[tuple[Path, Path], ...], counts: Path | None
) -> None:
    """Protect TABLE (CSV or Parquet, columns of sector_rates), so that nobody can work out a small number."""
    from mm_pipeline.operations.table_files import protection, read_earlier, read_rates, write_table

    for option, path in {"--out": out, "--counts": counts}.items():
        if path and path.exists() and any(path.samefile(read) for read in (table, *chain(*earlier))):
            raise click.UsageError(
                f"{option} {path} would replace a table that is read, and later releases need it: rename it."
            )
    if counts and counts.resolve() == out.resolve():
        raise click.UsageError(f"--counts and --out are both {out}. The counts are confidential: name another file.")
    settings = _settings()
    settings = replace(settings, disclosure_threshold=threshold or settings.disclosure_threshold)
    rates = read_rates(table)
    past = [read_earlier(*paths, rates) for paths in earlier]
    result = protection(rates, settings, past)
    waits = ", ".join(sorted(result.postponed))
    if waits and not counts:
        raise click.UsageError(
            f"Changes in {waits} are too small to be shown: they wait, and the table has other counts than"
            f" {table}. The next release needs them. Name a file for them with --counts (it is confidential), and run again."
        )
    if counts:
        write_table(result.rates, counts, mode=0o600)
    write_table(result.table, out)
    hidden = int((result.table["status"] == "suppressed").sum())
    click.echo(f"{out}: {len(result.table)} cells, {hidden} suppressed (threshold {settings.disclosure_threshold}).")
    if waits:
        click.echo(f"Changes wait in {waits}. For the next release: --earlier {counts} {out}")


@main.command()
@click.argument("table", type=_TABLE)
@_threshold
@click.option(
    "--also",
    type=_TABLE,
    multiple=True,
    metavar="OLD",
    help="An earlier release of the same year, that somebody may have kept. May be repeated, oldest first.",
)
@click.option(
    "--known",
    type=_TABLE,
    metavar="FACTS",
    help="What somebody may know from elsewhere: a file with the columns level, area_code, dimension, category, figure "
    "(beneficiaries or patients), at_least, at_most (one of the two may be empty).",
)
def audit(table: Path, threshold: int | None, also: tuple[Path, ...], known: Path | None) -> None:
    """Audit TABLE (CSV or Parquet, columns of protected_rates): exit 1 if somebody can work out a small number."""
    from mm_pipeline.operations.table_files import audited

    threshold = threshold or _settings().disclosure_threshold
    visibility, rows, notes = audited(table, threshold, also, known)
    names = list(visibility[0]) if visibility else []
    spaced = [name for name in names if " " in name]
    _print_table(names, [row.values() for row in visibility], right=set(names) - {"level", "dimension"}, wrapped=spaced)
    for note in notes:
        click.echo(note)
    files = ", ".join(map(str, [table, *also, *([known] if known else [])]))
    if not len(rows):
        click.echo(f"No violation: of no hidden figure can anybody tell that it is below {threshold}.")
        return
    for row in rows.head(_NAMED).itertuples():
        of = f" ({row.path})" if also else ""
        click.echo(f"  {row.level} {row.area_code}, {row.dimension} {row.category}: {row.figure}{of}", err=True)
    more = f"  ... and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    click.echo(more or "  that is all.", err=True)
    raise OperatorError(
        f"{len(rows)} violation(s) in {files}: these hidden figures can be told to be below {threshold}, or narrowed to "
        f"fewer than {threshold} values, from what is shown{' and known' if known else ''}. Do not publish it; protect it "
        f"again (mm-pipeline protect{', with --earlier' if also else ''}{', with a higher --threshold' if known else ''})."
    )


def _print_table(
    names: Iterable[str], rows: Iterable[Iterable[str]], right: Container[str], wrapped: Container[str], **look: Any
) -> "Console":
    """Print a table with these headings, of which some are on the ``right`` and some may be ``wrapped``."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, **look)
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=name not in wrapped)
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console()
    console.print(table)
    return console


def _settings() -> "Settings":
    from mm_pipeline.settings import from_environment

    settings = from_environment()
    if settings.tolerances or settings.hold_limits:
        from mm_pipeline.definitions import assert_checks_known

        assert_checks_known(settings)
    return settings


@contextmanager
def _instance(settings: "Settings") -> Iterator["Backfill"]:
    """The backfill over Dagster's instance in the data folder."""
    from mm_pipeline.operations.start_up import starting

    with ExitStack() as opened:
        with starting():
            from mm_pipeline.definitions import build_definitions
            from mm_pipeline.operations.backfill import Backfill
            from mm_pipeline.operations.dagster_home import open_instance

            instance = opened.enter_context(open_instance(settings))
            backfill = Backfill(settings, instance, build_definitions)
        yield backfill


def _progress(description: str, total: int) -> Any:
    """A bar with what is done and an estimate of what is left; nothing where the output is not a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console, left = Console(), (TextColumn("left"), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), *left)
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    progress.add_task(description, total=total)
    return progress


def _making_deliveries(settings: "Settings") -> AbstractContextManager[Any]:
    """Of two that make synthetic deliveries at once the second waits, and finds those of the first."""
    from mm_pipeline.files.locks import DELIVERIES, Locks, command_line

    return Locks(settings.lake_dir).held([DELIVERIES], by=command_line(), say=click.echo)


def _synthesize(settings: "Settings", years: list[int], scale: float, seed: int) -> None:
    from mm_pipeline.demo import synthesize as make
    from mm_pipeline.reference.areas import areas

    with _progress("synthetic deliveries", len(years)) as progress:
        of_year = partial(areas, settings.reference_dir)
        task = progress.task_ids[0]
        make(
            settings.raw_dir,
            years,
            scale=scale,
            seed=seed,
            areas=of_year,
            at_once=settings.processes,
            on_year=lambda _: progress.advance(task),
        )


def _backfill(settings: "Settings", years: list[int], *, force: bool) -> None:
    from rich.markup import escape

    if settings.engine == "spark":
        from mm_pipeline.storage.spark_requirements import assert_met

        assert_met(settings)  # rather now than after the deliveries of a year were read

    with _instance(settings) as backfill, _progress("years", len(years)) as progress:
        # A log has no width to wrap at.
        say = partial(progress.console.print, highlight=False, soft_wrap=not progress.console.is_terminal)

        task, now = progress.task_ids[0], dict[str, str]()

        def begins(what: str, step: str) -> None:
            now[what] = step
            progress.update(task, description="  ".join(" ".join(each) for each in sorted(now.items())))

        def tell(result: "YearResult") -> None:
            now.pop(str(result.year), None)
            progress.advance(task)
            if progress.disable:  # there is no bar, and a log or a mail tells how far it is
                counts = ", ".join(f"{count} {state}" for state, count in result.checks.items())
                say(f"{result.year} {result.outcome}, checks: {counts or 'none'}, {result.seconds:.1f} s")
            for problem in result.problems:
                say(f"[bold red]{result.year}[/] {escape(problem)}")
            for doubt in result.doubts:
                say(f"[bold yellow]{result.year}[/] {escape(doubt)}")
            for warning in result.warnings if len(years) == 1 else ():  # of many years they would bury the problems
                say(f"[yellow]{result.year}[/] {escape(warning)}")

        results = backfill.years(
            years, force=force, on_year=tell, on_wait=lambda said: say(escape(said)), on_step=begins
        )
        for problem in backfill.series_problems:
            say(f"[bold red]release[/] {escape(problem)}")
    _print_summary(settings, results)
    if backfill.series_problems or any(result.outcome == "failed" for result in results):
        sys.exit(1)


def _print_summary(settings: "Settings", results: list["YearResult"]) -> None:
    from mm_pipeline.operations.status import SHORT, in_short

    synthetic = any(result.synthetic for result in results)
    title = "stat_003_007: patients of a maison médicale" + (" (SYNTHETIC DATA)" if synthetic else "")
    names = ("year", "beneficiaries", "patients", "per 10 000", *SHORT, "s", "")
    rows = []
    for result in results:
        figures = result.figures
        shown = (f"{figures[0]:,}", f"{figures[1]:,}", f"{figures[2]:.1f}") if figures else ("", "", "")
        counts = in_short(result.checks).values()
        rows.append((str(result.year), *shown, *counts, f"{result.seconds:.1f}", result.outcome))
    console = _print_table(names, rows, right=names[:-1], wrapped=(), title=title, padding=(0, 1, 0, 0))
    console.print("ok, warn, fail, n/a: checks passed, warning, failed, not applicable. What they say is in the UI.")
    if skipped := sum(result.outcome == "up to date" for result in results):
        console.print(f"{skipped} of {len(results)} years were up to date and were skipped.")
    published = settings.published_dir
    console.print(
        f"Tables:  {published}/<year>/rates.csv, rates.parquet; all years in {published}/series\n"
        f"Page:    {published}/atlas/index.html\n"
        f"UI:      make ui   (then open http://127.0.0.1:3000)",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()

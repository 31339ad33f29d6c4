"""A country of a few municipalities, whose year is built in seconds, and processes of it that can be killed.

Each process is forked from one that has imported everything, so that a kill falls into the run and not into the imports.
"""

import csv
import json
import os
import resource
import select
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module, resources
from pathlib import Path
from unittest.mock import patch

import mm_pipeline.definitions
from mm_pipeline.checks import deliveries as delivery_checks
from mm_pipeline.cli import main
from mm_pipeline.demo import synthesize
from mm_pipeline.reference import refnis
from mm_pipeline.reference.areas import _shipped, areas
from mm_pipeline_tests.dagster_.server import environment_of, module
from mm_pipeline_tests.dagster_.world import WITH_CONTRIBUTIONS, World, contribute

YEAR = WITH_CONTRIBUTIONS
KEPT = {"21000": 3, "62000": 3, "44000": 3}
"""Arrondissements that are there, and how many municipalities each has."""


def settle(world: World) -> None:
    """Give the world its small country."""
    shipped = next(path for path in _shipped() if path.exists())
    with shipped.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    there = [row for row in rows if row["valid_from"] <= f"{YEAR}-12-31" <= row["valid_to"]]
    kept = [row for row in there if row["level"] == "arrondissement" and row["code"] in KEPT]
    for row in tuple(kept):
        below = [of for of in there if of["level"] == "municipality" and of["parent_code"] == row["code"]]
        kept += below[: KEPT[row["code"]]]
    provinces = {row["parent_code"] for row in kept}
    kept += [row for row in there if row["level"] == "province" and row["code"] in provinces]
    kept += [row for row in there if row["level"] == "region"]
    (world.root / "dagster").mkdir(parents=True)
    configuration = (resources.files("mm_pipeline") / "dagster.yaml").read_text(encoding="utf-8")
    (world.root / "dagster" / "dagster.yaml").write_text(configuration)
    world.settings.reference_dir.mkdir(parents=True, exist_ok=True)
    with (world.settings.reference_dir / "refnis.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, refnis.COLUMNS)
        writer.writeheader()
        writer.writerows(kept)


def deliver(world: World, seed: int) -> None:
    reference = world.settings.reference_dir
    synthesize(world.settings.raw_dir, [YEAR], scale=0.0005, seed=seed, areas=lambda year: areas(reference, year))
    contribute(world.raw(YEAR))


def build(world: World, limits: dict[str, int]) -> int:
    """``mm-pipeline backfill`` of the year in this process, for good; its exit code. The country has fewer municipalities
    than Belgium, which a check notices."""
    there = Counter(areas(world.settings.reference_dir, YEAR)["level"].to_pylist())
    os.environ.update(environment_of(world) | {"COLUMNS": "1000"})
    if (uid := limits.get("uid")) is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if (size := limits.get("file_size")) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    with patch.object(delivery_checks, "expected_counts", lambda _: there):
        try:
            main(["backfill", "--years", str(YEAR)])
        except SystemExit as ended:
            return int(ended.code or 0)
    return 1


class Nursery:
    """Makes processes that build a world; one at a time."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        assert process.stdin
        assert process.stdout
        self._orders, self._answers, self._log = process.stdin, process.stdout, log
        self._said_before = 0

    def start(self, world: World, **limits: int) -> int:
        """Id of a process that now builds the world, as the account ``uid``, with no file above ``file_size`` bytes."""
        self._said_before = self._log.stat().st_size
        print(json.dumps([str(world.root), limits]), file=self._orders, flush=True)
        return int(self._answers.readline())

    def wait(self) -> int:
        """How the process ended: 0, 1 (it failed), or minus the signal."""
        return os.waitstatus_to_exitcode(int(self._answers.readline()))

    def ends_within(self, seconds: float) -> bool:
        return bool(select.select([self._answers], [], [], seconds)[0])

    @property
    def said(self) -> str:
        """What the process wrote."""
        return self._log.read_bytes()[self._said_before :].decode()


@contextmanager
def nursery(log: Path) -> Iterator[Nursery]:
    environment = os.environ | {"PYTHONPATH": str(Path(mm_pipeline.__file__).parent.parent)}
    with (
        log.open("w") as said,
        subprocess.Popen(
            module(__name__), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
        ) as process,
    ):
        try:
            yield Nursery(process, log)
        finally:
            process.kill()


def _serve() -> None:
    """Fork a process for each world that is named. What the first one imported late is imported for those that follow."""
    for line in sys.stdin:
        known, (late, late_here) = set(sys.modules), os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(2, 1)
                root, limits = json.loads(line)
                code = build(World(Path(root)), limits)
                os.write(late_here, " ".join(sorted(sys.modules.keys() - known)).encode()[:60_000])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        status = os.waitpid(child, 0)[1]
        os.close(late_here)
        for name in os.read(late, 60_000).decode().split():
            if name not in sys.modules and not name.startswith("_"):
                with suppress(Exception):
                    import_module(name)
        os.close(late)
        print(status, flush=True)


if __name__ == "__main__":
    _serve()

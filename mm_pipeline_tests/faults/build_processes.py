"""Processes that build a year of the small country and can be killed.

Each is forked from one that has imported everything, so that a kill falls into the run and not into the imports.
"""

import json
import os
import resource
import select
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module, resources
from pathlib import Path

import mm_pipeline.definitions  # noqa: F401  so that no forked process has to
from mm_pipeline.cli import main
from mm_pipeline_tests.support.installation import WITH_CONTRIBUTIONS, Installation, deliver
from mm_pipeline_tests.support.paths import REPOSITORY
from mm_pipeline_tests.support.server import environment_of, module

YEAR = WITH_CONTRIBUTIONS
SCALE = 0.0005


def delivered(root: Path) -> Installation:
    """An installation of the small country, as the product sets one up, with the delivery of a year."""
    installation = Installation.of_small_country(root)
    (root / "dagster").mkdir(parents=True)
    configuration = (resources.files("mm_pipeline") / "dagster.yaml").read_text(encoding="utf-8")
    (root / "dagster" / "dagster.yaml").write_text(configuration)
    deliver(installation.settings, [YEAR], scale=SCALE)
    return installation


def build(installation: Installation, limits: dict[str, int]) -> int:
    """``mm-pipeline backfill`` of the year in this process, for good; its exit code."""
    os.environ.update(environment_of(installation) | {"COLUMNS": "1000"})
    if (uid := limits.get("uid")) is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if (size := limits.get("file_size")) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    with installation.with_all_areas():
        try:
            main(["backfill", "--years", str(YEAR)])
        except SystemExit as ended:
            return int(ended.code or 0)
    return 1


class BuildProcesses:
    """Makes processes that build an installation; one at a time."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        assert process.stdin
        assert process.stdout
        self._orders, self._answers, self._log = process.stdin, process.stdout, log

    def start(self, installation: Installation, **limits: int) -> int:
        """Id of a process that builds the installation, as the account ``uid``, with no file above ``file_size`` bytes."""
        os.truncate(self._log, 0)  # A process that may not write large files could not go on with a long log.
        print(json.dumps([str(installation.root), limits]), file=self._orders, flush=True)
        return int(self._answers.readline())

    def wait(self) -> int:
        """How the process ended: 0, 1 (it failed), or minus the signal."""
        return os.waitstatus_to_exitcode(int(self._answers.readline()))

    def ends_within(self, seconds: float) -> bool:
        return bool(select.select([self._answers], [], [], seconds)[0])

    @property
    def said(self) -> str:
        """What the process wrote."""
        return self._log.read_text(encoding="utf-8")


@contextmanager
def build_processes(log: Path) -> Iterator[BuildProcesses]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with (
        log.open("a") as said,
        subprocess.Popen(
            module(__name__), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
        ) as process,
    ):
        try:
            yield BuildProcesses(process, log)
        finally:
            process.kill()


def _serve() -> None:
    """Fork a process for each installation that is named. What one imported late is imported for those that follow."""
    for line in sys.stdin:
        known, (late, late_here) = set(sys.modules), os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(2, 1)
                root, limits = json.loads(line)
                code = build(Installation(Path(root)), limits)
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

"""A real PostgreSQL (Debian's packages) in a folder of its own, on a free port of this machine."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_pipeline_tests.support.server import free_port

_USER = "postgres"


def folder_of_programs() -> Path | None:
    """Where ``initdb`` is: on the path, or where Debian puts each version; the newest."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in versions), key=lambda path: int(path.parent.name), default=None)


def why_not() -> str:
    """Why no PostgreSQL can be started here; empty if one can."""
    if folder_of_programs() is None:
        return "needs PostgreSQL (apt-get install postgresql)"
    if missing := [name for name in ("psycopg2", "dagster_postgres") if importlib.util.find_spec(name) is None]:
        return f"needs the extra postgres: {', '.join(missing)} not installed"
    if os.geteuid() == 0 and _USER not in {user.pw_name for user in pwd.getpwall()}:
        return f"PostgreSQL refuses to run as root, and there is no user {_USER}"
    return ""


@dataclass(frozen=True)
class Postgres:
    port: int
    password: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """As ``deploy/dagster.yaml`` asks for it."""
        return {
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_DB": "dagster",
            "POSTGRES_USER": "dagster",
            "POSTGRES_PASSWORD": self.password,
        }

    def connect(self, database: str = "dagster") -> Any:
        import psycopg2

        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user="dagster", password=self.password, dbname=database, connect_timeout=5
        )

    def query(self, text: str) -> list[tuple[Any, ...]]:
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall()
        finally:
            connection.close()

    def dump(self) -> str:
        """The whole database as text."""
        command = [_program("pg_dump"), "--host=127.0.0.1", f"--port={self.port}", "--username=dagster", "dagster"]
        environment = os.environ | {"PGPASSWORD": self.password}
        return subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A new server with an empty database ``dagster``; ended and removed at the end, whatever happens."""
    other = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="mm_pipeline_postgres_"))
    try:
        if other:
            shutil.chown(folder, _USER, _USER)
        server = Postgres(free_port(), secrets.token_hex(16), folder / "log")
        password_file = folder / "password"
        password_file.write_text(server.password)
        password_file.chmod(0o644)  # the folder itself is closed to others
        data = str(folder / "data")
        options = ["--auth=scram-sha-256", f"--pwfile={password_file}", "--username=dagster", "--encoding=UTF8"]
        initdb = [_program("initdb"), "--pgdata", data, *options, "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **other)
        with server.log.open("wb") as log:
            settings = ["listen_addresses=127.0.0.1", f"port={server.port}", "unix_socket_directories=", "fsync=off"]
            command = [_program("postgres"), "-D", data, *(f"--{setting}" for setting in settings)]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True, **other)
        try:
            _wait_until_up(process, server)
            connection = server.connect("postgres")
            connection.autocommit = True
            connection.cursor().execute("CREATE DATABASE dagster")
            connection.close()
            yield server
        finally:
            _end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    folder = folder_of_programs()
    assert folder is not None
    return str(folder / name)


def _wait_until_up(process: subprocess.Popen[bytes], server: Postgres) -> None:
    import psycopg2

    end = time.monotonic() + 120
    while True:
        assert process.poll() is None, server.log.read_text()
        try:
            server.connect("postgres").close()
            return
        except psycopg2.OperationalError:
            assert time.monotonic() < end, server.log.read_text()
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    for signal_ in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, at once, outright
        if process.poll() is None:
            process.send_signal(signal_)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                continue

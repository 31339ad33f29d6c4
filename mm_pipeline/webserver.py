"""Dagster's web server, answering only to its own pages.

It has no sign-in, and takes a request from anywhere: a page of another site could start runs (a form sent to ``/graphql``),
and by a name that points to 127.0.0.1 read everything. So what is asked under a foreign name, comes from a page of another
site, or is not sent as JSON, is refused (``docs/decisions/0019-privacy.md``). ``python -m mm_pipeline.webserver`` takes the
arguments of ``dagster-webserver``; with ``dev`` first those of ``dagster dev``, and gives it this web server.
"""

import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mm_pipeline.errors import OperatorError
from mm_pipeline.files.locks import UI, hold_until_exit

if TYPE_CHECKING:
    from mm_pipeline.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class OwnPagesOnly:
    """ASGI middleware; ``names`` are those of the server."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = why_refused(scope, self._names) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(refusal + "\n", status_code=403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[:120]})


def why_refused(scope: Scope, names: frozenset[str]) -> str | None:
    """What is wrong with a request; None if it may pass."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if (urlsplit(f"//{host}").hostname or "") not in names:
        return "This server does not answer under that name. Names beside 127.0.0.1 and localhost: MM_UI_HOSTS."
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return "This server answers to its own pages only."
    if scope["type"] == "http" and scope["path"].rstrip("/").endswith("/graphql"):
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        is_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
        is_json = scope["method"] == "POST" and kind == "application/json"
        if not (is_page or is_json):
            return "Queries are sent with POST, as application/json."
    return None


def hold_place(settings: "Settings", host: str, port: int, *, alone: bool) -> None:
    """Raise :class:`OperatorError` where the UI cannot be served; else keep others away until this process ends.

    ``alone``: it comes with a daemon, of which there is one over the same data. The lock outlives ``exec``.
    """
    if alone:
        try:
            hold_until_exit(settings.lake_dir, UI)
        except BlockingIOError:
            raise OperatorError(
                f"another mm-pipeline ui serves {settings.data_dir} already; expected one, since two daemons would start "
                "runs twice. Use that one, or end it; --read-only can be started beside it."
            ) from None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            trial.bind((host, port))
        except OSError as error:
            raise OperatorError(
                f"nothing can be served on {host}, port {port} ({error.strerror or error}); expected a free port of this "
                "machine. End the program that uses it (another mm-pipeline ui?), or choose another one with --port."
            ) from None


def main() -> None:
    from dagster_webserver import app, cli

    from mm_pipeline.operations.dagster_workarounds import run_dagster_dev
    from mm_pipeline.settings import from_environment

    if sys.argv[1:2] == ["dev"]:
        del sys.argv[1]
        run_dagster_dev("mm_pipeline.webserver")
    names = LOOPBACK | set(from_environment().ui_hosts)

    class Webserver(app.DagsterWebserver):
        def build_middleware(self) -> list[Middleware]:
            return [Middleware(OwnPagesOnly, names=names), *super().build_middleware()]

    app.DagsterWebserver = Webserver  # type: ignore[misc]
    cli.main()


if __name__ == "__main__":
    main()

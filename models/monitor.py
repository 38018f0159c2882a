"""A small server for those who watch a process: /metrics, /healthz, /readyz.

In a thread of its own, on loopback unless told otherwise, and only where a port is set: it has no
keys, so it must not be where users are.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from models.errors import Misconfigured

logger = logging.getLogger(__name__)
_TEXT: Final = "text/plain; charset=utf-8"
Ready = Callable[[], bool]


@contextmanager
def monitored(host: str, port: int | None, ready: Ready) -> Iterator[int | None]:
    """Serve until the block ends, if there is a port; yields which one, as 0 takes any.

    Raises:
        Misconfigured: nobody can listen there.
    """
    if port is None:
        yield None
        return
    server = start_monitor(host, port, ready)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def start_monitor(host: str, port: int, ready: Ready) -> ThreadingHTTPServer:
    """Serve for as long as the process lives; raises Misconfigured."""

    class Handler(_Handler):
        is_ready = staticmethod(ready)

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise Misconfigured(
            f"Metrics cannot be served at {host}:{port}: {error.strerror}.",
            hint="Choose another port with STRATA_MONITOR__..._PORT.",
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="monitor", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    is_ready: Ready
    timeout = 5.0  # of a client that says nothing

    def do_GET(self) -> None:
        """Answer one of the three."""
        match self.path.partition("?")[0]:
            case "/metrics":
                self._send(200, CONTENT_TYPE_LATEST, generate_latest())
            case "/healthz":
                self._send(200, _TEXT, b"ok\n")
            case "/readyz":
                ready = self.is_ready()
                self._send(200 if ready else 503, _TEXT, b"ok\n" if ready else b"not ready\n")
            case _:
                self._send(404, _TEXT, b"not found\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: it is asked every few seconds."""

"""Does an HTTP server on loopback answer? Asked without ever waiting for it.

A socket bound ahead of its server accepts connections long before anyone reads them, so a plain
request would block. This one is sent once and looked at again on each call.
"""

import select
import socket
import time

from models.embedded.loopback import HOST

PATIENCE = 5.0  # seconds with one request before trying another
STATUS_LINE = 12  # bytes of "HTTP/1.1 200"


class HttpProbe:
    """Callable: True once `GET path` is answered with 200."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        self._asked: socket.socket | None = None
        self._since = 0.0

    def __call__(self) -> bool:
        """Ask, or look whether the answer is there."""
        try:
            return self._look()
        except OSError:
            self.close()
            return False

    def close(self) -> None:
        """Drop the pending request."""
        if self._asked is not None:
            self._asked.close()
            self._asked = None

    def _look(self) -> bool:
        asked = self._asked or self._ask()
        if not select.select([asked], [], [], 0)[0]:
            if time.monotonic() - self._since > PATIENCE:
                self.close()
            return False
        answer = asked.recv(STATUS_LINE)
        self.close()
        return answer.endswith(b" 200")

    def _ask(self) -> socket.socket:
        self._asked = socket.create_connection((HOST, self._port), timeout=1.0)
        self._asked.sendall(self._request.encode())
        self._since = time.monotonic()
        return self._asked

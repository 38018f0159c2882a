"""What our own HTTP fronts share: they accept on a socket that we bound, and keep, for them.

While a front restarts, its callers wait in the socket's queue and are served, instead of refused.
"""

import sys
from abc import abstractmethod
from socket import socket
from typing import ClassVar

from models.embedded.child import Command
from models.embedded.folder import DataFolder
from models.embedded.http_probe import HttpProbe
from models.embedded.local_server import LocalServer
from models.embedded.loopback import HOST, listening_socket, port_of


class Front(LocalServer):
    """A module of ours that serves on a given descriptor."""

    module: ClassVar[str]
    health: ClassVar[str]

    def __init__(self, folder: DataFolder) -> None:
        super().__init__(folder)
        self._socket: socket | None = None
        self._probe: HttpProbe | None = None

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Its secrets, which no command line may show."""

    @property
    def url(self) -> str:
        """Plain HTTP: it never leaves the machine."""
        return f"http://{HOST}:{self.port}"

    def choose_port(self) -> int:
        """The one already bound."""
        self._socket = self._socket or listening_socket()
        return port_of(self._socket)

    def command(self) -> Command:
        """`-P`: a package of the same name in the user's folder must not be taken for ours."""
        self._socket = self._socket or listening_socket()
        descriptor = self._socket.fileno()
        place = ["--fd", str(descriptor), "--data", str(self.folder.room(self.name))]
        return Command(
            [sys.executable, "-P", "-m", self.module, *place],
            environment=self.environment(),
            descriptors=(descriptor,),
        )

    def answers(self) -> bool:
        """Its health page."""
        self._probe = self._probe or HttpProbe(self.port, self.health)
        return self._probe()

    def launch(self) -> None:
        """Start the child; a request from before is void."""
        self._drop_probe()
        super().launch()

    def stop(self) -> None:
        """End the child; the socket stays for the next."""
        self._drop_probe()
        super().stop()

    def close(self) -> None:
        """Give up the port as well."""
        self.stop()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _drop_probe(self) -> None:
        if self._probe is not None:
            self._probe.close()
            self._probe = None

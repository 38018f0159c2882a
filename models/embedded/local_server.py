"""What all local servers share: a child on a port of its own, or on another when that is taken."""

from abc import ABC, abstractmethod
from typing import ClassVar

from models.embedded.child import Child, Command
from models.embedded.errors import StartFailed
from models.embedded.folder import DataFolder
from models.embedded.loopback import free_port

PORT_ATTEMPTS = 3


class LocalServer(ABC):
    """One server; its address never changes once it was up, so that a restart is not noticed."""

    name: ClassVar[str]
    busy_code: ClassVar[int | None] = None  # how the program ends when its port is taken
    start_timeout: ClassVar[float] = 30.0

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.port = 0
        self._child: Child | None = None
        self._attempts = 0
        self._settled = False

    @property
    @abstractmethod
    def url(self) -> str:
        """What clients are given."""

    @abstractmethod
    def command(self) -> Command:
        """How to run it on `self.port`."""

    @abstractmethod
    def answers(self) -> bool:
        """Ask it something only the real server can answer; never wait long."""

    def choose_port(self) -> int:
        """Another one on each call."""
        return free_port()

    @property
    def pid(self) -> int | None:
        """The number of the child, while there is one."""
        return self._child.pid if self._child else None

    @property
    def age(self) -> float:
        """Seconds since the last launch."""
        return self._child.age if self._child else 0.0

    def launch(self) -> None:
        """Start the child and return at once."""
        self.stop()
        if not self._settled:
            self.port = self.choose_port()
            self._attempts += 1
        self._child = Child(
            self.name,
            self.command(),
            folder=self.folder,
            probe=self.answers,
            start_timeout=self.start_timeout,
        )
        self._child.launch()

    def is_ready(self) -> bool:
        """Up and answering. Raises when it cannot come up; moves on when only the port is taken."""
        if self._child is None:
            raise StartFailed(f"{self.name} was not launched")
        try:
            ready = self._child.is_ready()
        except StartFailed:
            if not self._port_was_taken(self._child):
                self._child.stop()  # it may hang; dead, it can be noticed and started again
                raise
            self.launch()
            return False
        self._settled = self._settled or ready
        return ready

    def is_alive(self) -> bool:
        """The child runs."""
        return self._child is not None and self._child.is_alive()

    def has_died(self) -> bool:
        """It was launched and ended by itself."""
        return self._child is not None and not self._child.is_alive()

    def stop(self) -> None:
        """End the child and its family."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def close(self) -> None:
        """Stop, and let go of the address."""
        self.stop()

    def _port_was_taken(self, child: Child) -> bool:
        taken = child.exit_code is not None and child.exit_code == self.busy_code
        return taken and not self._settled and self._attempts < PORT_ATTEMPTS

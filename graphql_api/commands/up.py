"""`strata up`: local servers, Strata's own processes, then the demo; serves until it is stopped.

The main thread starts and looks after children, since a child dies with the thread that started it;
the demo, a client like any other, has a thread of its own.
"""

import asyncio
import importlib
import json
import os
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from socket import socket
from typing import Final

from graphql_api.commands.addresses import addresses
from graphql_api.commands.background import in_background
from graphql_api.commands.indexes import prepare_stores
from graphql_api.commands.interruption import Interrupted, interruptions
from graphql_api.commands.listening import bind_sockets
from graphql_api.commands.processes import make_processes
from graphql_api.commands.screen import Screen
from graphql_api.commands.tending import Tending
from graphql_api.commands.terminal import show_failure
from graphql_api.demo.facts import DemoFacts, read_facts, write_private
from graphql_api.demo.run import run_demo
from models.embedded.loopback import HOST, port_of
from models.embedded.servers import EmbeddedServers
from models.errors import StrataError
from models.settings import ENDPOINTS_FILE, Settings

LOOK_SECONDS: Final = 0.2
ADMIN_KEY: Final = "STRATA_ADMIN_KEY"


@dataclass(frozen=True)
class UpOptions:
    """What the command line says."""

    host: str
    port: int
    demo: bool


def run_up(settings: Settings, options: UpOptions, screen: Screen) -> None:
    """Start everything, serve, and stop in reverse order when asked to."""
    try:
        with interruptions(), ExitStack() as ending:
            try:
                _Up(settings, options, screen, ending).run()
            except Interrupted:
                screen.say("stopping")
                raise
    except Interrupted:
        screen.say(f"stopped; the data stay in {settings.data}")


class _Up:
    """One run; whatever it opens goes onto `ending`, to be closed in reverse."""

    def __init__(
        self, settings: Settings, options: UpOptions, screen: Screen, ending: ExitStack
    ) -> None:
        self._settings = settings
        self._options = options
        self._screen = screen
        self._ending = ending

    def run(self) -> None:
        """Only an exception ends it."""
        servers = self._own_servers()
        sockets = self._bind()
        self._screen.title(version("strata"), self._settings.data)
        self._name_given()
        self._start_stores(servers, port_of(sockets[0]))
        tending = self._start_processes(servers, sockets)
        self._serve(tending, f"http://{HOST}:{port_of(sockets[0])}")

    def _own_servers(self) -> EmbeddedServers:
        """Take the folder, before anything else: a second owner must not get further."""
        given = self._settings
        servers = EmbeddedServers(
            given.data,
            mongo_url=given.mongo.url,
            redis_url=given.redis.url,
            qdrant_url=given.qdrant.url,
            s3_url=given.s3.endpoint_url,
            ray_address=given.ray.address,
            on_progress=self._screen.up,
        )
        self._ending.callback(servers.stop)
        servers.folder.acquire()
        return servers

    def _name_given(self) -> None:
        """What is somebody else's is neither started nor stopped."""
        for name, (setting, address) in addresses(self._settings).items():
            if address is not None:
                self._screen.given(name, setting)

    def _bind(self) -> list[socket]:
        sockets = bind_sockets(self._options.host, self._options.port)
        for one in sockets:
            self._ending.callback(one.close)
        return sockets

    def _start_stores(self, servers: EmbeddedServers, port: int) -> None:
        # The clients' libraries take seconds to import, and the servers seconds to come up.
        threading.Thread(target=importlib.import_module, args=("models.stores",)).start()
        servers.launch_ray()
        found = servers.start_stores().environment()
        found["STRATA_API__PORT"] = str(port)
        if self._settings.admin_key is not None:
            found[ADMIN_KEY] = self._settings.admin_key.get_secret_value()
        os.environ.update(found)  # for our children as well
        self._leave_endpoints(found)
        began = time.monotonic()
        asyncio.run(prepare_stores(Settings(data=self._settings.data)))
        self._screen.up("indexes", time.monotonic() - began)

    def _leave_endpoints(self, found: dict[str, str]) -> None:
        """Let `strata demo` and the others find us."""
        path = self._settings.data / ENDPOINTS_FILE
        write_private(path, json.dumps(found, indent=2))
        self._ending.callback(path.unlink, missing_ok=True)

    def _start_processes(self, servers: EmbeddedServers, sockets: list[socket]) -> Tending:
        processes = make_processes(
            servers.folder,
            sockets,
            environment={"STRATA_DATA": str(self._settings.data)},
            report=self._screen.up,
            ending=self._ending,
        )
        tending = Tending(servers, processes, say=self._screen.note)
        self._ending.callback(tending.stop)
        servers.start_ray()
        tending.start()
        return tending

    def _serve(self, tending: Tending, address: str) -> None:
        demo = in_background(self._demo(address)) if self._options.demo else nullcontext(None)
        with demo as running:
            announced = False
            while True:
                tending.look()
                if not announced and tending.everything_runs() and _is_done(running):
                    self._announce(running, address)
                    announced = True
                time.sleep(LOOK_SECONDS)

    async def _demo(self, address: str) -> DemoFacts:
        return await run_demo(
            f"{address}/graphql",
            admin_key=os.environ[ADMIN_KEY],
            data=self._settings.data,
            console=self._screen.console,
        )

    def _announce(self, demo: "Future[DemoFacts] | None", address: str) -> None:
        data = self._settings.data
        try:
            facts = demo.result() if demo else read_facts(data)
        except StrataError as error:
            show_failure(error)
            self._screen.note("the demo did not complete; serving all the same (strata demo)")
        else:
            self._screen.ready(address, data, facts)


def _is_done(demo: "Future[DemoFacts] | None") -> bool:
    return demo is None or demo.done()

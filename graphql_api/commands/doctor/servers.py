"""The five backing services: reachable where an address is set, startable where none is."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Final
from urllib.parse import urlsplit

import httpx
from pymongo.errors import OperationFailure

from graphql_api.commands.addresses import addresses
from graphql_api.commands.doctor.findings import Check, Finding, Level
from models.artifacts import open_artifacts
from models.bus import Bus
from models.database import Database, connect
from models.embedded.folder import DataFolder
from models.embedded.mongo import OPEN_TRANSACTION_SECONDS, Mongo
from models.embedded.qdrant import Qdrant
from models.embedded.ray import Ray, driver_environment
from models.embedded.redis import Redis
from models.embedded.s3 import S3
from models.errors import Misconfigured
from models.settings import ENDPOINTS_FILE, Settings

_LIFETIME: Final = "transactionLifetimeLimitSeconds"
ANSWER_SECONDS: Final = 30.0  # Ray needs most of it: a driver, a worker process and a task


def server_checks(settings: Settings) -> list[Check]:
    """List what to ask of the servers."""
    folder = DataFolder(Path(gettempdir()))  # named only: nothing is started or written
    pair = {"access_key": "", "secret_key": ""}
    servers = (
        _Server("mongo", _mongo, lambda: Mongo(folder)),
        _Server("redis", _redis, lambda: Redis(folder)),
        _Server("qdrant", _qdrant, lambda: Qdrant(folder, api_key="")),
        _Server("s3", _s3, lambda: S3(folder, **pair, durable=True)),
        _Server("ray", _ray, lambda: Ray(folder, token="").close()),
    )
    return [_check(server, settings) for server in servers]


@dataclass(frozen=True)
class _Doubt:
    """One that works, but not as well as it could."""

    found: str
    remedy: str


@dataclass(frozen=True)
class _Server:
    name: str
    ask: Callable[[Settings], Awaitable["str | _Doubt"]]  # returns what to say of one that works
    find: Callable[[], object]  # raises when there is no program to start


def _check(server: _Server, settings: Settings) -> Check:
    setting, address = addresses(settings)[server.name]
    if address is None:
        return Check(server.name, lambda: _startable(server), f"Set {setting}.")
    remedy = f"Check {setting}, now {_shown(address)}."
    if (settings.data / ENDPOINTS_FILE).exists():
        remedy += " An earlier `strata up` left its addresses: start it again."
    return Check(server.name, lambda: _working(server, settings, address), remedy)


def _startable(server: _Server) -> Finding:
    server.find()
    return Finding(server.name, Level.OK, "does not run; `strata up` can start it")


async def _working(server: _Server, settings: Settings, address: str) -> Finding:
    async with asyncio.timeout(ANSWER_SECONDS):
        found = await server.ask(settings)
    if isinstance(found, _Doubt):
        return Finding(server.name, Level.WARNING, found.found, found.remedy)
    return Finding(server.name, Level.OK, f"{found} at {_shown(address)}")


def _shown(address: str) -> str:
    """Without the password that a URL may hold."""
    return urlsplit(address if "//" in address else f"//{address}").netloc.rpartition("@")[2]


async def _mongo(settings: Settings) -> str | _Doubt:
    database = await connect(settings.mongo)
    try:
        built = await database.client.admin.command("buildInfo")
        limit = await _open_transaction_seconds(database)
    finally:
        await database.close()
    if limit is not None and limit > settings.engine.lease_seconds:
        return _Doubt(
            f"works, but keeps a transaction for {limit} s after its process was killed; "
            f"blocks have leases of {settings.engine.lease_seconds:.0f} s",
            f"Run mongod with --setParameter {_LIFETIME}={OPEN_TRANSACTION_SECONDS}.",
        )
    return f"MongoDB {built['version']}, a replica set,"


async def _open_transaction_seconds(database: Database) -> int | None:
    """Return how long an abandoned transaction blocks others; None where we may not know."""
    try:
        answer = await database.client.admin.command({"getParameter": 1, _LIFETIME: 1})
    except OperationFailure:
        return None
    return int(answer[_LIFETIME])


async def _redis(settings: Settings) -> str:
    bus = Bus(settings.redis)
    try:
        server = await bus.redis.info("server")
    finally:
        await bus.close()
    version = server.get("valkey_version") or server["redis_version"]
    return f"{server.get('server_name', 'redis')} {version}"


async def _qdrant(settings: Settings) -> str:
    key = settings.qdrant.api_key
    headers = {"api-key": key.get_secret_value()} if key else {}
    async with httpx.AsyncClient(headers=headers, timeout=ANSWER_SECONDS) as client:
        answer = await client.get(f"{settings.qdrant.url}/collections")
    if answer.status_code != 200:
        raise Misconfigured(
            f"Qdrant answers {answer.status_code}.",
            hint="Check STRATA_QDRANT__API_KEY." if answer.status_code in (401, 403) else "",
        )
    return f"Qdrant with {len(answer.json()['result']['collections'])} collections"


async def _s3(settings: Settings) -> str:
    """Prove that what exists is never overwritten: committed artifacts depend on it."""
    async with open_artifacts(settings.s3) as artifacts:
        await artifacts.prepare()
    return f"S3 bucket {settings.s3.bucket}, with conditional writes,"


async def _ray(settings: Settings) -> str:
    """A driver of its own, in a process that can be ended: one here would wait for minutes."""
    address, token = settings.ray.address or "", settings.ray.token
    host, _, port = address.rpartition(":")
    await asyncio.to_thread(lambda: socket.create_connection((host, int(port)), 3.0).close())
    probe = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        *("-m", "models.embedded.ray_probe", address),
        env={**os.environ, **(driver_environment(token.get_secret_value()) if token else {})},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        code = await probe.wait()
    finally:
        if probe.returncode is None:
            probe.kill()
            await probe.wait()
    if code:
        raise Misconfigured(
            "Ray refuses a driver.", hint="Check STRATA_RAY__TOKEN, and that the versions agree."
        )
    return "Ray ran a task"

"""What can befall a running product, each fault one line of the table at the bottom.

A fault strikes whatever carries the name at that moment; a victim that is just not there (an
extractor's process between two lives) is no strike, and the driver draws another.
"""

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import psutil

from tests.chaos.product import Product

Strike = Callable[[Product, float], Awaitable[bool]]


@dataclass(frozen=True)
class Fault:
    """A name for reports, and the deed. `strike(product, lease_seconds)` tells whether it hit."""

    name: str
    strike: Strike


def _find(product: Product, words: str) -> list[psutil.Process]:
    found = []
    for process in product.family():
        try:
            if words in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def _send(processes: list[psutil.Process], number: signal.Signals) -> bool:
    hit = False
    for process in processes:
        try:
            process.send_signal(number)
            hit = True
        except psutil.NoSuchProcess:
            continue
    return hit


def _kill(words: str) -> Strike:
    async def strike(product: Product, _: float) -> bool:
        return _send(_find(product, words), signal.SIGKILL)

    return strike


def _kill_many(*groups: str) -> Strike:
    async def strike(product: Product, _: float) -> bool:
        victims = [process for words in groups for process in _find(product, words)]
        return _send(victims, signal.SIGKILL)

    return strike


def _pause(words: str) -> Strike:
    """Stop for one and a half leases: whoever holds a lease loses it, and comes back unaware."""

    async def strike(product: Product, lease_seconds: float) -> bool:
        victims = _find(product, words)
        hit = _send(victims, signal.SIGSTOP)
        await asyncio.sleep(1.5 * lease_seconds if hit else 0)
        _send(victims, signal.SIGCONT)
        return hit

    return strike


async def _wipe_redis(product: Product, _: float) -> bool:
    """Kill Redis and throw away all that it kept."""
    hit = _send(_find(product, "valkey-server"), signal.SIGKILL)
    for file in (product.folder / "redis").glob("*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
    return hit


FAULTS: Final = (
    Fault("worker killed", _kill("graphql_api.cli worker")),
    Fault("engine killed", _kill("graphql_api.cli engine")),
    Fault("API killed", _kill("graphql_api.cli api")),
    Fault("conductor killed", _kill("ray::Conductor")),
    Fault("extractor process killed", _kill("ray::ExtractorProcess")),
    Fault("raylet killed", _kill("raylet/raylet")),
    Fault("Ray head killed", _kill_many("gcs_server", "raylet/raylet")),
    Fault("Redis killed", _kill("valkey-server")),
    Fault("Redis killed, its data lost", _wipe_redis),
    Fault("mongod killed", _kill("bin/mongod")),
    Fault("S3 store killed", _kill("models.embedded.s3_front")),
    Fault("Qdrant killed", _kill("models.embedded.qdrant_front")),
    Fault("worker stopped for 1.5 leases", _pause("graphql_api.cli worker")),
    Fault("conductor stopped for 1.5 leases", _pause("ray::Conductor")),
    Fault("extractor process stopped for 1.5 leases", _pause("ray::ExtractorProcess")),
    Fault(
        "worker, engine and conductor killed",
        _kill_many("graphql_api.cli worker", "graphql_api.cli engine", "ray::Conductor"),
    ),
)

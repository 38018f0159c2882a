"""The abuse set: each refused in under 100 ms while a good client is answered in under a second.

Times are of whole requests on a fresh connection. The good client asks all along; its slowest
answer also shows how long the event loop stood still.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.load import Load
from benchmarks.namespace import open_namespace
from benchmarks.server import Server
from benchmarks.stack import Product, running_product
from benchmarks.subscribers import PROTOCOL

LIMIT_SECONDS: Final = 0.1
GOOD_LIMIT_SECONDS: Final = 1.0
ROUNDS: Final = 5
_GOOD: Final = b'{"query":"{ namespace { id } }"}'
_NESTED: Final = (
    "batches(first: 100) { edges { node { objects(first: 100) { edges { node { id } } } } } }"
)
_CHAIN: Final = " ".join(
    [
        *(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(60)),
        "fragment f60 on Query { __typename } { ...f0 }",
    ]
)
DOCUMENTS: Final = {
    "60 doubling fragments": _CHAIN,
    "10,000 aliases": "{" + " ".join(f"a{n}:__typename" for n in range(10_000)) + "}",
    "10,000 repeated fields": "{" + "__typename " * 10_000 + "}",
    "900 repeated fields": "{" + "__typename " * 900 + "}",
    "a comment of 1 MB": "#" + "x" * 1_000_000 + "\n{ __typename }",
    "1 MB of commas": "{ __typename }" + "," * 1_000_000,
    "a huge page": "{ batches(first: 1000000000) { edges { node { id } } } }",
    "nested pages": "{ " + _NESTED + " }",
    "deep lists": "{ bucket(id: " + "[" * 3000 + "]" * 3000 + ") { id } }",
}
_DEEP: Final = b'{"query": "{a}", "variables": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}"


def run() -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        slowest, good = asyncio.run(_measure(product))
    worst = max(slowest, key=lambda name: slowest[name])
    good_p99 = sorted(good)[int(len(good) * 0.99)]
    for name, seconds in sorted(slowest.items(), key=lambda item: -item[1]):
        print(f"{seconds * 1000:7.1f} ms  {name}")
    return {
        "benchmark": "abuse",
        "value": round(slowest[worst], 4),
        "unit": "s",
        "limit": LIMIT_SECONDS,
        "ratio": round(slowest[worst] / LIMIT_SECONDS, 3),
        "worst": worst,
        "refused": len(slowest),
        "good_p99": round(good_p99, 4),
        "good_limit": GOOD_LIMIT_SECONDS,
        "within": is_within(slowest[worst], good_p99),
        "good_requests": len(good),
        "rounds": ROUNDS,
        "cores": os.cpu_count(),
    }


def is_within(slowest: float, good_p99: float) -> bool:
    """Tell whether the slowest refusal and the good client kept to their limits."""
    return slowest < LIMIT_SECONDS and good_p99 < GOOD_LIMIT_SECONDS


async def _measure(product: Product) -> tuple[dict[str, float], list[float]]:
    """Return the median seconds of each refusal, and the good client's."""
    namespace = await open_namespace(product, "abuse")
    good: list[float] = []
    async with Server(product.data) as server:
        asking = asyncio.create_task(_ask(server.base_url, namespace.key, good))
        slowest = {
            name: statistics.median([await _time(case) for _ in range(ROUNDS)])
            for name, case in _cases(server.base_url, namespace.key).items()
        }
        asking.cancel()
    return slowest, good


def _cases(base_url: str, key: str) -> dict[str, Callable[[], Awaitable[None]]]:
    bodies = {name: json.dumps({"query": text}).encode() for name, text in DOCUMENTS.items()}
    bodies["deep JSON"] = _DEEP
    cases: dict[str, Callable[[], Awaitable[None]]] = {
        name: partial(_refused, base_url, key, body) for name, body in bodies.items()
    }
    cases["a body of 20 MB"] = lambda: _refused(base_url, key, b"", length=20_000_000)
    cases["deep JSON by websocket"] = lambda: _closed(base_url, "[" * 5000 + "]" * 5000, 4400)
    cases["a frame of 1 MB"] = lambda: _closed(base_url, " " * 1_000_000, 1009)
    return cases


async def _time(case: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    async with asyncio.timeout(30):
        await case()
    return time.perf_counter() - started


async def _refused(base_url: str, key: str, body: bytes, *, length: int | None = None) -> None:
    """Send a body, or say only how long one would be; raise unless it is answered with errors."""
    fields = (
        ("content-type", "application/json"),
        ("accept", "application/graphql-response+json"),
        ("authorization", f"Bearer {key}"),
    )
    request = Load(f"{base_url}/graphql", body, fields, method="POST", length=length).request()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base_url.rsplit(":", 1)[1]))
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        text = await reader.read(65536)
    finally:
        writer.close()
    if b'"errors"' not in text:
        raise RuntimeError((head + text).decode())


async def _closed(base_url: str, text: str, code: int) -> None:
    """Send a frame; raise unless the socket closes with the code."""
    address = f"{base_url.replace('http', 'ws', 1)}/graphql"
    async with connect(address, subprotocols=[PROTOCOL]) as socket:
        try:
            await socket.send(text)
            await socket.recv()
        except ConnectionClosed as closed:
            if closed.rcvd is None or closed.rcvd.code != code:
                raise


async def _ask(base_url: str, key: str, took: list[float]) -> None:
    """Be a good client: one small query after another."""
    fields = (("content-type", "application/json"), ("authorization", f"Bearer {key}"))
    load = Load(f"{base_url}/graphql", _GOOD, fields)
    while True:
        started = time.perf_counter()
        await load.once()
        took.append(time.perf_counter() - started)
        await asyncio.sleep(0.005)

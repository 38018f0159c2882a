"""Stores that refuse, lie or break: tiny real HTTP servers in their place."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from models.artifacts import ArtifactStore, open_artifacts
from models.errors import InvalidInput, Misconfigured, StoreUnavailable
from models.settings import S3Settings
from tests.models.http_server import OK, Answer, Asked, refused, serve

BODY = b"x" * 1_000
SHA256 = hashlib.sha256(BODY).hexdigest()
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n" + BODY[:500]
CALLS: dict[str, Callable[[ArtifactStore, Path], Awaitable[object]]] = {
    "create": lambda store, path: store.create("key", path, sha256=SHA256),
    "read": lambda store, path: store.read("key", sha256=SHA256),
    "read_source": lambda store, path: store.read_source("s3://inputs/key", limit=9_999),
    "delete_keys": lambda store, path: store.delete_keys(["key"]),
    "prepare": lambda store, path: store.prepare(),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file to upload."""
    (tmp_path / "file").write_bytes(BODY)
    return tmp_path / "file"


def at(url: str) -> S3Settings:
    return S3Settings(
        endpoint_url=url,
        access_key="id",
        secret_key=SecretStr("secret"),
        source_buckets=("inputs",),
    )


@asynccontextmanager
async def store_that(answer: Answer) -> AsyncIterator[tuple[ArtifactStore, Asked]]:
    async with serve(answer) as (url, asked), open_artifacts(at(url)) as store:
        yield store, asked


async def test_a_store_that_ignores_create_only_writes_is_refused() -> None:
    async with store_that(lambda line, asked: OK) as (store, asked):
        with pytest.raises(Misconfigured, match="If-None-Match") as refusal:
            await store.prepare()

    assert "conditional writes" in refusal.value.hint
    puts = [line for line in asked.lines if line.startswith("PUT /strata/.strata-probe/")]
    assert len(puts) == 2
    assert any(line.startswith("DELETE /strata/.strata-probe/") for line in asked.lines)


async def test_a_store_that_knows_no_conditions_at_all_is_refused() -> None:
    def answer(line: str, asked: Asked) -> bytes:
        return refused(501, "NotImplemented") if "if-none-match" in asked.headers else OK

    async with store_that(answer) as (store, _):
        with pytest.raises(Misconfigured, match="If-None-Match"):
            await store.prepare()


async def test_a_store_that_keeps_the_condition_is_taken() -> None:
    def answer(line: str, asked: Asked) -> bytes:
        again = line.startswith("PUT") and asked.lines.count(line) > 1
        return refused(412, "PreconditionFailed") if again else OK

    async with store_that(answer) as (store, asked):
        await store.prepare()

    assert asked.lines[0].startswith("HEAD")


async def test_s21_a_race_of_two_writers_is_tried_again(path: Path) -> None:
    def answer(line: str, asked: Asked) -> bytes:
        return refused(409, "ConditionalRequestConflict") if len(asked.lines) < 3 else OK

    async with store_that(answer) as (store, asked):
        await store.create("key", path, sha256=SHA256)

    assert asked.lines == ["PUT /strata/key"] * 3
    assert asked.headers["if-none-match"] == "*"


async def test_a_race_that_never_ends_is_a_failure_that_may_pass(path: Path) -> None:
    always = refused(409, "ConditionalRequestConflict")
    async with store_that(lambda line, asked: always) as (store, asked):
        with pytest.raises(StoreUnavailable):
            await store.create("key", path, sha256=SHA256)

    assert len(asked.lines) == 3


async def failures(store: ArtifactStore, path: Path) -> dict[str, object]:
    """Make every call at once, since each waits before it tries again; return what came of it."""
    calls = [call(store, path) for call in CALLS.values()]
    return dict(zip(CALLS, await asyncio.gather(*calls, return_exceptions=True), strict=True))


async def test_a_store_that_nobody_serves_is_unavailable(path: Path) -> None:
    async with open_artifacts(at("http://127.0.0.1:1")) as store:
        found = await failures(store, path)

    assert {name for name, one in found.items() if isinstance(one, StoreUnavailable)} == {*CALLS}


async def test_a_store_that_fails_is_unavailable(path: Path) -> None:
    async with store_that(lambda line, asked: refused(503, "SlowDown")) as (store, asked):
        found = await failures(store, path)

    assert {name for name, one in found.items() if isinstance(one, StoreUnavailable)} == {*CALLS}
    assert max(Counter(asked.lines).values()) <= 3  # then it is for the block to try again


@pytest.mark.parametrize("name", ["read", "read_source"])
async def test_s21_an_answer_cut_short_is_unavailable_and_never_returned(
    name: str, path: Path
) -> None:
    async with store_that(lambda line, asked: CUT) as (store, _):
        with pytest.raises(StoreUnavailable):
            await CALLS[name](store, path)


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidObjectState"])
async def test_a_source_that_may_not_be_read_is_the_fault_of_its_row(code: str) -> None:
    """Without the right to list, S3 says 403 of an object that is not there."""
    async with store_that(lambda line, asked: refused(403, code)) as (store, _):
        with pytest.raises(InvalidInput, match=code):
            await store.read_source("s3://inputs/key", limit=9)
        with pytest.raises(StoreUnavailable):
            await store.read("key", sha256=SHA256)


async def test_a_key_that_vanishes_after_the_condition_failed(path: Path) -> None:
    def answer(line: str, asked: Asked) -> bytes:
        return refused(412, "PreconditionFailed") if line.startswith("PUT") else refused(404, "404")

    async with store_that(answer) as (store, _):
        with pytest.raises(StoreUnavailable):
            await store.create("key", path, sha256=SHA256)


async def test_keys_that_could_not_be_deleted_are_not_passed_over() -> None:
    body = b"<DeleteResult><Error><Key>key</Key><Code>InternalError</Code></Error></DeleteResult>"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with store_that(lambda line, asked: head + body) as (store, _):
        with pytest.raises(StoreUnavailable, match="InternalError"):
            await store.delete_keys(["key"])


async def test_objects_may_never_point_at_the_artifacts() -> None:
    settings = at("http://127.0.0.1:1").model_copy(update={"source_buckets": ("inputs", "strata")})

    with pytest.raises(Misconfigured, match="every namespace"):
        async with open_artifacts(settings):
            pass

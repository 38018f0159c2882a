"""Imports of files: what becomes of lines, what a kill costs, and what a file may not do to us."""

import asyncio
import gzip
import hashlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.bucket import Bucket, UniqueKey, WritePolicy
from models.errors import Conflict, InvalidInput, NotFound
from models.fields import FieldSpec, FieldType
from models.line_error import LineError
from models.object import Object
from models.scope import Scope
from models.stored import now
from models.stores import Stores
from models.task import Task
from models.upload import Upload
from tests.factories import make_bucket, make_object, store
from tests.fixtures.stores import NamespaceOfTest
from tests.traps import trapped
from workers import intake
from workers.deletions import delete_bucket
from workers.import_lines import Line, Place, parse_line, read_lines, unpack
from workers.imports import begin_import, cancel_import
from workers.intake import ErrorPolicy
from workers.tasks import run_task
from workers.uploads import UploadDraft, confirm_upload, request_upload, sweep_uploads

LINES = 5000


class Killed(BaseException):
    """Ends a process as kill -9 does: nothing handles it."""


@pytest.fixture
async def bucket(namespace: NamespaceOfTest) -> Bucket:
    """A bucket whose objects are known by their numbers."""
    made = make_bucket(
        namespace.id,
        fields=[FieldSpec(name="number", type=FieldType.INTEGER, required=True)],
        unique_key=UniqueKey(fields=["number"], default_policy=WritePolicy.UPSERT),
    )
    await store(made)
    return made


def scope_of(bucket: Bucket) -> Scope:
    return Scope(bucket.namespace_id)


def line_of(number: object, **values: Any) -> bytes:
    return json.dumps({"metadata": {"number": number}, **values}).encode()


def with_settings(stores: Stores, **api: Any) -> Stores:
    changed = stores.settings.api.model_copy(update=api)
    worker = stores.settings.worker.model_copy(update={"lease_seconds": 0.001})
    settings = stores.settings.model_copy(update={"api": changed, "worker": worker})
    return replace(stores, settings=settings)


async def send(
    stores: Stores, bucket: Bucket, body: bytes, *, media_type: str = "application/x-ndjson"
) -> Upload:
    draft = UploadDraft("rows.jsonl", media_type, len(body), hashlib.sha256(body).hexdigest())
    link = await request_upload(stores, scope_of(bucket), bucket.id, draft)
    async with httpx.AsyncClient(timeout=30) as client:
        assert (await client.put(link.url, content=body, headers=link.headers)).status_code == 200
    return await confirm_upload(stores, scope_of(bucket), link.upload.id)


async def begin(stores: Stores, bucket: Bucket, upload: Upload, **values: Any) -> Task:
    usual: dict[str, Any] = {"policy": None, "error_policy": ErrorPolicy.REJECT_FAILED_ROWS}
    return await begin_import(stores, scope_of(bucket), bucket.id, upload.id, **{**usual, **values})


async def ended(stores: Stores, task: Task) -> Task:
    await run_task(stores, task.id)
    found = await Scope(task.namespace_id).require(Task, task.id)
    assert found.finished_at is not None, found.error_message
    return found


async def imported(stores: Stores, bucket: Bucket, body: bytes, **values: Any) -> Task:
    return await ended(
        stores, await begin(stores, bucket, await send(stores, bucket, body), **values)
    )


async def errors_of(task: Task) -> list[LineError]:
    return await Scope(task.namespace_id).all(LineError, {"task_id": task.id})


async def numbers(bucket: Bucket) -> list[int]:
    found = await scope_of(bucket).all(Object, {"bucket_id": bucket.id})
    return sorted(one.metadata["number"] for one in found)


def file_with_bad_lines() -> tuple[bytes, dict[int, str], list[int]]:
    """Return a file, the codes of its bad lines, and the numbers of its good ones."""
    lines, bad, good = [], {}, []
    for place in range(1, LINES + 1):
        if place % 500 == 7:
            lines.append(b'{"metadata": {"number": ')
            bad[place] = "INVALID_INPUT"
        elif place % 1000 == 9:
            lines.append(line_of("seven", clientRef=f"row {place}"))
            bad[place] = "INVALID_INPUT"
        elif place % 1000 == 11:
            lines.append(b"  ")
        else:
            lines.append(line_of(place, tags=["new"]))
            good.append(place)
    return b"\n".join(lines), bad, good


async def test_thousands_of_lines_become_objects_and_the_bad_ones_are_named(
    stores: Stores, bucket: Bucket
) -> None:
    body, bad, good = file_with_bad_lines()

    task = await imported(stores, bucket, body)

    assert task.status == "COMPLETED_WITH_ERRORS"
    assert task.counts == {"created": len(good), "rejected": len(bad)}
    assert (task.progress.done, task.progress.total) == (len(body), len(body))
    assert await numbers(bucket) == good
    errors = await errors_of(task)
    assert {one.line: one.code for one in errors} == bad
    by_line = {one.line: one for one in errors}
    assert (by_line[9].path, by_line[9].client_ref) == (["number"], "row 9")
    assert (by_line[7].path, by_line[7].client_ref) == ([], None)


async def test_an_import_that_is_killed_goes_on_at_its_place(
    stores: Stores, bucket: Bucket, settings_file: Path
) -> None:
    """The worker is a process of its own, ended by SIGKILL after its third commit."""
    upload = await send(stores, bucket, b"\n".join(line_of(n) for n in range(LINES)))
    task = await begin(stores, bucket, upload, policy=WritePolicy.INSERT)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.workers.import_worker", str(settings_file), task.id, "3"
    )
    async with asyncio.timeout(50):
        while await scope_of(bucket).count(Object, {"bucket_id": bucket.id}) < 1500:
            assert worker.returncode is None, "it ended before it could be killed"
            await asyncio.sleep(0.005)
    worker.send_signal(signal.SIGKILL)
    assert await worker.wait() == -signal.SIGKILL
    left = await scope_of(bucket).require(Task, task.id)
    await Task.get_pymongo_collection().update_one(
        {"_id": task.id}, {"$set": {"lease_until": now()}}
    )

    done = await ended(stores, task)

    assert (left.status, left.counts) == ("PROCESSING", {"created": 1500})
    assert (done.status, done.epoch) == ("COMPLETED", 2)
    assert done.counts == {"created": LINES}  # INSERT would have refused a line that came twice
    assert await numbers(bucket) == list(range(LINES))


@pytest.fixture
def settings_file(stores: Stores, tmp_path: Path) -> Path:
    """The settings of the run, for another process."""
    path = tmp_path / "settings.json"
    s3, mongo = stores.settings.s3, stores.settings.mongo
    qdrant, redis = stores.settings.qdrant, stores.settings.redis
    key = s3.secret_key.get_secret_value() if s3.secret_key else ""
    qdrant_key = qdrant.api_key.get_secret_value() if qdrant.api_key else ""
    values = {
        "mongo": mongo.model_dump(),
        "redis": redis.model_dump(),
        "s3": {**s3.model_dump(mode="json"), "secret_key": key},
        "qdrant": {**qdrant.model_dump(mode="json"), "api_key": qdrant_key},
    }
    path.write_text(json.dumps(values))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/gzip"])
async def test_each_commit_is_a_place_to_go_on_from(
    stores: Stores, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, media_type: str
) -> None:
    """Killed right before and right after each of its commits."""
    hasty = with_settings(stores)
    body = b"\n".join(line_of(n) for n in range(1200))
    packed = gzip.compress(body) if media_type == "application/gzip" else body
    upload = await send(stores, bucket, packed, media_type=media_type)
    task = await begin(stores, bucket, upload, policy=WritePolicy.INSERT)
    real, calls = intake.write_objects, Counter[str]()

    async def dying(*arguments: Any, **values: Any) -> Any:
        calls["begun"] += 1
        if calls["begun"] in (1, 3, 5):
            raise Killed
        await real(*arguments, **values)
        if calls["begun"] in (2, 4):
            raise Killed

    monkeypatch.setattr(intake, "write_objects", dying)
    for _ in range(5):
        with pytest.raises(Killed):
            await run_task(hasty, task.id)
        await asyncio.sleep(0.002)

    done = await ended(hasty, task)

    assert (done.status, done.counts) == ("COMPLETED", {"created": 1200})
    assert await numbers(bucket) == list(range(1200))


async def test_a_worker_that_was_taken_for_dead_writes_nothing(
    stores: Stores, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await begin(stores, bucket, await send(stores, bucket, line_of(1)))
    real = intake.write_objects

    async def overtaken(*arguments: Any, **values: Any) -> Any:
        await Task.get_pymongo_collection().update_one({"_id": task.id}, {"$inc": {"epoch": 1}})
        return await real(*arguments, **values)

    monkeypatch.setattr(intake, "write_objects", overtaken)

    await run_task(stores, task.id)

    assert await numbers(bucket) == []
    assert (await scope_of(bucket).require(Task, task.id)).counts == {}


async def test_lines_take_effect_in_order(stores: Stores, bucket: Bucket) -> None:
    await store(make_object(bucket, key="[1]", metadata={"number": 1}, blobs=[]))
    body = b"\n".join(
        [line_of(1), line_of(2), line_of(2, tags=["later"]), line_of(2, tags=["later"])]
    )

    task = await imported(stores, bucket, body)
    inserting = await imported(
        stores, bucket, line_of(3) + b"\n" + line_of(3), policy=WritePolicy.INSERT
    )
    updating = await imported(stores, bucket, line_of(4), policy=WritePolicy.UPDATE)

    assert task.counts == {"created": 1, "updated": 1, "unchanged": 2}
    [changed] = await scope_of(bucket).all(Object, {"key": "[2]"})
    assert changed.tags == ["later"]
    assert inserting.counts == {"created": 1, "rejected": 1}
    assert [(one.line, one.code) for one in await errors_of(inserting)] == [(2, "NAME_TAKEN")]
    assert (updating.status, updating.counts) == ("FAILED", {"rejected": 1})
    assert [one.code for one in await errors_of(updating)] == ["NOT_FOUND"]


async def test_reject_all_writes_nothing_of_a_file_with_a_bad_line(
    stores: Stores, bucket: Bucket
) -> None:
    await store(make_object(bucket, key="[700]", metadata={"number": 700}, blobs=[]))
    body = b"\n".join(line_of(n) for n in range(1, 701))
    strict = {"error_policy": ErrorPolicy.REJECT_ALL, "policy": WritePolicy.INSERT}

    refused = await imported(stores, bucket, body, **strict)
    taken = await imported(stores, bucket, body, error_policy=ErrorPolicy.REJECT_ALL)

    assert (refused.status, refused.counts) == ("FAILED", {"created": 699, "rejected": 1})
    assert refused.error_message == "1 of 700 lines are wrong; nothing was written."
    assert [one.line for one in await errors_of(refused)] == [700]
    assert (taken.status, taken.counts) == ("COMPLETED", {"created": 699, "unchanged": 1})
    assert await numbers(bucket) == list(range(1, 701))


async def test_bad_optional_fields_are_left_out_where_that_is_asked(
    stores: Stores, bucket: Bucket
) -> None:
    blob = {"property": "file", "url": "ftp://nowhere"}

    task = await imported(
        stores, bucket, line_of(1, blobs=[blob]), error_policy=ErrorPolicy.IGNORE_FAILED_FIELDS
    )

    assert (task.status, task.counts) == ("COMPLETED", {"created": 1})
    [error] = await errors_of(task)
    assert (error.line, error.rejected, error.path) == (1, False, ["blobs", "0", "url"])


async def test_an_upload_that_two_lines_name_goes_to_the_first(
    stores: Stores, bucket: Bucket
) -> None:
    picture = await send(stores, bucket, b"A picture.", media_type="image/png")
    blob = {"property": "file", "uploadId": picture.id}

    body = b"\n".join([line_of(1, blobs=[blob]), line_of(2, blobs=[blob]), line_of(3)])
    task = await imported(stores, bucket, body)

    assert task.counts == {"created": 2, "rejected": 1}
    assert [(one.line, one.code) for one in await errors_of(task)] == [(2, "CONFLICT")]
    assert await numbers(bucket) == [1, 3]


@pytest.mark.parametrize(
    ("body", "media_type", "limit", "said"),
    [
        (line_of(1) * 2, "application/x-ndjson", {"max_import_bytes": 10}, "more than 10 bytes"),
        (b"\n" * 50, "application/x-ndjson", {"max_import_lines": 40}, "more than 40 lines"),
        (gzip.compress(bytes(2**24)), "application/gzip", {"max_import_bytes": 2**23}, "more than"),
        (gzip.compress(line_of(1))[:-4], "application/gzip", {}, "cut short"),
        (line_of(1), "application/gzip", {}, "no gzip file"),
        (gzip.compress(line_of(1)), "application/x-ndjson", {}, "media type application/gzip"),
    ],
    ids=["bytes", "lines", "bomb", "cut", "not packed", "packed"],
)
async def test_s27_a_file_past_its_limits_is_refused(
    stores: Stores, bucket: Bucket, body: bytes, media_type: str, limit: dict[str, int], said: str
) -> None:
    small = with_settings(stores, **limit)
    upload = await send(stores, bucket, body, media_type=media_type)

    task = await ended(small, await begin(small, bucket, upload))

    assert task.status == "FAILED"
    assert said in (task.error_message or "")
    assert (await scope_of(bucket).require(Upload, upload.id)).discard_at is not None


async def test_s28_a_parquet_file_is_lines_that_are_none(
    stores: Stores, bucket: Bucket, tmp_path: Path
) -> None:
    """Nobody's Parquet is parsed: it can be sent under the name of what is."""
    canary = tmp_path / "canary"

    task = await imported(stores, bucket, trapped("arrow.py_extension_type", canary))

    assert task.status == "FAILED"
    assert set(task.counts) == {"rejected"}
    assert await numbers(bucket) == []
    assert not canary.exists()


async def test_s27_a_line_that_is_too_long_is_rejected_alone(
    stores: Stores, bucket: Bucket
) -> None:
    small = with_settings(stores, max_line_bytes=1000, max_line_errors=1)
    long = line_of(2, tags=["x" * 2_500_000])  # more than a piece of what S3 sends

    body = b"\n".join([line_of(1), long, line_of(3), b"[]"])
    task = await ended(small, await begin(small, bucket, await send(stores, bucket, body)))

    assert task.counts == {"created": 2, "rejected": 2}
    errors = await errors_of(task)
    assert [(one.line, one.message) for one in errors] == [
        (2, "The line has more than 1000 bytes.")
    ]
    assert await numbers(bucket) == [1, 3]


async def test_a_canceled_import_keeps_what_it_wrote_and_writes_no_more(
    stores: Stores, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await send(stores, bucket, b"\n".join(line_of(n) for n in range(1200)))
    task = await begin(stores, bucket, upload)
    real, calls = intake.write_objects, Counter[str]()

    async def canceled_meanwhile(*arguments: Any, **values: Any) -> Any:
        calls["begun"] += 1
        if calls["begun"] == 2:
            await cancel_import(stores, scope_of(bucket), task.id)
        return await real(*arguments, **values)

    monkeypatch.setattr(intake, "write_objects", canceled_meanwhile)

    done = await ended(stores, task)
    again = await cancel_import(stores, scope_of(bucket), task.id)

    assert (done.status, done.counts) == ("CANCELED", {"created": 500})
    assert (again.status, again.sequence) == ("CANCELED", done.sequence)
    assert len(await numbers(bucket)) == 500


async def test_a_deletion_is_not_canceled(stores: Stores, bucket: Bucket) -> None:
    task = await delete_bucket(stores, scope_of(bucket), bucket.id)

    with pytest.raises(Conflict, match="cannot be canceled"):
        await cancel_import(stores, scope_of(bucket), task.id)


async def test_an_upload_is_imported_once_and_swept_afterwards(
    stores: Stores, bucket: Bucket
) -> None:
    upload = await send(stores, bucket, line_of(1))
    task = await begin(stores, bucket, upload)

    with pytest.raises(Conflict, match="another import"):
        await begin(stores, bucket, upload)
    await sweep_uploads(stores)
    assert await scope_of(bucket).find(Upload, upload.id) is not None
    await ended(stores, task)
    await Upload.get_pymongo_collection().update_one(
        {"_id": upload.id, "discard_at": {"$ne": None}}, {"$set": {"discard_at": task.created_at}}
    )
    await sweep_uploads(stores)
    assert await scope_of(bucket).find(Upload, upload.id) is None


async def test_what_is_foreign_or_no_upload_of_the_bucket_is_refused(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    other, stranger = make_bucket(namespace.id), Scope("ns_0000000000000000000000000A")
    await store(other)
    upload = await send(stores, bucket, line_of(1))
    policies: dict[str, Any] = {"policy": None, "error_policy": ErrorPolicy.REJECT_FAILED_ROWS}

    with pytest.raises(InvalidInput, match="no confirmed upload"):
        await begin(stores, other, upload)
    with pytest.raises(NotFound):
        await begin_import(stores, stranger, bucket.id, upload.id, **policies)
    task = await begin(stores, bucket, upload)
    with pytest.raises(NotFound):
        await cancel_import(stores, stranger, task.id)


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_lines_are_cut_alike_however_the_bytes_come(stores: Stores, size: int) -> None:
    body = b"\xef\xbb\xbf{}\r\n\n  \n[1]\n\n2"
    places = [(1, 7), (4, 15), (6, 17)]

    for start, expected in [(Place(), places), (Place(1, 7), places[1:])]:
        pieces = in_pieces(body[start.offset :], size)
        found = [
            line async for some in read_lines(pieces, start, stores.settings.api) for line in some
        ]
        assert [(line.after.line, line.after.offset) for line in found] == expected


@pytest.mark.parametrize("size", [40, 1000, 100_000])
async def test_what_is_unpacked_is_the_same_however_the_bytes_come(size: int) -> None:
    body = os.urandom(5000) + bytes(3_000_000)
    packed = gzip.compress(body[:7000]) + gzip.compress(body[7000:]) + bytes(3)

    for skip in (0, 6999, 7001):
        pieces = [piece async for piece in unpack(in_pieces(packed, size), skip=skip)]
        assert b"".join(pieces) == body[skip:]
        assert max(len(piece) for piece in pieces) <= 1024 * 1024


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"[]", ()),
        (b'{"colour": 1}', ("colour",)),
        (b'{"key": 5}', ("key",)),
        (b'{"blobs": [{"property": "a", "text": 1}]}', ("blobs", "0", "text")),
        (b'{"metadata": ' + b"[" * 2000 + b"]" * 2000 + b"}", ()),
        (b"\xff", ()),
    ],
)
def test_a_line_that_is_no_object_says_where(text: bytes, path: tuple[str, ...]) -> None:
    parsed = parse_line(Line(text, Place(1, len(text))), longest=10_000)

    assert parsed.error is not None
    assert (parsed.draft, parsed.error.path) == (None, path)

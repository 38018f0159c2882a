"""The stories of what comes in: files for objects, files of lines; and what must be true then."""

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx

from models.artifacts import upload_key
from models.events import Event, EventType
from models.failpoints import Failpoint as F
from models.idempotency import Claim
from models.line_error import LineError
from models.object import Blob, Object
from models.states import FINAL
from models.stored import LONG_AGO
from models.task import Task
from models.upload import Upload, UploadStatus
from tests.failpoints.life import Life
from tests.failpoints.scene import Scene, ask
from tests.failpoints.story import Story
from tests.failpoints.verdicts import Judge, told, unlike
from workers.imports import begin_import
from workers.intake import ErrorPolicy, write_objects
from workers.object_rows import ObjectDraft
from workers.uploads import UploadDraft, confirm_upload, recall_link, request_upload

_ROWS: Final = 501  # one more than is written at once
_LINES: Final = b"\n".join(json.dumps({"metadata": {"line": row}}).encode() for row in range(_ROWS))
_THERE: Final = 412  # the answer to bytes that are there already
_PICTURE: Final = b"The bytes of a picture."


async def request(life: Life, scene: Scene, name: str, body: bytes) -> str:
    """Ask where a file may be sent to, under a key; return the upload's id."""
    sha256 = hashlib.sha256(body).hexdigest()
    draft = UploadDraft(name, "application/octet-stream", len(body), sha256)

    async def work(claim: Claim) -> str:
        link = await request_upload(life.stores, scene.scope, scene.bucket.id, draft, claim=claim)
        return link.upload.id

    async def recall(answer: dict[str, Any]) -> str:
        return str(answer["upload_id"])

    return str(await ask(life, scene, f"requestUpload {name}", work, recall))


async def send(life: Life, scene: Scene, name: str, body: bytes) -> str:
    """Send a file as a client does who does not know how far it came; return the upload's id."""
    upload_id = await request(life, scene, name, body)
    known = await scene.scope.find(Upload, upload_id)
    if known is not None and known.status is UploadStatus.PENDING:
        link = await recall_link(life.stores, scene.scope, upload_id)
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.put(link.url, content=body, headers=link.headers)
        assert answer.is_success or answer.status_code == _THERE
        await confirm_upload(life.stores, scene.scope, upload_id)
    return upload_id


async def upload(life: Life, scene: Scene) -> None:
    """A file that an object refers to, and one that is never sent and swept away."""
    await request(life, scene, "forgotten", _LINES)
    upload_id = await send(life, scene, "picture", _PICTURE)
    draft = ObjectDraft(None, {}, [Blob(property="picture", upload_id=upload_id)])

    async def write(claim: Claim) -> None:
        await write_objects(
            life.stores, scene.scope, scene.bucket.id, [draft],
            policy=None, error_policy=ErrorPolicy.REJECT_FAILED_ROWS, claim=claim,
        )  # fmt: skip

    async def recall(answer: dict[str, Any]) -> None:
        assert answer["rows"]

    await ask(life, scene, "createObjects", write, recall)
    await Upload.get_pymongo_collection().update_many(
        {"namespace_id": scene.scope.namespace_id, "status": str(UploadStatus.PENDING)},
        {"$set": {"discard_at": LONG_AGO}},
    )
    await life.work_until(lambda: _swept(scene, left=1))


async def _swept(scene: Scene, *, left: int) -> bool:
    return await scene.scope.count(Upload) == left and await scene.all_told()


def importing(error_policy: ErrorPolicy) -> Callable[[Life, Scene], Awaitable[None]]:
    """Return the story of an import, until its file is swept away."""

    async def tell(life: Life, scene: Scene) -> None:
        upload_id = await send(life, scene, "lines", _LINES)
        await ask(
            life,
            scene,
            "importObjects",
            lambda claim: begin_import(
                life.stores, scene.scope, scene.bucket.id, upload_id,
                policy=None, error_policy=error_policy, claim=claim,
            ),
            lambda answer: scene.scope.require(Task, answer["task_id"]),
        )  # fmt: skip

        async def done() -> bool:
            tasks = await scene.scope.all(Task, {"type": "OBJECTS_IMPORT"})
            return all(task.status in FINAL for task in tasks) and await _swept(scene, left=0)

        await life.work_until(done)

    return tell


async def attached(judge: Judge, scene: Scene) -> list[str]:
    """One object has the file, and nothing is left of the other."""
    uploads = await scene.scope.all(Upload)
    files = [
        (item.id, blob.upload_id)
        for item in await scene.scope.all(Object)
        for blob in item.blobs
        if blob.upload_id is not None
    ]
    keys = await scene.stores.artifacts.list_keys(scene.scope.namespace_id, limit=10)
    wanted = [upload_key(one.namespace_id, one.id) for one in uploads]
    return [
        *unlike("files of objects", files, [(one.object_id, one.id) for one in uploads]),
        *unlike("files", len(files), 1),
        *unlike("to be discarded", [one.discard_at for one in uploads], [None]),
        *unlike("keys", keys, wanted),
        *unlike("told of", await _created(scene), Counter({files[0][0]: 1})),
        *await told(scene),
    ]


async def imported(judge: Judge, scene: Scene) -> list[str]:
    """Each line is one object, was told of once, and the file is gone."""
    tasks = await scene.scope.all(Task, {"type": "OBJECTS_IMPORT"})
    found = {
        one.id: one.metadata["line"]
        for one in await scene.scope.all(Object)
        if "line" in one.metadata
    }
    keys = await scene.stores.artifacts.list_keys(scene.scope.namespace_id, limit=10)
    return [
        *unlike("tasks", [(one.status, one.error_message) for one in tasks], [("COMPLETED", None)]),
        *unlike("counts", [one.counts for one in tasks], [{"created": _ROWS}]),
        *unlike("lines", sorted(found.values()), list(range(_ROWS))),
        *unlike("errors", await scene.scope.count(LineError), 0),
        *unlike("keys", keys, []),
        *unlike("told of", await _created(scene), Counter(found.keys())),
        *await told(scene),
    ]


async def _created(scene: Scene) -> Counter[str]:
    """Return how often each object was told of as new."""
    rows = Event.get_pymongo_collection().find(
        {"namespace_id": scene.scope.namespace_id, "type": str(EventType.OBJECT_CREATED)}
    )
    return Counter([one async for row in rows for one in row["data"]["objectIds"]])


INTAKE: Final = (
    Story("upload", upload,
          (F.REQUEST_CLAIMED, F.REQUEST_SETTLED, F.UPLOAD_CONFIRMED, F.OBJECTS_WRITTEN,
           F.LOG_PLACED, F.UPLOAD_DISCARDED, F.UPLOAD_EMPTIED)),
    Story("import", importing(ErrorPolicy.REJECT_FAILED_ROWS),
          (F.UPLOAD_CONFIRMED, F.TASK_ACCEPTED, F.REQUEST_SETTLED, F.TASK_CLAIMED,
           F.OBJECTS_WRITTEN, F.LINES_SETTLED, F.TASK_DONE, F.UPLOAD_DISCARDED,
           F.UPLOAD_EMPTIED)),
    Story("checked", importing(ErrorPolicy.REJECT_ALL), (F.LINES_CHECKED,),
          (F.LINES_SETTLED, F.TASK_MARKED, F.OBJECTS_WRITTEN, F.TASK_DONE)),
)  # fmt: skip
INTAKE_VERDICTS: Final[Mapping[str, Callable[[Judge, Scene], Awaitable[list[str]]]]] = {
    "upload": attached,
    "import": imported,
    "checked": imported,
}

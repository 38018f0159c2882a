"""What happened to objects, written in the transaction in which it happened."""

from collections.abc import Sequence
from typing import Final

from models.bucket import Bucket
from models.database import Session
from models.events import EventType, SubjectType, append_notice
from models.object import Object
from workers.uploads import release_uploads

_NOTICE_IDS: Final = 500  # of one notice: as a webhook's body it stays below 20 kB


async def note_objects(
    session: Session, bucket: Bucket, kind: EventType, object_ids: Sequence[str]
) -> None:
    """Write what happened to objects of one call: few notices, for intake is not to wait for them.

    The caller announces the log after the commit.
    """
    for start in range(0, len(object_ids), _NOTICE_IDS):
        ids = list(object_ids[start : start + _NOTICE_IDS])
        await append_notice(
            session,
            bucket.namespace_id,
            kind,
            (SubjectType.BUCKET, bucket.id),
            data={"objectIds": ids, "objectCount": len(ids)},
            bucket_id=bucket.id,
        )


async def remove_objects(bucket: Bucket, object_ids: Sequence[str], session: Session) -> int:
    """Delete objects of a bucket with their notice; return how many there were.

    The caller announces the log after the commit.
    """
    match = {"namespace_id": bucket.namespace_id, "bucket_id": bucket.id}
    result = await Object.get_pymongo_collection().delete_many(
        {**match, "_id": {"$in": list(object_ids)}}, session=session
    )
    if result.deleted_count:
        await release_uploads(session, object_ids)
        await note_objects(session, bucket, EventType.OBJECT_DELETED, object_ids)
    return result.deleted_count

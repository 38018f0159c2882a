"""What a namespace may submit; a refusal names the limit, what was asked for and what to do."""

from engine.manifest import Manifest
from models.database import Session
from models.errors import LimitExceeded
from models.quotas import count_live, pass_gate
from models.settings import QuotaSettings

_FEWER = "Submit the objects in several batches."


async def require_room(
    quotas: QuotaSettings, namespace_id: str, session: Session | None = None
) -> None:
    """Refuse a batch beyond the live ones that a namespace may have; raises LimitExceeded.

    Certain in the transaction that has just made the batch live; before it, it spares the work.
    """
    if quotas.live_batches is None:
        return
    if session is not None:
        await pass_gate(session, namespace_id, "live")
    others = await count_live(namespace_id, session) - (session is not None)
    if others >= quotas.live_batches:
        raise LimitExceeded(
            f"The namespace has {others} live batches; at most {quotas.live_batches}.",
            path=("batchId",),
            hint="Wait until one ends, or cancel one; then send it again.",
        )


def require_rows(quotas: QuotaSettings, rows: int) -> None:
    """Refuse more rows of the first tier than a batch may have; raises LimitExceeded."""
    if quotas.batch_rows is not None and rows > quotas.batch_rows:
        raise LimitExceeded(
            f"The batch has {rows} rows, an object for each collection that reads it; "
            f"at most {quotas.batch_rows}.",
            path=("batchId",),
            hint=_FEWER,
        )


def require_bytes(quotas: QuotaSettings, manifest: Manifest) -> None:
    """Refuse a manifest that is larger than a batch's may be; raises LimitExceeded."""
    size = sum(artifact.bytes for artifact in manifest.artifacts)
    if quotas.batch_bytes is not None and size > quotas.batch_bytes:
        raise LimitExceeded(
            f"The batch's rows take {size} bytes; at most {quotas.batch_bytes}.",
            path=("batchId",),
            hint=_FEWER,
        )

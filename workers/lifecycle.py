"""What may still be built upon: not what is being deleted."""

from models.bucket import Bucket
from models.collection import Collection
from models.errors import Conflict
from models.states import Lifecycle


def require_active(item: Bucket | Collection, *, path: tuple[str, ...]) -> None:
    """Refuse to build on what is being deleted."""
    if item.lifecycle is not Lifecycle.ACTIVE:
        raise Conflict(
            f"{type(item).__name__} {item.name!r} is being deleted.",
            path=path,
            hint=f"Its task is {item.deletion_task_id}.",
        )

"""Types of the audit log."""

from datetime import datetime
from typing import Any

import strawberry

from graphql_api.node import Node
from graphql_api.scalars import DateTime
from models.audit import AuditEntry as AuditEntryModel


@strawberry.type(description="One mutation that somebody asked for. Kept for 365 days.")
class AuditEntry(Node):
    """An entry as shown."""

    action: str = strawberry.field(description="Name of the mutation.")
    key_id: strawberry.ID = strawberry.field(
        description="The key that was used; `admin` for the deployment's own."
    )
    address: str = strawberry.field(description="Network address that the request came from.")
    request_id: str = strawberry.field(description="Finds the request in the server's log.")
    subject_ids: list[strawberry.ID] = strawberry.field(
        description="What it was about: at most ten ids that the input or the answer named."
    )
    outcome: str | None = strawberry.field(
        description="`DONE`, or the code of what went wrong; null when it runs or was cut off."
    )
    at: DateTime = strawberry.field(description="When it was asked for.")


def show_entry(model: AuditEntryModel) -> AuditEntry:
    """Return an entry as shown."""
    return AuditEntry(
        id=strawberry.ID(model.id),
        action=model.action,
        key_id=strawberry.ID(model.key_id),
        address=model.address,
        request_id=model.request_id,
        subject_ids=[strawberry.ID(one) for one in model.subject_ids],
        outcome=model.outcome,
        at=DateTime(model.created_at),
    )


@strawberry.input(description="Which entries of the audit log.")
class AuditFilter:
    """Filter of the audit log."""

    action: str | None = strawberry.field(default=None, description="Of this mutation.")
    key_id: strawberry.ID | None = strawberry.field(default=None, description="By this key.")
    subject_id: strawberry.ID | None = strawberry.field(default=None, description="About this.")
    since: DateTime | None = strawberry.field(default=None, description="From this moment on.")
    until: DateTime | None = strawberry.field(default=None, description="Before this moment.")

    def match(self) -> dict[str, Any]:
        """Return the store's form."""
        wanted = {"action": self.action, "key_id": self.key_id, "subject_ids": self.subject_id}
        match: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        bounds: dict[str, datetime] = {}
        if self.since is not None:
            bounds["$gte"] = self.since
        if self.until is not None:
            bounds["$lt"] = self.until
        return {**match, **({"created_at": bounds} if bounds else {})}

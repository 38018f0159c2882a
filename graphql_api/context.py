"""What a resolver may reach: made anew for each operation, with loaders of its own."""

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import strawberry

from engine.queries import QueryEncoder
from graphql_api.loaders import Loaders
from graphql_api.looks import SharedLooks
from graphql_api.operations.charge import Charge
from graphql_api.pagination import Cursors
from graphql_api.permissions import Authenticator, Principal, require_scope
from models.errors import NotFound
from models.scope import Scope
from models.stores import Stores
from workers.caches import Answers, Form, Recalled

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """What every operation of the process shares."""

    stores: Stores
    authenticator: Authenticator
    encoder: QueryEncoder
    cursors: Cursors
    looks: SharedLooks = field(default_factory=SharedLooks)


@dataclass
class Context:
    """One operation's view of the world."""

    services: Services
    principal: Principal | None = None
    authorization: str | None = None
    address: str = ""  # of the client; who has no key is known by it
    last_event_id: str | None = None  # cursor by which an event stream resumes
    bypass_cache: bool = False  # as its caller wishes
    traceparent: str | None = None  # of the client's own trace
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    recalled: list[dict[str, Any]] = field(default_factory=list)  # `extensions.cache.fields`
    charge: Charge | None = None  # once its points are taken
    _loaders: Loaders | None = None
    _validated: float = field(default_factory=time.monotonic)

    @property
    def stores(self) -> Stores:
        """The process's stores."""
        return self.services.stores

    @property
    def scope(self) -> Scope:
        """The caller's namespace; raises Unauthenticated or Forbidden."""
        return require_scope(self.principal)

    def scope_of(self, namespace_id: str | None) -> Scope:
        """Return the caller's namespace, or the one that the operator names.

        Raises:
            NotFound: a key names another namespace than its own.
            Forbidden: the operator names none.
        """
        principal = self.principal
        if namespace_id is None or principal is None:
            return self.scope
        if principal.namespace_id not in (None, namespace_id):
            raise NotFound(f"No namespace {namespace_id!r} here.", path=("namespaceId",))
        return Scope(namespace_id)

    @property
    def loaders(self) -> Loaders:
        """This operation's loaders."""
        if self._loaders is None:
            self._loaders = Loaders(self.scope, self.stores.settings)
        return self._loaders

    @property
    def answers(self) -> Answers:
        """What was answered before in the caller's namespace."""
        return Answers(self.stores.answers, self.scope, self.bypass_cache)

    def note(self, info: "Info", recalled: Recalled[T]) -> T:
        """Return an answer; what the cache had to do with it goes into the extensions."""
        age = recalled.age_seconds
        noted: dict[str, Any] = {"path": info.path.as_list(), "status": recalled.status.value}
        if recalled.signature is not None:
            noted["signature"] = recalled.signature
        if age is not None:
            noted["ageSeconds"] = round(age, 3)
        self.recalled.append(noted)
        return recalled.value

    async def recall(
        self,
        info: "Info",
        form: Form[T],
        question: Any,
        collection_id: str,
        compute: Callable[[], Awaitable[T]],
    ) -> T:
        """Answer a question about one collection, from the cache if it can be."""
        answers, read = self.answers, None
        if not answers.bypass:
            read = await answers.collections([collection_id])
        return self.note(info, await answers.recall(form, question, read, compute))

    def resume_after(self, cursor: str | None) -> str | None:
        """Return where a subscription begins: its argument, else what the transport says."""
        return self.last_event_id if cursor is None else cursor

    def forget(self) -> None:
        """Drop what the loaders remember: the next event must see the present."""
        self._loaders = None

    def fresh(self) -> "Context":
        """Return a context for another operation, or another event, of the same caller."""
        return Context(self.services, self.principal, self.authorization, self.address)

    async def revalidate(self) -> None:
        """Check the key again; raises Unauthenticated when it opens nothing any more."""
        self.principal = await self.services.authenticator.principal(
            self.authorization, self.address
        )
        self._validated = time.monotonic()

    async def revalidate_when_due(self) -> None:
        """Check the key of a long-lived operation again, at the configured interval."""
        if time.monotonic() - self._validated > self.stores.settings.api.revalidate_seconds:
            await self.revalidate()


Info = strawberry.Info[Context, None]

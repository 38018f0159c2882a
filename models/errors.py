"""What can go wrong, as types. A `code` is stable: the same in GraphQL, logs and webhooks.

StrataError
├── Transient            try again, after `retry_after` seconds
│   ├── StoreUnavailable
│   ├── RayUnavailable
│   ├── AddressUnavailable
│   ├── IdempotencyInProgress
│   ├── PoolUnavailable  where an extractor runs; no row's fault
│   ├── TooManyAttempts
│   └── ExtractorDied
│       └── ExtractorHung
└── Permanent            do not
    ├── NotFound         absent and foreign read the same
    ├── Unauthenticated
    ├── Forbidden
    ├── InvalidInput     names the field (`path`) and what to do
    │   ├── InvalidCursor
    │   ├── AddressRefused
    │   ├── InvalidMapping
    │   ├── InvalidParameters
    │   ├── UnknownExtractor
    │   └── ExtractorUnavailable
    ├── Conflict
    │   ├── NameTaken
    │   ├── IllegalTransition
    │   ├── IdempotencyKeyReused
    │   ├── InUse        something live depends on it
    │   ├── StaleBlock   another epoch owns it now: stop, write nothing more
    │   └── StaleTask    the same, of a task
    ├── LimitExceeded    names the limit, what was asked for, and what to do
    ├── EmptyBatch
    ├── NothingToRun
    ├── CollectionCycle
    ├── ArtifactCorrupt
    └── Misconfigured
"""

from collections.abc import Sequence
from enum import StrEnum


class ErrorCategory(StrEnum):
    """The kind of a failure, which decides whether trying again can help."""

    DEPENDENCY = "DEPENDENCY"
    AUTHENTICATION = "AUTHENTICATION"
    VALIDATION = "VALIDATION"
    RUNTIME = "RUNTIME"
    NETWORK = "NETWORK"
    RESOURCE = "RESOURCE"
    TIMEOUT = "TIMEOUT"
    RATE_LIMIT = "RATE_LIMIT"


class StrataError(Exception):
    """Any failure that Strata itself names."""

    code = "INTERNAL"

    def __init__(self, message: str, *, path: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip between processes with path and hint."""
        return (_rebuild, (type(self), self.message, self.path, self.hint))


def _rebuild(
    kind: type[StrataError], message: str, path: tuple[str, ...], hint: str
) -> StrataError:
    return kind(message, path=path, hint=hint)


class Transient(StrataError):
    """It may work later; nothing was lost."""

    code = "UNAVAILABLE"
    retry_after = 5.0


class StoreUnavailable(Transient):
    """MongoDB, Redis, S3 or Qdrant does not answer."""

    code = "STORE_UNAVAILABLE"


class RayUnavailable(Transient):
    """The Ray cluster cannot be reached."""

    code = "RAY_UNAVAILABLE"


class TooManyAttempts(Transient):
    """An address failed to authenticate too often; `retry_after` says how long it waits."""

    code = "TOO_MANY_ATTEMPTS"


class IdempotencyInProgress(Transient):
    """The first request with this idempotency key has not ended yet."""

    code = "IDEMPOTENCY_IN_PROGRESS"


class AddressUnavailable(Transient):
    """A server at an address of the user's does not answer as it should."""

    code = "ADDRESS_UNAVAILABLE"


class PoolUnavailable(Transient):
    """An extractor could not be started, or the node that it ran on is gone."""

    code = "POOL_UNAVAILABLE"


class ExtractorDied(Transient):
    """The process that ran an extractor ended under it."""

    code = "EXTRACTOR_DIED"


class ExtractorHung(ExtractorDied):
    """The process that ran an extractor made no progress and was ended."""

    code = "EXTRACTOR_HUNG"


class Permanent(StrataError):
    """Trying again changes nothing."""

    code = "PERMANENT"


class NotFound(Permanent):
    """No such thing in this namespace."""

    code = "NOT_FOUND"


class Unauthenticated(Permanent):
    """No valid key came with the request."""

    code = "UNAUTHENTICATED"


class Forbidden(Permanent):
    """The key is valid but may not do this."""

    code = "FORBIDDEN"


class InvalidInput(Permanent):
    """A value of the caller's is wrong; `path` says which."""

    code = "INVALID_INPUT"


class InvalidCursor(InvalidInput):
    """A cursor that this server did not issue for this list."""

    code = "INVALID_CURSOR"


class AddressRefused(InvalidInput):
    """An address that Strata does not call; which rule it broke is said, what is there is not."""

    code = "ADDRESS_REFUSED"


class InvalidMapping(InvalidInput):
    """An input mapping or passthrough names a field that does not exist."""

    code = "INVALID_MAPPING"


class InvalidParameters(InvalidInput):
    """Extractor parameters outside their schema."""

    code = "INVALID_PARAMETERS"


class UnknownExtractor(InvalidInput):
    """No extractor of that name and version in the catalogue."""

    code = "UNKNOWN_EXTRACTOR"


class ExtractorUnavailable(InvalidInput):
    """The extractor needs a package or a net that is not installed; the hint names it."""

    code = "EXTRACTOR_UNAVAILABLE"


class Conflict(Permanent):
    """The present state does not allow it."""

    code = "CONFLICT"


class NameTaken(Conflict):
    """The name is in use in this namespace."""

    code = "NAME_TAKEN"


class IllegalTransition(Conflict):
    """The state table has no such step from where the batch is."""

    code = "ILLEGAL_TRANSITION"


class IdempotencyKeyReused(Conflict):
    """The idempotency key came with another input before."""

    code = "IDEMPOTENCY_KEY_REUSED"


class StaleBlock(Conflict):
    """The block was claimed under a later epoch, or canceled."""

    code = "STALE_BLOCK"


class StaleTask(Conflict):
    """The task was taken up under a later epoch."""

    code = "STALE_TASK"


class InUse(Conflict):
    """Something that lives on needs it."""

    code = "IN_USE"


class LimitExceeded(Permanent):
    """More than the operator allows a namespace or a batch."""

    code = "LIMIT_EXCEEDED"


class EmptyBatch(Permanent):
    """A batch without objects cannot be submitted."""

    code = "EMPTY_BATCH"


class NothingToRun(Permanent):
    """No collection reads the batch's bucket."""

    code = "NOTHING_TO_RUN"


class CollectionCycle(Permanent):
    """Collections that read one another in a circle; the message names them."""

    code = "COLLECTION_CYCLE"


class ArtifactCorrupt(Permanent):
    """Bytes on S3 do not have the committed sha256."""

    code = "ARTIFACT_CORRUPT"


class Misconfigured(Permanent):
    """A setting or a server is not what Strata needs; the hint says how to mend it."""

    code = "MISCONFIGURED"

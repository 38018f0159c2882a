"""How failures are shown: expected ones in the schema, the rest masked, each with a code.

An expected failure is a `UserError` in its payload. What reaches the top level gets one of the
codes below; anything unknown reads "Internal server error" with a request id that finds the full
trace in the log.
"""

import logging
import re
from enum import StrEnum
from typing import Any, Final

import strawberry
from graphql import GraphQLError, GraphQLSyntaxError
from pymongo.errors import PyMongoError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError

from graphql_api.enums import show_enum
from models.errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    Permanent,
    StrataError,
    Transient,
    Unauthenticated,
)

logger = logging.getLogger(__name__)
_SUGGESTION: Final = re.compile(r" Did you mean .*", re.DOTALL)
# What was sent, as the library repeats it: inputs may hold secrets.
_ECHO: Final = re.compile(
    r"((?<= value)(?<! invalid value)|[,.]? found): .*", re.DOTALL | re.IGNORECASE
)
_COERCION: Final = re.compile(r"Variable '\$\w+' has invalid value")
_MAX_MESSAGE: Final = 500


class Refused(GraphQLError):
    """An operation that is not run, or not to its end; it names its own code."""

    def __init__(
        self, code: str, message: str, *, retry_after: float | None = None, **extra: Any
    ) -> None:
        super().__init__(message, extensions={"code": code, **extra})
        self.code = code
        self.retry_after = retry_after


class UserErrorCode(StrEnum):
    """Codes of expected failures."""

    NOT_FOUND = "NOT_FOUND"
    INVALID_INPUT = "INVALID_INPUT"
    INVALID_CURSOR = "INVALID_CURSOR"
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    INVALID_MAPPING = "INVALID_MAPPING"
    INVALID_PARAMETERS = "INVALID_PARAMETERS"
    UNKNOWN_EXTRACTOR = "UNKNOWN_EXTRACTOR"
    EXTRACTOR_UNAVAILABLE = "EXTRACTOR_UNAVAILABLE"
    CONFLICT = "CONFLICT"
    IN_USE = "IN_USE"
    NAME_TAKEN = "NAME_TAKEN"
    ILLEGAL_TRANSITION = "ILLEGAL_TRANSITION"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    IDEMPOTENCY_IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    EMPTY_BATCH = "EMPTY_BATCH"
    NOTHING_TO_RUN = "NOTHING_TO_RUN"
    COLLECTION_CYCLE = "COLLECTION_CYCLE"
    UNAVAILABLE = "UNAVAILABLE"


show_enum(
    UserErrorCode,
    "What was wrong with a request; stable.",
    {
        UserErrorCode.NOT_FOUND: "No such thing in this namespace.",
        UserErrorCode.INVALID_INPUT: "A value is wrong.",
        UserErrorCode.INVALID_CURSOR: "A foreign cursor.",
        UserErrorCode.ADDRESS_REFUSED: "An address that Strata does not call.",
        UserErrorCode.INVALID_MAPPING: "A mapping names a field that does not exist.",
        UserErrorCode.INVALID_PARAMETERS: "Extractor parameters outside their schema.",
        UserErrorCode.UNKNOWN_EXTRACTOR: "No extractor of that name and version.",
        UserErrorCode.EXTRACTOR_UNAVAILABLE: "A package or net that it needs is not installed.",
        UserErrorCode.CONFLICT: "The present state forbids it.",
        UserErrorCode.IN_USE: "Something that lives on needs it.",
        UserErrorCode.NAME_TAKEN: "The name is in use.",
        UserErrorCode.ILLEGAL_TRANSITION: "The batch's status does not allow this.",
        UserErrorCode.IDEMPOTENCY_KEY_REUSED: "The key came with another input before.",
        UserErrorCode.IDEMPOTENCY_IN_PROGRESS: "The first request with the key still runs.",
        UserErrorCode.LIMIT_EXCEEDED: "More than a namespace or a batch may have.",
        UserErrorCode.EMPTY_BATCH: "The batch has no objects.",
        UserErrorCode.NOTHING_TO_RUN: "No collection reads the bucket.",
        UserErrorCode.COLLECTION_CYCLE: "Collections read one another in a circle.",
        UserErrorCode.UNAVAILABLE: "A server does not answer; nothing changed, try again.",
    },
)


@strawberry.type(description="An expected failure: what was wrong, where, and what to do.")
class UserError:
    """One expected failure."""

    code: UserErrorCode = strawberry.field(description="What was wrong; stable.")
    message: str = strawberry.field(description="The same in a sentence.")
    path: list[str] = strawberry.field(description="Where in the input; empty for the whole.")
    hint: str = strawberry.field(description="What to do about it; may be empty.")


def user_error(error: StrataError) -> UserError:
    """Return an expected failure as it is shown; raises again what is not one."""
    if isinstance(error, Unauthenticated | Forbidden):
        raise error
    known = error.code in UserErrorCode.__members__
    fallback = UserErrorCode.UNAVAILABLE if isinstance(error, Transient) else UserErrorCode.CONFLICT
    return UserError(
        code=UserErrorCode[error.code] if known else fallback,
        message=error.message,
        path=list(error.path),
        hint=error.hint,
    )


def present(error: GraphQLError, *, request_id: str) -> GraphQLError:
    """Return a top-level error as a client may see it."""
    original = error.original_error
    while isinstance(original, GraphQLError):
        original = original.original_error
    code, message, extra = _classify(error, original)
    if code == "INTERNAL_SERVER_ERROR":
        logger.error("Request %s failed", request_id, exc_info=original or error)
    return GraphQLError(
        _ECHO.sub(".", _SUGGESTION.sub("", message))[:_MAX_MESSAGE],
        nodes=error.nodes,
        path=error.path,
        extensions={"code": code, "requestId": request_id, **extra},
    )


def _classify(
    error: GraphQLError, original: BaseException | None
) -> tuple[str, str, dict[str, Any]]:
    if isinstance(error, Refused):
        shown = dict(error.extensions or {})
        return str(shown.pop("code")), error.message, shown
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED", error.message, {}
    if isinstance(original, StrataError):
        return _code_of(original), original.message, _reason(original)
    if isinstance(original, PyMongoError):
        return "INTERNAL_SERVER_ERROR", "Internal server error", {"reason": "STORE_UNAVAILABLE"}
    if isinstance(original, UnicodeEncodeError):
        # Whatever has a path of its own was refused before; this is an id, or a description.
        return "BAD_USER_INPUT", "A value holds a lone surrogate.", {"reason": "INVALID_INPUT"}
    if isinstance(original, CannotGetOperationTypeError):
        return "OPERATION_RESOLUTION_FAILURE", error.message, {}
    if isinstance(original, MissingQueryError):
        return "BAD_REQUEST", "There is no `query`.", {}
    if isinstance(original, RecursionError) and error.path is None:
        return "BAD_REQUEST", "The request is nested too deeply.", {"reason": "TOO_DEEP"}
    if error.path is None and (original is None or error.nodes):
        return _code_of_request(error), error.message, {}
    return "INTERNAL_SERVER_ERROR", "Internal server error", {}


def _code_of_request(error: GraphQLError) -> str:
    """Return the code of what the GraphQL library refused before any resolver ran."""
    if error.nodes and not _COERCION.match(error.message):
        return "GRAPHQL_VALIDATION_FAILED"
    return "BAD_USER_INPUT"


def _code_of(error: StrataError) -> str:
    match error:
        case Unauthenticated():
            return "UNAUTHENTICATED"
        case Forbidden():
            return "FORBIDDEN"
        case InvalidInput() | NotFound() | Permanent():
            return "BAD_USER_INPUT"
        case _:
            return "INTERNAL_SERVER_ERROR"


def _reason(error: StrataError) -> dict[str, Any]:
    return {"reason": error.code, **({"hint": error.hint} if error.hint else {})}

"""What can go wrong for a client of the API, here the demo.

StrataError
├── Transient
│   └── ApiUnreachable   nobody answers at the address
└── Permanent
    ├── Refused          the API said no; `code` is the API's
    └── DemoIncomplete   the batch ended, but not as COMPLETED
"""

from typing import Any, Self

from models.errors import Permanent, Transient


class ApiUnreachable(Transient):
    """No answer, or none that is GraphQL."""

    code = "API_UNREACHABLE"


class Refused(Permanent):
    """An answer that names an error."""

    @classmethod
    def from_user_error(cls, error: dict[str, Any]) -> Self:
        """Return the first of a payload's `userErrors` as an exception."""
        refused = cls(error["message"], path=error["path"], hint=error["hint"])
        refused.code = error["code"]
        return refused

    @classmethod
    def from_top_level(cls, error: dict[str, Any]) -> Self:
        """Return a top-level error as an exception."""
        extensions = error.get("extensions") or {}
        refused = cls(str(error.get("message", error)), hint=str(extensions.get("hint", "")))
        refused.code = str(extensions.get("code", "UNKNOWN"))
        return refused


class DemoIncomplete(Permanent):
    """The demo's batch did not come to its good end."""

    code = "DEMO_INCOMPLETE"

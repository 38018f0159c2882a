"""Enums of keys."""

from graphql_api.enums import show_enum
from models.api_key import KeyScope

__all__ = ["KeyScope"]

show_enum(
    KeyScope,
    "What a key may do in its namespace.",
    {
        KeyScope.READ: "Read everything but keys and the audit log.",
        KeyScope.WRITE: "Create, change, submit and delete; includes READ.",
        KeyScope.ADMIN: "Manage keys and the namespace, read the audit log; includes WRITE.",
        KeyScope.INTROSPECT: "Read the schema from the server; nothing else.",
    },
)

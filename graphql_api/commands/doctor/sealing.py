"""The key that seals secrets: there where servers of others are used, and long enough."""

from typing import Final

from graphql_api.commands.doctor.findings import Check, Finding, Level
from models.sealing import Seal
from models.settings import Settings

_SUBJECT: Final = "sealing key"


def sealing_checks(settings: Settings) -> list[Check]:
    """List what to ask of the key."""
    return [Check(_SUBJECT, lambda: _examine(settings), "")]


def _examine(settings: Settings) -> Finding:
    if settings.sealing_keys is None and settings.mongo.url is None:
        return Finding(_SUBJECT, Level.OK, "`strata up` makes one")
    Seal(settings.sealing_keys).check()
    return Finding(_SUBJECT, Level.OK, "is there, and long enough")

"""What a check found, and how a check that fails becomes a finding instead of an end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from engine.nets import NetError
from models.errors import StrataError, Transient


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    level: Level
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """A question to one dependency; `remedy` stands in where a failure brings none of its own."""

    subject: str
    ask: Callable[[], Finding | Awaitable[Finding]]
    remedy: str


async def examine(check: Check) -> Finding:
    """Ask; whatever is raised is the finding, since a doctor must not fall ill himself."""
    try:
        answer = check.ask()
        return answer if isinstance(answer, Finding) else await answer
    except Transient as error:  # who does not answer cannot know why: the check's remedy says more
        return Finding(check.subject, Level.ERROR, error.message, check.remedy)
    except (StrataError, NetError) as error:
        return Finding(check.subject, Level.ERROR, error.message, error.hint or check.remedy)
    except Exception as error:
        told = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return Finding(check.subject, Level.ERROR, told, check.remedy)

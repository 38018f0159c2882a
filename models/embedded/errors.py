"""What can go wrong with local servers.

Permanent
└── EmbeddedError
    ├── BinaryMissing    nothing to run; the hint says what to install
    ├── FolderInUse      another owner holds the data folder
    └── StartFailed      a child died, never answered or found no port; carries the end of its log
"""

from collections.abc import Sequence

from models.errors import Permanent, StrataError


class EmbeddedError(Permanent):
    """A local server cannot be had; `hint` says how to mend it."""

    code = "EMBEDDED"

    def __str__(self) -> str:
        """Say it all: this is read in a terminal."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class BinaryMissing(EmbeddedError):
    """A server's program, or a library it needs, is not on this machine."""

    code = "EMBEDDED_BINARY_MISSING"


class FolderInUse(EmbeddedError):
    """One data folder has one owner: Valkey would let two write the same file without a word."""

    code = "EMBEDDED_FOLDER_IN_USE"


class StartFailed(EmbeddedError):
    """A child did not come up."""

    code = "EMBEDDED_START_FAILED"

    def __init__(
        self, message: str, *, path: Sequence[str] = (), hint: str = "", log_tail: str = ""
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.log_tail = log_tail

    def __str__(self) -> str:
        """Add the child's last words."""
        told = super().__str__()
        return f"{told}\n{self.log_tail}" if self.log_tail else told

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the log when pickled."""
        return (_rebuild, (self.message, self.path, self.hint, self.log_tail))


def _rebuild(message: str, path: tuple[str, ...], hint: str, log_tail: str) -> StrataError:
    return StartFailed(message, path=path, hint=hint, log_tail=log_tail)

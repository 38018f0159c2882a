"""What can go wrong with a net, before it has seen a text.

NetError
├── NetMissing    the net, its files or its library are not here; `hint` says what to put where
└── NetInvalid    the files are here but are not a net that can be run
"""


class NetError(Exception):
    """A net cannot be used; trying again changes nothing until somebody acts on `hint`."""

    def __init__(self, message: str, hint: str = "") -> None:
        # Both go to `args`, so that the error survives the trip between processes.
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class NetMissing(NetError):
    """The net, its files or its library are not on this machine."""


class NetInvalid(NetError):
    """The files of a net are damaged, incomplete or of a kind that is not supported."""

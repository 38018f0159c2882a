"""What ends a run at once."""


class Unsupported(NotImplementedError):
    """A stand-in knows nothing of it: it would have to guess."""


class Violation(AssertionError):
    """A promise was broken."""


class Locked(Exception):
    """A transaction has written there and not ended yet: the server waits for it."""

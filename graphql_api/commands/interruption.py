"""Ctrl-C, SIGTERM and the end of the terminal, all as one exception, and only once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody asked to stop; not an `Exception`, so that nothing takes it for a failure."""


@contextmanager
def interruptions() -> Iterator[None]:
    """Raise `Interrupted` in the main thread at the first signal; later ones change nothing.

    An orderly stop takes seconds, and an impatient second Ctrl-C must not leave servers behind.
    """
    # What is ignored already, as SIGHUP under nohup, stays so.
    heard = [number for number in NUMBERS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted

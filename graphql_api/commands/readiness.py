"""A child tells its parent that it is ready: one byte through a pipe."""

import os
from collections.abc import Callable
from typing import Final

_READY: Final = b"."


class ReadyPipe:
    """Callable: True once the child has spoken; again for each child started on it."""

    def __init__(self) -> None:
        self._reading, self.descriptor = os.pipe()
        os.set_blocking(self._reading, False)

    def __call__(self) -> bool:
        """Look, without waiting."""
        try:
            return bool(os.read(self._reading, 1))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Give both ends back."""
        os.close(self._reading)
        os.close(self.descriptor)


def ready_teller(descriptor: int | None) -> Callable[[], None]:
    """Return what a child calls when it is ready, however often; only the first call speaks."""
    waiting = [] if descriptor is None else [descriptor]

    def tell() -> None:
        while waiting:
            told = waiting.pop()
            os.write(told, _READY)
            os.close(told)

    return tell

"""The parent's side of a decoder: starts its process, hands it files, and ends it when it must."""

import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from engine.media.errors import DecodeFailed
from engine.media.wire import Closed, Part, receive, send
from models.errors import ErrorCategory

_TIMED_OUT: Final = frozenset({signal.SIGXCPU, signal.SIGALRM})
_START_SECONDS: Final = 60.0
_DYING_SECONDS: Final = 1.0  # between the end of a socket and that of its process
_DAMAGED: Final = "Open it with another program and save it again, or leave it out of the batch."


@dataclass(frozen=True)
class Limits:
    """What one file may cost."""

    memory_mb: int = 2048  # address space of the process
    seconds: float = 600.0  # from its first byte to its last part
    silence_seconds: float = 15.0  # between two parts; shorter than the lease of a block
    files: int = 64


class Decoder:
    """Decodes files one after another in a process of its own, which may be lost at any of them."""

    def __init__(self, module: str, limits: Limits | None = None) -> None:
        self._module = module
        self._limits = limits or Limits()
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return None if self._child is None else self._child.process.pid

    def start(self) -> None:
        """Start the process before it is needed.

        Raises:
            DecodeFailed: it cannot be started.
        """
        if self._child is None:
            self._child = _Child(self._module, self._limits)

    def decode(self, request: Mapping[str, Any], data: bytes) -> Generator[Part, None, None]:
        """Yield the parts that a decoder makes of a file.

        Raises:
            DecodeFailed: the file is damaged, or asks for more than the limits allow.
        """
        if not data:
            raise DecodeFailed(
                ErrorCategory.VALIDATION, "The file is empty.", hint="Upload it again."
            )
        self.start()
        child, self._child = self._child, None
        assert child is not None  # start() has just made it
        try:
            yield from self._parts(child, request, data)
            self._child = child
        except _Refused as refused:
            self._child = child  # it has said so itself and goes on
            raise refused.failure from None
        finally:
            if self._child is None:
                child.kill()

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _parts(self, child: "_Child", request: Mapping[str, Any], data: bytes) -> Iterator[Part]:
        ends = time.monotonic() + self._limits.seconds
        try:
            child.connection.settimeout(self._limits.silence_seconds)
            send(child.connection, request, [data])
            while "end" not in (message := receive(child.connection)).head:
                if "error" in message.head:
                    raise _Refused(_failure(message.head))
                if time.monotonic() > ends:
                    raise TimeoutError
                if not isinstance(head := message.head.get("part"), dict):
                    raise Closed("a message of no known kind")
                yield Part(head, message.blobs)
        except TimeoutError:
            raise self._late() from None
        except (Closed, OSError):
            raise self._lost(child.end()) from None

    def _late(self) -> DecodeFailed:
        return DecodeFailed(
            ErrorCategory.TIMEOUT,
            f"Decoding takes more than {self._limits.seconds:.0f} s, or "
            f"{self._limits.silence_seconds:.0f} s for one part of the file.",
            hint="Make it shorter or smaller, or leave it out of the batch.",
        )

    def _lost(self, code: int) -> DecodeFailed:
        if code < 0 and -code in _TIMED_OUT:
            return self._late()
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        return DecodeFailed(
            ErrorCategory.RESOURCE,
            f"The file ended the process that decoded it ({how}).",
            hint=_DAMAGED,
        )


class _Refused(Exception):
    """The decoder itself said why; its process is well."""

    def __init__(self, failure: DecodeFailed) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _failure(head: Mapping[str, Any]) -> DecodeFailed:
    category = str(head.get("category"))
    known = category in ErrorCategory.__members__
    return DecodeFailed(
        ErrorCategory(category) if known else ErrorCategory.RUNTIME,
        str(head["error"])[:1000],
        hint=str(head.get("hint") or _DAMAGED)[:500],
    )


class _Child:
    """A process, and the socket to it; goes when nobody holds it any more."""

    def __init__(self, module: str, limits: Limits) -> None:
        self.connection, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-P", "-m", "engine.media.child",
                    module, orjson.dumps(asdict(limits)).decode(),
                ],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=_environment(), cwd="/",
            )  # fmt: skip
        self._finalizer = weakref.finalize(self, _end, self.process, self.connection)
        self.connection.settimeout(_START_SECONDS)
        try:
            receive(self.connection)
        except (Closed, OSError):
            code = self.end()
            raise DecodeFailed(
                ErrorCategory.RUNTIME,
                f"The decoder {module} did not start (code {code}).",
                hint="Its libraries may be missing on this machine; see the extractor's extra.",
            ) from None

    def end(self) -> int:
        """Return how a process ended that has hung up; kill it when it has not ended by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_DYING_SECONDS)
        self.kill()
        return int(self.process.returncode)

    def kill(self) -> None:
        """End it whatever it does."""
        self._finalizer()


def _end(process: "subprocess.Popen[bytes]", connection: socket.socket) -> None:
    connection.close()
    process.kill()
    process.wait()


def _environment() -> dict[str, str]:
    """Return what a decoder may know: no key, no address, and where our code is."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",  # each thread of a maths library reserves address space
        "OPENBLAS_NUM_THREADS": "1",
    }

"""What was decoded lately on this machine, for every extractor that asks the same of a file.

Two extractors with the same question are two collections of one kind with different nets, or the
same one in two batches. An entry is named after the decoder, the question and the bytes; it is read
only when it is whole, and goes after some minutes without use, or when the room is needed.
"""

import fcntl
import hashlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Final

import orjson

from engine.media.wire import Closed, Part, pack, unpack

_BOUND: Final = 512 * 1024 * 1024  # bytes of all entries
_ENTRY: Final = 64 * 1024 * 1024  # bytes of one
_AGE: Final = 600.0  # seconds without use
_WAIT: Final = 10.0  # for another process that decodes the same; shorter than a decoder's silence
_POLL: Final = 0.02

Decode = Callable[[], Iterator[Part]]


class DecodedSpool:
    """A folder that the extractors of one machine share."""

    def __init__(self, folder: Path, *, bound: int = _BOUND, age: float = _AGE) -> None:
        self._folder = folder
        self._bound = bound
        self._age = age

    def parts(self, key: str, decode: Decode) -> Iterator[Part]:
        """Yield what is kept under a key, or what `decode` yields, which is kept once it has ended.

        While another process decodes the same, it is waited for, for some seconds.
        """
        entry = self._folder / key
        if (kept := _open(entry)) is not None:
            yield from _read(kept)
            return
        with self._turn(entry) as ours:
            if (kept := _open(entry)) is not None:
                yield from _read(kept)
            elif ours:
                yield from self._keep(entry, decode())
            else:
                yield from decode()

    @contextmanager
    def _turn(self, entry: Path) -> Generator[bool, None, None]:
        """Hold the right to make an entry; False when another has it for too long."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = entry.with_suffix(".lock")
        with path.open("wb") as lock:
            ours = _locked(lock)
            try:
                yield ours
            finally:
                if ours:
                    path.unlink(missing_ok=True)

    def _keep(self, entry: Path, parts: Iterator[Part]) -> Iterator[Part]:
        descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".new")
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    if file.tell() <= _ENTRY:
                        file.writelines(pack(part.head, part.blobs))
                    yield part
                whole = file.tell() <= _ENTRY
            if whole:
                self._make_room()
                Path(name).replace(entry)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)

    def _make_room(self) -> None:
        """Remove what nobody has used for long, and then the oldest until the rest has room."""
        found = sorted((used, size, path) for path, used, size in _entries(self._folder))
        room = self._bound - sum(size for _, size, _ in found)
        oldest = time.time() - self._age
        for used, size, path in found:
            if used > oldest and room >= 0:
                break
            path.unlink(missing_ok=True)
            room += size


def spool_key(decoder: str, request: Mapping[str, Any], data: bytes) -> str:
    """Return the name of what a decoder, as it is installed now, makes of a file."""
    question = orjson.dumps([decoder, _written(decoder), request], option=orjson.OPT_SORT_KEYS)
    parts = hashlib.sha256(question).digest() + hashlib.sha256(data).digest()
    return hashlib.sha256(parts).hexdigest()


@cache
def _written(decoder: str) -> int:
    """Return when the code of a decoder, or what lies beside it, was changed last."""
    spec = importlib.util.find_spec(decoder)
    if spec is None or spec.origin is None:
        return 0
    return max(path.stat().st_mtime_ns for path in Path(spec.origin).parent.glob("*.py"))


def _open(entry: Path) -> IO[bytes] | None:
    try:
        os.utime(entry)
        return entry.open("rb")
    except FileNotFoundError:
        return None


def _read(file: IO[bytes]) -> Iterator[Part]:
    def exactly(size: int) -> bytes:
        if len(found := file.read(size)) < size:
            raise Closed("the entry ended")
        return found

    with closing(file):
        end = os.fstat(file.fileno()).st_size
        while file.tell() < end:
            yield unpack(exactly)


def _locked(lock: IO[bytes]) -> bool:
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)


def _entries(folder: Path) -> Iterator[tuple[Path, float, int]]:
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            status = path.stat()
            yield path, status.st_mtime, status.st_size

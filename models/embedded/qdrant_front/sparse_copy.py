"""Copies a shard's folder without filling the holes of its preallocated files."""

import errno
import os
import shutil
from pathlib import Path

CHUNK = 8 << 20


def copy_folder(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_copy_file)


def _copy_file(source: str, target: str) -> None:
    reader = os.open(source, os.O_RDONLY)
    writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        size = os.fstat(reader).st_size
        os.truncate(writer, size)
        position = 0
        while (start := _next_data(reader, position, size)) < size:
            position = os.lseek(reader, start, os.SEEK_HOLE)
            _copy_range(reader, writer, start, position)
    finally:
        os.close(reader)
        os.close(writer)


def _next_data(file: int, position: int, size: int) -> int:
    """Where the next data begins, or the size when only a hole is left."""
    if position >= size:
        return size
    try:
        return os.lseek(file, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size


def _copy_range(reader: int, writer: int, start: int, end: int) -> None:
    while start < end:
        start += os.pwrite(writer, os.pread(reader, min(CHUNK, end - start), start), start)

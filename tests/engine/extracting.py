"""Runs an extractor of media in this process on files."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.catalog import make_extractor
from engine.media import MediaExtractor
from engine.spec import BLOB, Extraction
from tests.extractors import choice

File = bytes | tuple[bytes, str]


def extractor(label: str, cache: Path, **parameters: Any) -> MediaExtractor:
    """Return an extractor that is ready to run."""
    made = make_extractor(choice(label, **parameters), cache)
    assert isinstance(made, MediaExtractor)
    made.setup()
    return made


def extract(made: MediaExtractor, *files: File) -> Extraction:
    """Run an extractor on files, each with the media type that is said of it, if any."""
    blobs = [
        {"data": file, "media_type": None, "url": None}
        if isinstance(file, bytes)
        else {"data": file[0], "media_type": file[1], "url": None}
        for file in files
    ]
    (item,) = made.spec.inputs
    rows = pa.RecordBatch.from_pydict({item.name: pa.array(blobs, BLOB)})
    steps: list[int] = []
    found = made.run(rows, steps.append)
    assert steps == sorted(set(steps))
    assert len(steps) >= len(files)
    return found


def failures(found: Extraction) -> dict[int, str]:
    """Return what was said of each row that failed; every failure says what to do."""
    assert all(one.hint for one in found.failures)
    return {one.row: f"{one.category}: {one.message}" for one in found.failures}

"""Parquet files that leave a sign when somebody opens the pickles in them."""

import io
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


def trapped(kind: str, canary: Path) -> bytes:
    """Return a Parquet file with a column of an extension type whose metadata is a pickle."""
    metadata = {
        "ARROW:extension:name": kind,
        "ARROW:extension:metadata": pickle.dumps(Trap(canary)),
    }
    schema = pa.schema([pa.field("in_text", pa.binary(), metadata=metadata)])
    sink = io.BytesIO()
    pq.write_table(pa.table({"in_text": [b"a"]}, schema=schema), sink)
    return sink.getvalue()

"""How artifacts are written: Parquet with zstd, and no dictionaries.

Hardly a value of theirs comes twice. Vectors through a dictionary take five times as long to write
and half as many bytes again.
"""

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

_FORM: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": False,
}


def open_parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer of a new file; close it."""
    return pq.ParquetWriter(path, schema, **_FORM)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a whole file."""
    pq.write_table(table, path, **_FORM)

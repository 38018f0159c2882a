"""Excel: one section a sheet, its rows as lines with tabs."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import openpyxl

from engine.decoders.sections import Section, plain


def read(data: bytes, _: Mapping[str, Any]) -> tuple[dict[str, Any], Iterator[Section]]:
    """Return what the file says of itself, and its sheets."""
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    known = book.properties
    metadata = plain({"author": known.creator, "subject": known.subject})
    return {"title": known.title or None, "metadata": metadata}, map(_sheet, book.worksheets)


def _sheet(sheet: Any) -> Section:
    rows = (
        "\t".join("" if value is None else str(value) for value in row).rstrip("\t")
        for row in sheet.iter_rows(values_only=True)
    )
    return Section("sheet", "\n".join(row for row in rows if row), sheet.title)

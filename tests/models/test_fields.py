from typing import Any

import pytest

from models.fields import ExtractorChoice, FieldType, accepts

VALUES: dict[str, Any] = {
    "text": "a", "empty": "", "integer": 7, "number": 7.5, "whole": 7.0, "true": True,
    "object": {"a": 1}, "array": [1], "moment": "2026-05-04T03:02:01Z", "day": "2026-05-04",
}  # fmt: skip
TEXTS = {"text", "empty", "moment", "day"}
ACCEPTED = {
    FieldType.STRING: TEXTS,
    FieldType.TEXT: TEXTS,
    FieldType.NUMBER: {"integer", "number", "whole"},
    FieldType.INTEGER: {"integer"},
    FieldType.BOOLEAN: {"true"},
    FieldType.DATETIME: {"moment", "day"},
    FieldType.OBJECT: {"object"},
    FieldType.ARRAY: {"array"},
    FieldType.BLOB: TEXTS,
}


@pytest.mark.parametrize("kind", FieldType)
def test_a_type_accepts_its_own_values_alone(kind: FieldType) -> None:
    assert {name for name, value in VALUES.items() if accepts(kind, value)} == ACCEPTED[kind]


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "20260504T", "1777863721"])
def test_a_datetime_is_a_date_of_iso_8601(text: str) -> None:
    assert not accepts(FieldType.DATETIME, text)


def test_an_extractor_is_labelled_by_name_and_version() -> None:
    assert ExtractorChoice(name="text", version="v1").label == "text@v1"

import json
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from workers.names import require_field_name, require_json, require_name, require_text

PATH = ("input", "value")
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.characters(categories=["Cs"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=5) | st.sampled_from(["\x00", "a\x00", "\ud800", "$a", ""]),
                      inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def accepted(value: Any) -> bool:
    try:
        require_json(value, path=PATH)
    except InvalidInput as error:
        refused = error
    else:
        return True
    assert refused.path[: len(PATH)] == PATH
    assert json.dumps(refused.path, ensure_ascii=False).encode()  # it can be sent back
    return False


def storable(value: Any) -> bool:
    """Whether the value survives the database and comes back as JSON."""
    try:
        kept = bson.decode(bson.encode({"value": value}))["value"]
        json.dumps(kept, allow_nan=False, ensure_ascii=False).encode()
    except (bson.errors.InvalidDocument, OverflowError, ValueError):
        return False
    assert kept == value
    return True


@given(values)
def test_just_what_can_be_kept_is_accepted(value: Any) -> None:
    assert accepted(value) is storable(value)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, float("inf"), float("nan")])
def test_numbers_that_cannot_be_kept_are_refused_where_they_are(value: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_json({"a": [0, value]}, path=PATH)

    assert refused.value.path == (*PATH, "a", "1")
    assert accepted({"a": [2**63 - 1, -(2**63), 1e308]})


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_values_are_nested_so_deep_and_no_deeper() -> None:
    assert accepted(nested(64))
    assert not accepted(nested(65))
    assert not accepted(nested(900))


@pytest.mark.parametrize("name", ["a", "x" * 100, "ü", "名", "with space", "a.b", "$", "-", "🦊"])
def test_names(name: str) -> None:
    require_name(name)


@pytest.mark.parametrize(
    "name", ["", " ", "\t", "x" * 101, "a\x00", "a\nb", "\x7f", "\x85", "a\ud800", "\ud83e"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_name(name, path=PATH)

    assert refused.value.path == PATH
    assert refused.value.message.encode()


@given(st.text())
def test_a_name_is_either_refused_or_storable(name: str) -> None:
    try:
        require_name(name)
    except InvalidInput:
        return
    assert bson.decode(bson.encode({name: name})) == {name: name}


@pytest.mark.parametrize("name", ["$", "$where", "", "a\x00b", "x" * 101])
def test_field_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidInput):
        require_field_name(name, path=PATH)


def test_a_lone_surrogate_is_refused_at_its_place() -> None:
    with pytest.raises(InvalidInput, match="at character 2") as refused:
        require_text("ab\ud800c", path=PATH)

    assert "U+FFFD" in refused.value.hint
    require_text("🦊\x00\r\n", path=PATH)

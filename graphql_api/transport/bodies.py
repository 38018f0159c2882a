"""Reads an operation from a request: a JSON body, the parameters of a GET, or a frame's payload."""

from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any, Final
from urllib.parse import parse_qsl

from graphql_api.operations.running import Request
from graphql_api.requests import read_json

JSON_DEPTH: Final = 64
_PARAMETERS: Final = 100


class Malformed(Exception):
    """A request that says nothing readable; `is_json` when only its shape is wrong."""

    def __init__(self, message: str, *, is_json: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_json = is_json


def read_body(body: bytes) -> Request:
    """Return the operation of a POST; raises Malformed."""
    return read_request(_parse(body, "The body"))


def read_query_string(query: bytes) -> Request:
    """Return the operation of a GET; raises Malformed."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_PARAMETERS,
        )
    except ValueError as error:
        raise Malformed("The parameters are no UTF-8, or too many.") from error
    found: dict[str, Any] = {name: value for name, value in pairs}
    for name in ("variables", "extensions"):
        if name in found:
            found[name] = _parse(found[name], f"`{name}`")
    return read_request(found)


def read_request(found: Any) -> Request:
    """Return the operation of a JSON object; raises Malformed."""
    if not isinstance(found, dict):
        raise Malformed("The body must be a JSON object.", is_json=True)
    return Request(
        query=_take(found, "query", str, "a string"),
        variables=_take(found, "variables", dict, "an object"),
        operation_name=_take(found, "operationName", str, "a string") or None,
        extensions=_take(found, "extensions", dict, "an object") or {},
        document_id=_take(found, "documentId", str, "a string"),
    )


def is_shallow(text: str | bytes, value: Any) -> bool:
    """Return whether JSON is nested no deeper than allowed; most texts have too few brackets."""
    if isinstance(text, str):
        brackets = text.count("[") + text.count("{")
    else:
        brackets = text.count(b"[") + text.count(b"{")
    return brackets <= JSON_DEPTH or _is_shallow(value, JSON_DEPTH)


def _parse(text: str | bytes, what: str) -> Any:
    try:
        value = read_json(text)
    except JSONDecodeError as error:
        raise Malformed(f"{what} must be readable JSON.") from error
    if not is_shallow(text, value):
        raise Malformed(f"{what} is nested more than {JSON_DEPTH} levels deep.")
    return value


def _is_shallow(value: Any, left: int) -> bool:
    if left < 0:
        return False
    children: Any = ()
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list):
        children = value
    return all(_is_shallow(child, left - 1) for child in children if isinstance(child, dict | list))


def _take(found: Mapping[str, Any], name: str, kind: type, form: str) -> Any:
    value = found.get(name)
    if value is not None and not isinstance(value, kind):
        raise Malformed(f"`{name}` must be {form}.", is_json=True)
    return value

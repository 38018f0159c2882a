"""Bodies in and out as strict JSON, and every refusal as GraphQL-shaped JSON."""

import json
import math
import secrets
from json import JSONDecodeError
from typing import Any, NoReturn

import orjson
from starlette.responses import JSONResponse


def read_json(data: str | bytes) -> Any:
    """Return what JSON text says.

    Raises:
        JSONDecodeError: it is no JSON: NaN, bytes that are no UTF-8, a number of thousands of
            digits and nesting beyond the parser's stack included.
    """
    try:
        return json.loads(data, parse_constant=_refuse)
    except JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise JSONDecodeError(f"No readable JSON ({type(error).__name__})", "", 0) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def write_json(data: object) -> bytes:
    """Return JSON text; a number that JSON cannot hold becomes null."""
    try:
        return orjson.dumps(data)
    except TypeError:  # integers beyond 64 bits, and lone surrogates
        return json.dumps(_finite(data), separators=(",", ":"), allow_nan=False).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_finite(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def refusal(
    status: int, code: str, message: str, *, headers: dict[str, str] | None = None, **extra: str
) -> JSONResponse:
    """Return the answer to a request that never became an operation."""
    extensions = {"code": code, "requestId": secrets.token_hex(8), **extra}
    body = {"errors": [{"message": message, "extensions": extensions}]}
    return JSONResponse(body, status_code=status, headers=headers)

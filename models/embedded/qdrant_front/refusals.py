"""What the front refuses: an HTTP status and a sentence, and what becomes one of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import orjson


class Refusal(Exception):
    """A request that is answered with an error status instead of a result."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def wrong(message: str) -> Refusal:
    return Refusal(400, f"Wrong input: {message}")


def missing(message: str) -> Refusal:
    return Refusal(404, f"Not found: {message}")


@contextmanager
def decoding() -> Iterator[None]:
    """Around everything that reads a body: a shape nobody expected is the caller's error."""
    try:
        yield
    except KeyError as error:
        raise Refusal(400, f"Format error in JSON body: missing or unknown {error}") from error
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"Format error in JSON body: {error}") from error
    except (TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise Refusal(400, f"Format error in JSON body: {error}") from error


@contextmanager
def engine_errors() -> Iterator[None]:
    """Around every call of the engine, which raises bare `Exception` and, from Rust, panics."""
    try:
        yield
    except BaseException as error:
        if type(error) is Exception:
            raise _from_engine(str(error)) from error
        if type(error).__name__ == "PanicException":
            raise Refusal(500, f"Service internal error: the engine panicked: {error}") from error
        raise


def _from_engine(message: str) -> Refusal:
    if message.startswith("Service runtime error"):
        return Refusal(500, message)
    return missing(message) if message.startswith("No point with id") else wrong(message)

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.media import DecodeFailed, Decoder, Limits, Part
from models.errors import ErrorCategory

ROGUE = "tests.engine.media.rogue"


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One whose files may cost little."""
    made = Decoder(ROGUE, Limits(memory_mb=512, seconds=30, silence_seconds=20, files=32))
    yield made
    made.close()


def does(decoder: Decoder, what: str, **request: Any) -> list[Part]:
    return list(decoder.decode(request, what.encode()))


def fails(decoder: Decoder, what: str, **request: Any) -> DecodeFailed:
    with pytest.raises(DecodeFailed) as caught:
        does(decoder, what, **request)
    assert caught.value.hint
    return caught.value


def test_files_share_a_process_while_it_lives(decoder: Decoder) -> None:
    (first,) = does(decoder, "pid")
    (second,) = does(decoder, "pid")

    assert first == second
    assert first.blobs == [b"one", b"", b"three"]
    assert first.head["pid"] == decoder.pid != os.getpid()


@pytest.mark.parametrize(
    ("what", "category", "message"),
    [
        ("", ErrorCategory.VALIDATION, "The file is empty."),
        ("refuse", ErrorCategory.VALIDATION, "Not this one."),
        ("raise", ErrorCategory.VALIDATION, "It cannot be decoded: ValueError: broken ? table"),
        ("allocate", ErrorCategory.RESOURCE, "Decoding needs more than 512 MiB."),
        ("files", ErrorCategory.VALIDATION, "Too many open files"),
    ],
)
def test_a_file_that_is_refused_leaves_the_process_alone(
    decoder: Decoder, what: str, category: ErrorCategory, message: str
) -> None:
    decoder.start()
    before = decoder.pid

    failure = fails(decoder, what)

    assert failure.category == category
    assert message in failure.message
    assert decoder.pid == before
    assert does(decoder, "fine")[0].head == {"echo": "fine"}


@pytest.mark.parametrize(
    ("what", "how"), [("segfault", "SIGSEGV"), ("exit", "code 3"), ("garbage", "SIGKILL")]
)
def test_s29_a_file_that_ends_the_process_costs_one_row(
    decoder: Decoder, what: str, how: str
) -> None:
    decoder.start()
    before = decoder.pid

    failure = fails(decoder, what)

    assert failure.category == ErrorCategory.RESOURCE
    assert failure.message == f"The file ended the process that decoded it ({how})."
    assert does(decoder, "fine")[0].head == {"echo": "fine"}
    assert decoder.pid != before
    assert not psutil.pid_exists(before or 0)


@pytest.mark.parametrize(
    ("what", "limits"),
    [
        ("spin", Limits(seconds=0.3, silence_seconds=60)),
        ("spin", Limits(seconds=60, silence_seconds=0.3)),
        ("silent", Limits(seconds=60, silence_seconds=0.3)),
        ("endless", Limits(seconds=0.3, silence_seconds=60)),
    ],
)
def test_time_runs_out(what: str, limits: Limits) -> None:
    decoder = Decoder(ROGUE, limits)

    failure = fails(decoder, what)

    assert failure.category == ErrorCategory.TIMEOUT
    assert "Decoding takes more than" in failure.message
    assert decoder.pid is None


def test_a_process_without_a_parent_ends_at_its_own_limit() -> None:
    decoder = Decoder(ROGUE, Limits(seconds=0.5, silence_seconds=60))
    decoder.start()
    child = psutil.Process(decoder.pid)

    parts = decoder.decode({}, b"endless")
    next(parts)  # and nobody reads on

    assert child.wait(timeout=30) == -14  # SIGALRM
    parts.close()


def test_a_decoder_writes_no_file(decoder: Decoder, tmp_path: Path) -> None:
    failure = fails(decoder, "write", path=str(tmp_path / "file"))

    assert "OSError" in failure.message
    assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size == 0


def test_a_decoder_reaches_no_server(decoder: Decoder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        failure = fails(decoder, "connect", port=server.getsockname()[1])

    assert "unreachable" in failure.message


def test_a_decoder_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_S3__SECRET_KEY", "secret")
    decoder = Decoder(ROGUE)

    (part,) = does(decoder, "environment")

    assert not [name for name in part.head["names"] if name.startswith("STRATA")]
    decoder.close()


def test_a_reader_that_stops_early_gets_a_fresh_process(decoder: Decoder) -> None:
    parts = decoder.decode({}, b"endless")
    next(parts)
    parts.close()

    assert does(decoder, "fine")[0].head == {"echo": "fine"}


def test_a_decoder_that_is_not_there() -> None:
    failure = fails(Decoder("engine.decoders.nowhere"), "fine")

    assert "did not start" in failure.message

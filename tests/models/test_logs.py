"""Log lines: one form, what they are about, and never a secret."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from models.logs import JsonFormatter, TextFormatter, bound, setup_logging

logger = logging.getLogger("tests.logs")
CANARIES = [
    "strata_key_01M8A7JDHSE2_c4n4ry",
    "whsec_Q2FuYXJ5Q2FuYXJ5",
    "mongodb://root:c4n4ry@db.example/strata",
    "Authorization: Bearer c4n4ry.c4n4ry",
    "https://s3.example/key?X-Amz-Credential=c4n4ry%2F1&X-Amz-Signature=0ca9a12ecafe",
]


@pytest.fixture
def line() -> Iterator[Any]:
    """Write lines to nowhere; returns what was made of the last."""
    made: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            made.append(self.format(record))

    handler = Kept()
    logger.addHandler(handler)
    logger.propagate = False

    def written(formatter: logging.Formatter, write: Any, *args: object) -> str:
        handler.setFormatter(formatter)
        write(*args)
        return made[-1]

    yield written
    logger.removeHandler(handler)
    logger.propagate = True


def test_a_line_of_json_says_what_it_is_about(line: Any) -> None:
    with bound(request_id="r1"), bound(batch_id="btc_1", block_id=None):
        found = json.loads(line(JsonFormatter("worker"), logger.warning, "Waits for %s", "Ray"))
    after = json.loads(line(JsonFormatter("worker"), logger.warning, "Done"))

    assert found.pop("at").endswith("+00:00")
    assert found == {
        "level": "warning",
        "process": "worker",
        "logger": "tests.logs",
        "message": "Waits for Ray",
        "requestId": "r1",
        "batchId": "btc_1",
    }
    assert "batchId" not in after


async def test_tasks_do_not_hear_of_one_another(line: Any) -> None:
    async def work(number: int) -> str:
        with bound(batch_id=f"btc_{number}"):
            await asyncio.sleep(0)
            return str(json.loads(line(JsonFormatter("api"), logger.info, "x"))["batchId"])

    logger.setLevel("INFO")
    assert await asyncio.gather(*map(work, range(5))) == [f"btc_{n}" for n in range(5)]


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("formatter", [JsonFormatter("api"), TextFormatter()])
def test_no_secret_is_written(line: Any, formatter: logging.Formatter, canary: str) -> None:
    def fail() -> None:
        try:
            raise RuntimeError(f"refused by {canary}")
        except RuntimeError:
            logger.exception("Could not use %s", canary)

    text = line(formatter, fail)

    assert "[secret]" in text
    assert "c4n4ry" not in text
    assert "0ca9a12ecafe" not in text
    assert "Q2FuYXJ5" not in text
    assert "RuntimeError" in text


def test_a_process_writes_json_unless_it_is_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    level, before = root.level, list(root.handlers)
    try:
        setup_logging("api", "auto", "WARNING")
        setup_logging("api", "auto", "WARNING")  # once more is not twice
        logger.warning("a line")
        (written,) = capsys.readouterr().err.splitlines()
        assert json.loads(written)["message"] == "a line"
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        setup_logging("api", "auto", "WARNING")
        with bound(batch_id="btc_1"):
            logger.warning("a line")
        (written,) = capsys.readouterr().err.splitlines()
        assert written.endswith("WARNING tests.logs a line batchId=btc_1")
    finally:
        for one in set(root.handlers) - set(before):
            root.removeHandler(one)
        root.setLevel(level)

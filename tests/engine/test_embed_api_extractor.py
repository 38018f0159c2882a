"""Against a real HTTP server that answers as each test says."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import SecretStr

from engine.availability import require_available
from engine.catalog import make_extractor
from engine.embedding_client import Pace
from engine.spec import Extraction, Extractor
from models.endpoints import EmbeddingEndpoint
from models.errors import (
    ErrorCategory,
    ExtractorUnavailable,
    InvalidParameters,
    StrataError,
    Transient,
)
from tests.extractors import choice

KEY = "sk-secret-4711"
Answer = tuple[int, dict[str, str], Any]


@dataclass
class Service:
    """What it was asked, and how it answers: `answer` gets the number of the request."""

    answer: Callable[[int, dict[str, Any]], Answer]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def vectors(body: dict[str, Any]) -> Answer:
    """Return a vector of a text's length and first letter, the last text first."""
    data = [
        {"index": place, "embedding": [len(text), ord(text[0])]}
        for place, text in enumerate(body["input"])
    ]
    return 200, {}, {"data": data[::-1]}


@contextmanager
def serving(answer: Callable[[int, dict[str, Any]], Answer]) -> Iterator[Service]:
    service = Service(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with service.lock:
                service.bodies.append(body)
                service.headers.append({k.lower(): v for k, v in self.headers.items()})
                number = len(service.bodies)
            status, headers, said = service.answer(number, body)
            sent = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(sent))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def endpoint(url: str, **values: Any) -> EmbeddingEndpoint:
    usual = {"requests_per_minute": 60_000, "api_key": SecretStr(KEY), "patience_seconds": 5}
    return EmbeddingEndpoint(url=url, **{**usual, **values})


def ready(
    service: Service, *, parameters: dict[str, Any] | None = None, **values: Any
) -> Extractor:
    chosen = choice(
        "embed_api@v1", endpoint="mine", model="small", dimension=2, **(parameters or {})
    )
    extractor = make_extractor(chosen, Path(), {"mine": endpoint(service.url, **values)})
    extractor.setup()
    return extractor


def ran(extractor: Extractor, *texts: str) -> Extraction:
    rows = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})
    return extractor.run(rows, lambda _: None)


def found(made: Extraction) -> list[list[float]]:
    rows: list[list[float]] = made.documents.column("embedding").to_pylist()
    return rows


def test_texts_go_in_requests_and_come_back_in_order() -> None:
    def answer(number: int, body: dict[str, Any]) -> Answer:
        if "aaaa" in body["input"]:
            time.sleep(0.05)  # the first request is answered last
        return vectors(body)

    texts = [letter * 4 for letter in "abcdefg"]
    with serving(answer) as service:
        made = ran(ready(service, texts_per_request=3), *texts)

    assert found(made) == [[4, ord(text[0])] for text in texts]
    assert sorted(len(body["input"]) for body in service.bodies) == [1, 3, 3]
    assert {body["model"] for body in service.bodies} == {"small"}
    assert {sent["authorization"] for sent in service.headers} == {f"Bearer {KEY}"}


def test_parameters_shape_what_is_sent() -> None:
    parameters = {"send_dimension": True, "text_prefix": "passage: ", "query_prefix": "query: "}
    with serving(lambda _, body: vectors(body)) as service:
        extractor = ready(service, parameters=parameters, headers={"X-Team": SecretStr("blue")})
        ran(extractor, "text")
        query = extractor.encode_query("what", "embedding")

    assert [body["input"] for body in service.bodies] == [["passage: text"], ["query: what"]]
    assert [body["dimensions"] for body in service.bodies] == [2, 2]
    assert service.headers[0]["x-team"] == "blue"
    assert np.asarray(query).tolist() == [len("query: what"), ord("q")]


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_it_is_told_and_asks_again(status: int) -> None:
    asked: list[float] = []

    def answer(number: int, body: dict[str, Any]) -> Answer:
        asked.append(time.monotonic())
        return (status, {"retry-after": "1"}, {}) if number == 1 else vectors(body)

    with serving(answer) as service:
        made = ran(ready(service), "text")

    assert found(made) == [[4, ord("t")]]
    assert asked[1] - asked[0] >= 1


def test_a_long_wait_is_left_to_the_engine() -> None:
    with serving(lambda *_: (429, {"retry-after": "3600"}, {})) as service:
        made = ran(ready(service), "text")

    (failure,) = made.failures
    assert (failure.category, failure.transient) == (ErrorCategory.RATE_LIMIT, True)
    assert failure.retry_after == 3600
    assert len(service.bodies) == 1


def test_a_service_that_stays_down_is_left_after_some_attempts() -> None:
    with serving(lambda *_: (500, {}, {})) as service:
        made = ran(ready(service, attempts=2), "text")

    (failure,) = made.failures
    assert (failure.category, failure.transient) == (ErrorCategory.DEPENDENCY, True)
    assert len(service.bodies) == 2


def test_one_bad_text_does_not_spoil_its_neighbours() -> None:
    def answer(_: int, body: dict[str, Any]) -> Answer:
        if any("bad" in text for text in body["input"]):
            return 400, {}, {"error": {"message": f"too long, {KEY}"}}
        return vectors(body)

    with serving(answer) as service:
        made = ran(ready(service), "one", "two", "bad", "four")

    (failure,) = made.failures
    assert (failure.row, failure.category) == (2, ErrorCategory.VALIDATION)
    assert "too long, ***" in failure.message
    assert not failure.transient
    assert found(made) == [[3, ord("o")], [3, ord("t")], [4, ord("f")]]


def test_a_row_with_a_piece_that_failed_fails_as_a_whole() -> None:
    def answer(_: int, body: dict[str, Any]) -> Answer:
        return (400, {}, {}) if "Bad." in body["input"] else vectors(body)

    parameters = {"split_by": "sentences", "chunk_size": 1}
    with serving(answer) as service:
        made = ran(ready(service, parameters=parameters), "Good. Bad.", "Fine. Well.")

    assert [failure.row for failure in made.failures] == [0]
    assert made.documents.column("text").to_pylist() == ["Fine.", "Well."]


WRONG: dict[str, tuple[Answer, ErrorCategory, str]] = {
    "a refused key": ((401, {}, {"error": {"message": KEY}}), ErrorCategory.AUTHENTICATION, "401"),
    "an unknown model": (
        (404, {}, {"error": {"message": "no such model"}}), ErrorCategory.DEPENDENCY, "no such",
    ),
    "no JSON": ((200, {}, b"<html>"), ErrorCategory.DEPENDENCY, "no list of embeddings"),
    "too few vectors": ((200, {}, {"data": []}), ErrorCategory.DEPENDENCY, "shape"),
    "another length": (
        (200, {}, {"data": [{"index": 0, "embedding": [1, 2, 3]}]}),
        ErrorCategory.DEPENDENCY, "shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_get_better_is_not_asked_again(name: str) -> None:
    answer, category, message = WRONG[name]
    with serving(lambda *_: answer) as service:
        extractor = ready(service)
        made = ran(extractor, "text")
        with pytest.raises(ExtractorUnavailable):
            extractor.encode_query("text", "embedding")

    (failure,) = made.failures
    assert (failure.category, failure.transient) == (category, False)
    assert message in failure.message
    assert failure.hint
    assert KEY not in failure.message
    assert len(service.bodies) == 2


def test_nobody_there_is_a_failure_that_may_pass() -> None:
    with serving(lambda _, body: vectors(body)) as service:
        extractor = ready(service, attempts=1)
    made = ran(extractor, "text")

    (failure,) = made.failures
    assert (failure.category, failure.transient) == (ErrorCategory.NETWORK, True)
    with pytest.raises(Transient) as refused:
        extractor.encode_query("text", "embedding")
    assert isinstance(refused.value, StrataError)


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    answered = threading.Event()

    def answer(_: int, body: dict[str, Any]) -> Answer:
        answered.wait(10)
        return vectors(body)

    with serving(answer) as service:
        made = ran(ready(service, attempts=1, timeout_seconds=0.2), "text")
        answered.set()

    (failure,) = made.failures
    assert (failure.category, failure.transient) == (ErrorCategory.TIMEOUT, True)


def test_requests_keep_their_distance() -> None:
    now = [100.0]
    pace = Pace(60, clock=lambda: now[0])

    waits = [pace.reserve(5) for _ in range(3)]
    now[0] += 10
    later = [pace.reserve(5), pace.reserve(0.5), pace.reserve(5)]

    assert waits == [0, 1, 2]
    assert later == [0, 1, 1]  # the second would not wait, so its turn is the third's


def test_a_request_without_a_turn_is_left_to_the_engine() -> None:
    with serving(lambda _, body: vectors(body)) as service:
        extractor = ready(service, requests_per_minute=0.1, patience_seconds=1)
        first, second = ran(extractor, "text"), ran(extractor, "text")

    assert first.failures == []
    (failure,) = second.failures
    assert (failure.category, failure.transient) == (ErrorCategory.RATE_LIMIT, True)
    assert 500 < failure.retry_after <= 600


def test_only_what_the_operator_set_up_can_be_chosen() -> None:
    known = {"mine": endpoint("http://127.0.0.1:1/v1", models=("small",))}
    for values, where in (
        ({"endpoint": "yours", "model": "small"}, "endpoint"),
        ({"endpoint": "mine", "model": "large"}, "model"),
    ):
        with pytest.raises(ExtractorUnavailable, match=r"yours|large") as refused:
            require_available(choice("embed_api@v1", dimension=2, **values), Path(), known)
        assert refused.value.path == ("extractor", "parameters", where)
        assert "Known:" in refused.value.hint
        assert KEY not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize("values", [{"api_key": KEY}, {"split_by": "tokens"}])
def test_parameters_hold_no_key_and_no_tokens(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters):
        choice("embed_api@v1", endpoint="mine", model="small", dimension=2, **values)

"""Calls a service that embeds texts in the manner of OpenAI: `POST <url>/embeddings`.

An answer is a matrix or a failure, never an exception: one request's trouble leaves the others
alone. A request that was refused for what it says is cut in two until the guilty text stands alone.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import numpy as np

from models.endpoints import EmbeddingEndpoint
from models.errors import ErrorCategory
from models.points import Floats

logger = logging.getLogger(__name__)
_REFUSED: Final = frozenset({400, 413, 422})  # what was sent is wrong, or too much
_FIRST_WAIT: Final = 0.5  # seconds, doubled with each attempt
_SAID: Final = 200  # characters of the service's own words


@dataclass(frozen=True)
class Refusal:
    """Why texts were not embedded."""

    category: ErrorCategory
    message: str
    hint: str = ""
    transient: bool = False
    retry_after: float = 0.0
    of_texts: bool = False  # another text might have passed


class Pace:
    """Lets requests through at an even rate, whichever thread asks."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / per_minute
        self._clock = clock
        self._next = clock()
        self._lock = threading.Lock()

    def reserve(self, patience: float) -> float:
        """Return how long to wait for a turn; one later than `patience` is not taken."""
        with self._lock:
            now = self._clock()
            wait = max(0.0, self._next - now)
            if wait <= patience:
                self._next = max(now, self._next) + self._interval
            return wait


class EmbeddingClient:
    """One service and one of its models."""

    def __init__(
        self, name: str, endpoint: EmbeddingEndpoint, *, model: str, dimension: int, ask_for: bool
    ) -> None:
        self._name = name
        self._endpoint = endpoint
        self._model = model
        self._dimension = dimension
        self._asked = {"dimensions": dimension} if ask_for else {}
        self._pace = Pace(endpoint.requests_per_minute)
        key = endpoint.api_key
        headers = {} if key is None else {"authorization": f"Bearer {key.get_secret_value()}"}
        headers |= {said: value.get_secret_value() for said, value in endpoint.headers.items()}
        self._http = httpx.Client(headers=headers, timeout=endpoint.timeout_seconds)
        self._threads = ThreadPoolExecutor(endpoint.in_flight, thread_name_prefix="embed")

    def embed(
        self, texts: Sequence[str], *, on_progress: Callable[[int], None] = lambda _: None
    ) -> list[Floats | Refusal]:
        """Return the vector of each text, or why there is none, in the order given."""
        size = self._endpoint.texts_per_request
        starts = range(0, len(texts), size)
        running = {
            self._threads.submit(self._settle, texts[start : start + size]): start
            for start in starts
        }
        answers: dict[int, list[Floats | Refusal]] = {}
        for done, future in enumerate(as_completed(running), start=1):
            answers[running[future]] = future.result()
            on_progress(done)
        return [answer for start in starts for answer in answers[start]]

    def _settle(self, texts: Sequence[str]) -> list[Floats | Refusal]:
        answer = self._insist(texts)
        if not isinstance(answer, Refusal):
            return list(answer)
        if not answer.of_texts or len(texts) == 1:
            return [answer] * len(texts)
        half = len(texts) // 2
        return [*self._settle(texts[:half]), *self._settle(texts[half:])]

    def _insist(self, texts: Sequence[str]) -> Floats | Refusal:
        """Ask until there is an answer, another attempt makes no sense, or it would take long."""
        answer = self._ask(texts)
        for wait in self._waits():
            if not isinstance(answer, Refusal) or not answer.transient:
                return answer
            due = max(wait, answer.retry_after)
            if due > self._endpoint.patience_seconds:
                return answer
            time.sleep(due)
            answer = self._ask(texts)
        return answer

    def _waits(self) -> Iterator[float]:
        for attempt in range(self._endpoint.attempts - 1):
            yield _FIRST_WAIT * 2**attempt * random.uniform(0.5, 1.5)

    def _ask(self, texts: Sequence[str]) -> Floats | Refusal:
        wait = self._pace.reserve(self._endpoint.patience_seconds)
        if wait > self._endpoint.patience_seconds:
            return Refusal(
                ErrorCategory.RATE_LIMIT,
                f"Endpoint {self._name!r} has no request to spare for {wait:.0f} s.",
                hint="Raise its requests_per_minute, or texts_per_request.",
                transient=True,
                retry_after=wait,
            )
        time.sleep(wait)
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        try:
            answer = self._http.post(
                f"{self._endpoint.url.rstrip('/')}/embeddings", json={**body, **self._asked}
            )
        except httpx.TimeoutException:
            return self._unreachable(ErrorCategory.TIMEOUT, "did not answer in time")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return self._unreachable(ErrorCategory.NETWORK, f"failed: {type(error).__name__}")
        if answer.status_code != httpx.codes.OK:
            return self._refusal(answer)
        return self._read(answer, len(texts))

    def _unreachable(self, category: ErrorCategory, what: str) -> Refusal:
        return Refusal(
            category,
            f"Endpoint {self._name!r} {what}.",
            hint=f"Check STRATA_EMBEDDINGS__{self._name.upper()}__URL and the service behind it.",
            transient=True,
        )

    def _refusal(self, answer: httpx.Response) -> Refusal:
        status = answer.status_code
        message = f"Endpoint {self._name!r} answered {status}"
        if status in (401, 403):  # its words are not repeated: some say the key again
            return Refusal(
                ErrorCategory.AUTHENTICATION,
                f"{message}.",
                hint=f"Check STRATA_EMBEDDINGS__{self._name.upper()}__API_KEY.",
            )
        if status == 429:
            wait = _retry_after(answer)
            return Refusal(
                ErrorCategory.RATE_LIMIT, f"{message}.", transient=True, retry_after=wait
            )
        if status in _REFUSED:
            said = self._words(answer)
            return Refusal(ErrorCategory.VALIDATION, f"{message}{said}.", of_texts=True)
        if status == 408 or status >= 500:
            wait = _retry_after(answer)
            return Refusal(
                ErrorCategory.DEPENDENCY, f"{message}.", transient=True, retry_after=wait
            )
        return Refusal(
            ErrorCategory.DEPENDENCY,
            f"{message}{self._words(answer)}.",
            hint=f"Check its address, and whether it has the model {self._model!r}.",
        )

    def _words(self, answer: httpx.Response) -> str:
        try:
            said = str(answer.json()["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return ""
        for secret in (self._endpoint.api_key, *self._endpoint.headers.values()):
            if secret is not None and secret.get_secret_value():
                said = said.replace(secret.get_secret_value(), "***")
        return f": {said[:_SAID].rstrip('.')}"

    def _read(self, answer: httpx.Response, count: int) -> Floats | Refusal:
        try:
            rows = sorted(answer.json()["data"], key=lambda one: one["index"])
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("Endpoint %s: %s", self._name, type(error).__name__)
            return self._nonsense("what is no list of embeddings")
        if vectors.shape != (count, self._dimension) or not np.isfinite(vectors).all():
            return self._nonsense(
                f"numbers of shape {vectors.shape}, not {(count, self._dimension)}"
            )
        return vectors

    def _nonsense(self, what: str) -> Refusal:
        return Refusal(
            ErrorCategory.DEPENDENCY,
            f"Endpoint {self._name!r} answered with {what}.",
            hint="Check the parameters `model` and `dimension`.",
        )


def _retry_after(answer: httpx.Response) -> float:
    """Return the seconds that a service asks for, said as a number or as a date."""
    said: Any = answer.headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        due = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    aware = due if due.tzinfo else due.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())

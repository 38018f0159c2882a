"""The Dramatiq broker: messages are doorbells. The one module that reads settings on import.

No retries and no delays: backoff lives in MongoDB as `not_before`, and the sweep repairs what got
lost. A message of a process that died is offered again after its heartbeat; the lease in MongoDB
does not wait for that.
"""

from typing import Final

import dramatiq
import redis
from dramatiq.middleware import AsyncIO, ShutdownNotifications, TimeLimit
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.settings import load_settings
from workers.messages import JudgingBroker

_HEARTBEAT_MS: Final = 15_000
_MAINTENANCE_PER_MILLION: Final = 300_000  # of the fetches: dead processes are noticed in seconds
_ANSWER_SECONDS: Final = 2.0
_settings = load_settings()


def make_client(url: str, *, seconds: float = _ANSWER_SECONDS) -> redis.Redis:
    """Return a connection that soon gives up: a submit waits for its ring, and may do without."""
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 1),  # for a connection that was closed while it was idle
    )


broker = JudgingBroker(  # type: ignore[no-untyped-call]
    # Without a URL nothing is reached until the first message, and that says which setting is
    # missing.
    client=make_client(_settings.redis.url or "redis://127.0.0.1:1/0"),
    namespace=f"{_settings.redis.prefix}:dramatiq",
    heartbeat_timeout=_HEARTBEAT_MS,
    maintenance_chance=_MAINTENANCE_PER_MILLION,
    middleware=[TimeLimit(), ShutdownNotifications(), AsyncIO()],
)
dramatiq.set_broker(broker)

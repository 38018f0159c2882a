"""Judges messages: whoever reaches Redis can write some, and only what our actors send is run.

A message is small JSON for an actor of ours on the queue of that actor, and all that it holds are
short texts: ids, which the actors look up in MongoDB. Anything else would stop the queue's consumer
for seconds, wait in memory, or reach a filter as an operator. It is dead-lettered, or dropped where
it is large, and counted.
"""

import inspect
import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from dramatiq import Actor

from models import metrics
from workers.waiting import WaitingBroker

logger = logging.getLogger(__name__)
LARGEST: Final = 4096  # bytes of a message
_ARGUMENT: Final = re.compile(r"[A-Za-z0-9_-]{0,200}")  # ids, and names that are no patterns
_FIELDS: Final = frozenset(
    {"queue_name", "actor_name", "args", "kwargs", "options", "message_id", "message_timestamp"}
)
_OPTIONS: Final = frozenset({"redis_message_id"})  # no delays, no time limits, no callbacks
_ROUNDS: Final = 100  # of refused messages before others have their turn


class MessageRefused(Exception):
    """A message that is not run; its text is the reason, one of few."""


class JudgingBroker(WaitingBroker):
    """A broker whose consumers see only messages that may be run."""

    def do_fetch(self, queue_name: str, count: int) -> list[bytes | None]:
        """Take messages from a queue; what may not be run is put away."""
        for _ in range(_ROUNDS):
            fetched = super().do_fetch(queue_name, count)
            admitted: list[bytes | None] = [
                one for one in fetched if one is not None and self._admits(queue_name, one)
            ]
            if admitted or not fetched:
                return admitted
        return []

    def _admits(self, queue_name: str, body: bytes) -> bool:
        try:
            judge(body, queue_name, self.actors)
        except MessageRefused as refused:
            metrics.MESSAGES_REFUSED.labels(str(refused)).inc()
            logger.warning("A message on queue %s is not run: %s", queue_name, refused)
            self._put_away(queue_name, body)
            return False
        return True

    def _put_away(self, queue_name: str, body: bytes) -> None:
        """Find a message among those just taken: what it says of its own id may be wrong."""
        settle = self.do_ack if len(body) > LARGEST else self.do_nack
        taken: Any = self.client.smembers(
            f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"
        )
        for message_id in taken:
            if self.client.hget(f"{self.namespace}:{queue_name}.msgs", message_id) == body:
                settle(queue_name, message_id)


def judge(body: bytes, queue_name: str, actors: Mapping[str, Actor[Any, Any]]) -> None:
    """Raise MessageRefused unless a message taken from a queue may be run."""
    if len(body) > LARGEST:
        raise MessageRefused("TOO_LARGE")
    message = _read(body)
    actor = actors.get(message["actor_name"])
    if actor is None:
        raise MessageRefused("UNKNOWN_ACTOR")
    if not queue_name == message["queue_name"] == actor.queue_name:
        raise MessageRefused("WRONG_QUEUE")
    if message["options"].keys() != _OPTIONS:
        raise MessageRefused("BAD_OPTIONS")
    _judge_arguments(actor, message["args"], message["kwargs"])


def _read(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MessageRefused("UNREADABLE") from error
    if not isinstance(message, dict) or message.keys() != _FIELDS:
        raise MessageRefused("UNREADABLE")
    kinds = {"args": list, "kwargs": dict, "options": dict, "message_timestamp": int}
    for name, value in message.items():
        if not isinstance(value, kinds.get(name, str)):
            raise MessageRefused("UNREADABLE")
    return message


def _judge_arguments(actor: Actor[Any, Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    for value in (*args, *kwargs.values()):
        if not isinstance(value, str) or not _ARGUMENT.fullmatch(value):
            raise MessageRefused("BAD_ARGUMENTS")
    try:
        inspect.signature(actor.fn).bind(*args, **kwargs)
    except TypeError as error:
        raise MessageRefused("BAD_ARGUMENTS") from error

"""Watching a batch to its end through the `batchEvents` subscription, over several connections.

A connection that breaks is opened again at the cursor of the last message, so nothing is missed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import WebSocketException

from graphql_api.demo.errors import ApiUnreachable, Refused
from graphql_api.demo.frames import Frame
from graphql_api.demo.operations import operation

PAUSE_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 60.0  # an API that is restarted needs a few
_DISCONTINUITY: Final = "BatchDiscontinuity"
_BROKEN: Final = (TransportError, WebSocketException, OSError, TimeoutError)
# A failure of the server's own is worth another try; the rest is about this request.
_TRY_AGAIN: Final = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"})


async def follow_batch(endpoint: str, key: str, batch_id: str) -> AsyncIterator[Frame]:
    """Yield what the stream says until the batch has ended.

    Raises:
        Refused: the key or the batch is unknown.
        ApiUnreachable: nothing was heard for a minute.
    """
    cursor: str | None = None
    broken_since: float | None = None
    while True:
        try:
            async for message in _messages(endpoint, key, {"batchId": batch_id, "after": cursor}):
                broken_since = None
                if message["__typename"] == _DISCONTINUITY:
                    cursor = None  # the place is lost: begin with a snapshot again
                    break
                frame = Frame.parse(message)
                cursor = frame.cursor
                yield frame
                if frame.ended:
                    return
        except _BROKEN as error:
            _give_up_if_refused(error)
            broken_since = broken_since or time.monotonic()
            _give_up_if_too_long(broken_since, error)
        await asyncio.sleep(PAUSE_SECONDS)


async def _messages(
    endpoint: str, key: str, variables: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    transport = WebsocketsTransport(
        url=endpoint.replace("http", "ws", 1),
        init_payload={"authorization": f"Bearer {key}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        connect_args={"proxy": None},
    )
    request = GraphQLRequest(operation("batchEvents"), variable_values=variables)
    async with Client(transport=transport) as session:
        async for answer in session.subscribe(request):
            yield answer["batchEvents"]


def _give_up_if_refused(error: Exception) -> None:
    if isinstance(error, TransportQueryError) and error.errors:
        refused = Refused.from_top_level(error.errors[0])
        if refused.code not in _TRY_AGAIN:
            raise refused from error


def _give_up_if_too_long(broken_since: float, error: Exception) -> None:
    if time.monotonic() - broken_since > PATIENCE_SECONDS:
        raise ApiUnreachable(
            f"The stream of the batch has been broken for {PATIENCE_SECONDS:.0f} s.",
            hint="The logs are in the data folder, under logs/.",
        ) from error

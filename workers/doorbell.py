"""Ringing for a worker. The only way in which other packages reach the queue."""

import logging

from dramatiq.errors import BrokerConnectionError
from redis.exceptions import RedisError

from workers.actors.batches import dispatch_batch

logger = logging.getLogger(__name__)


def ring(batch_id: str) -> None:
    """Ask for a look at a batch now; without Redis the sweep comes to it in a few seconds.

    Blocks on the network: call it in a thread.
    """
    try:
        dispatch_batch.send(batch_id)
    except (BrokerConnectionError, RedisError, OSError) as error:
        logger.warning("No doorbell for %s (%s); the sweep will see it", batch_id, error)

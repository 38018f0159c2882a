"""Ringing for a worker. The only way in which other packages reach the queue."""

import logging
from typing import Any

from dramatiq import Actor
from dramatiq.errors import BrokerConnectionError
from redis.exceptions import RedisError

from workers.actors.batches import dispatch_batch
from workers.actors.webhooks import deliver_webhook

logger = logging.getLogger(__name__)


def ring(batch_id: str) -> None:
    """Ask for a look at a batch now; without Redis the sweep comes to it in a few seconds.

    Blocks on the network: call it in a thread.
    """
    _send(dispatch_batch, batch_id)


def ring_courier(webhook_id: str) -> None:
    """Ask for a webhook's deliveries now; without Redis the sweep comes to them in a few seconds.

    Blocks on the network: call it in a thread.
    """
    _send(deliver_webhook, webhook_id)


def _send(actor: Actor[[str], Any], item_id: str) -> None:
    try:
        actor.send(item_id)
    except (BrokerConnectionError, RedisError, OSError) as error:
        logger.warning("No doorbell for %s (%s); the sweep will see it", item_id, error)

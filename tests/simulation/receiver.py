"""The other end of the webhooks: keeps every request that arrived, and answers as it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.egress import Answer
from models.errors import AddressUnavailable
from tests.simulation.network import Network


@dataclass(frozen=True)
class Received:
    """One request, and how it was answered."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    status: int


@dataclass
class Receiver:
    """Every receiver there is."""

    network: Network
    received: list[Received] = field(default_factory=list)

    async def post(
        self, url: str, content: bytes, *, headers: Mapping[str, str], seconds: float, keep: int
    ) -> Answer:
        """Take a request."""
        chance = self.network.chance

        def take() -> int:
            failing = chance.random() < self.network.faults.receiver_fails
            if failing:
                self.network.injected["receiver failed"] += 1
            self.received.append(Received(url, dict(headers), content, 500 if failing else 200))
            return self.received[-1].status

        status = await self.network.call(
            "receiver", f"post {headers['webhook-id']}", take, lambda: AddressUnavailable("Lost.")
        )
        return Answer(status, {}, b"", 0.01)

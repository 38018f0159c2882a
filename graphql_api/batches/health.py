"""How a batch is doing, in one word and one sentence."""

import strawberry

from graphql_api.enums import Health
from workers.diagnosis.judging import Judgement


@strawberry.type(description="How a batch is doing, judged from stored state alone.")
class BatchHealth:
    """A judgement as shown."""

    state: Health = strawberry.field(description="In one word.")
    summary: str = strawberry.field(description="In one sentence: the worst that was found.")


def show_health(judgement: Judgement) -> BatchHealth:
    """Return a judgement as shown."""
    return BatchHealth(state=judgement.health, summary=judgement.summary)

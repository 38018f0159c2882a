"""A small client of the GraphQL API: queries and mutations over HTTP, typed where the demo looks.

The live stream of a batch is in `following`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from graphql_api.demo.errors import ApiUnreachable, Refused
from graphql_api.demo.operations import operation

Variables = dict[str, Any]


@dataclass(frozen=True)
class Hit:
    """A document that a search found."""

    score: float
    fields: dict[str, Any]


class ApiClient:
    """One address and one key."""

    def __init__(self, endpoint: str, key: str) -> None:
        self.endpoint = endpoint
        self.key = key
        # Loopback must not go through a proxy, and an API that restarts is asked again.
        transport = httpx.AsyncHTTPTransport(retries=3)
        self._http = httpx.AsyncClient(transport=transport, timeout=60.0, trust_env=False)

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self._http.__aexit__(kind, error, trace)

    async def create_namespace(self, name: str) -> tuple[str, str]:
        """Open a namespace with the admin key; return its id and its API key."""
        made = await self.call("createNamespace", {"name": name})
        return made["namespace"]["id"], made["apiKey"]

    async def create_bucket(self, name: str, fields: Sequence[Variables]) -> str:
        """Create a bucket; return its id."""
        made = await self.call("createBucket", {"name": name, "fields": list(fields)})
        return str(made["bucket"]["id"])

    async def create_objects(self, bucket_id: str, objects: Sequence[Variables]) -> list[str]:
        """Register objects, all or an error; return their ids."""
        made = await self.call("createObjects", {"bucketId": bucket_id, "objects": list(objects)})
        for result in made["results"]:
            if result["errors"]:
                raise Refused.from_user_error(result["errors"][0])
        return [result["object"]["id"] for result in made["results"]]

    async def create_collection(self, draft: Variables) -> str:
        """Create a collection from a `CreateCollectionInput`; return its id."""
        made = await self.call("createCollection", {"input": draft})
        return str(made["collection"]["id"])

    async def create_batch(self, bucket_id: str, name: str) -> str:
        """Open a draft; return its id."""
        made = await self.call("createBatch", {"bucketId": bucket_id, "name": name})
        return str(made["batch"]["id"])

    async def add_objects(self, batch_id: str, object_ids: Sequence[str]) -> None:
        """Put at most 1,000 objects into a draft."""
        await self.call("addObjectsToBatch", {"batchId": batch_id, "objectIds": list(object_ids)})

    async def plan_batch(self, batch_id: str) -> Variables:
        """Return what submitting would do."""
        plan: Variables = (await self.call("planBatch", {"batchId": batch_id}))["plan"]
        return plan

    async def submit_batch(self, batch_id: str) -> None:
        """Submit, with a history of its making in each document."""
        await self.call("submitBatch", {"batchId": batch_id, "includeProcessingHistory": True})

    async def batch_status(self, batch_id: str) -> str | None:
        """Return a batch's status; None when there is no such batch."""
        batch = await self.call("batch", {"id": batch_id})
        return str(batch["status"]) if batch else None

    async def search(self, collection_id: str, text: str, *, first: int) -> list[Hit]:
        """Return the documents nearest to a text."""
        wanted = {"collectionId": collection_id, "query": {"text": text}, "first": first}
        found = await self.call("searchDocuments", wanted)
        return [Hit(hit["score"], hit["document"]["fields"]) for hit in found["hits"]]

    async def call(self, name: str, variables: Variables) -> Any:
        """Send one operation and return its only field.

        Raises:
            Refused: the answer names an error.
            ApiUnreachable: there is no answer.
        """
        answer = await self._post({"query": operation(name), "variables": variables})
        if answer.get("errors") or "data" not in answer:
            raise Refused.from_top_level((answer.get("errors") or [answer])[0])
        (payload,) = answer["data"].values()
        if payload and payload.get("userErrors"):
            raise Refused.from_user_error(payload["userErrors"][0])
        return payload

    async def _post(self, request: Variables) -> Variables:
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            response = await self._http.post(self.endpoint, json=request, headers=headers)
            answer: Variables = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ApiUnreachable(
                f"No GraphQL answer from {self.endpoint}: {type(error).__name__}.",
                hint="Is `strata up` running? Its address and port are in its start-up screen.",
            ) from error
        return answer

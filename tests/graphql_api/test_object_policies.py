"""What `policy` says of rows whose key is new or known, through the API as clients ask it."""

import pytest

from tests.fixtures.stack import GraphQL
from tests.graphql_api.calls import ERRORS, call

CREATE_BUCKET = f"""mutation($input: CreateBucketInput!) {{ createBucket(input: $input) {{
  bucket {{ id }} {ERRORS} }} }}"""
CREATE = f"""mutation($input: CreateObjectsInput!) {{ createObjects(input: $input) {{
  createdCount updatedCount failedCount results {{ errors {{ code }} }} {ERRORS} }} }}"""


@pytest.mark.parametrize(
    ("policy", "known", "new"),
    [
        ("INSERT", "NAME_TAKEN", None),
        ("UPDATE", None, "NOT_FOUND"),
        ("UPSERT", None, None),
    ],
)
async def test_a_policy_refuses_what_it_does_not_allow(
    caller: GraphQL, policy: str, known: str | None, new: str | None
) -> None:
    bucket = await call(caller, CREATE_BUCKET, input={"name": f"policy {policy}"})
    bucket_id = bucket["bucket"]["id"]
    first = {"key": "known", "metadata": {"at": 1}}
    await call(caller, CREATE, input={"bucketId": bucket_id, "objects": [first]})

    rows = [{"key": key, "metadata": {"at": 2}} for key in ("known", "new")]
    made = await call(
        caller, CREATE, input={"bucketId": bucket_id, "objects": rows, "policy": policy}
    )

    refused = [[error["code"] for error in result["errors"]] for result in made["results"]]
    assert refused == [[known] if known else [], [new] if new else []]
    assert made["failedCount"] == sum(bool(one) for one in (known, new))
    assert (made["createdCount"], made["updatedCount"]) == (int(not new), int(not known))

"""The audit log: every mutation is in it, before it runs and with what came of it."""

import asyncio
from typing import Any

import pytest
from graphql import GraphQLResolveInfo, build_schema

from graphql_api.auditing import record
from graphql_api.permissions import Principal
from models.api_key import KeyScope, issue_key
from models.audit import OPERATOR, AuditEntry, end_entry
from models.ids import new_id
from models.stores import Stores
from tests.factories import make_audit_entry, make_bucket, store
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import call

LOG = """query($filter: AuditFilter, $first: Int, $after: String, $namespaceId: ID) {
  auditLog(filter: $filter, first: $first, after: $after, namespaceId: $namespaceId) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { node { id action keyId address requestId subjectIds outcome at } } } }"""
BUCKET = """mutation($name: String!) { createBucket(input: {name: $name}) {
  bucket { id } userErrors { code } } }"""
BATCH = """mutation($id: ID!) { createBatch(input: {bucketId: $id}) {
  batch { id } userErrors { code } } }"""


def entries(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in answer["edges"]]


async def test_says_who_did_what_and_what_came_of_it(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    """Newest first; ids of the input and of the answer."""
    bucket = (await call(caller, BUCKET, name="things"))["bucket"]
    await call(caller, BUCKET, name="things")
    batch = (await call(caller, BATCH, id=bucket["id"]))["batch"]

    found = entries(await call(caller, LOG))

    assert [(one["action"], one["outcome"], one["subjectIds"]) for one in found] == [
        ("createBatch", "DONE", [bucket["id"], batch["id"]]),
        ("createBucket", "NAME_TAKEN", []),
        ("createBucket", "DONE", [bucket["id"]]),
    ]
    key_id = namespace.api_key.removeprefix("strata_")[:30]
    assert {one["keyId"] for one in found} == {key_id}
    assert {one["address"] for one in found} == {"127.0.0.1"}
    assert len({one["requestId"] for one in found}) == 3


async def test_a_refusal_is_on_record(
    api: RunningApi, caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    key, secret = issue_key(namespace.id, name="reader", scopes=[KeyScope.READ])
    await store(key)
    await api.caller(secret).answer(BUCKET, name="things")

    (entry,) = entries(await call(caller, LOG, filter={"keyId": key.id}))

    assert (entry["action"], entry["outcome"]) == ("createBucket", "FORBIDDEN")


async def test_what_the_operator_does_to_a_namespace_its_admin_can_see(
    api: RunningApi, stores: Stores, caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    admin = stores.settings.admin_key
    assert admin is not None
    operator = api.caller(admin.get_secret_value())
    create = """mutation($id: ID) { createApiKey(input: {
      name: "rescue", scopes: [READ], namespaceId: $id}) { userErrors { code } } }"""
    opened = """mutation($name: String!) { createNamespace(input: {name: $name}) {
      namespace { id } } }"""
    await call(operator, create, id=namespace.id)
    made = (await call(operator, opened, name=new_id("ns")))["namespace"]["id"]

    mine = entries(await call(caller, LOG))
    theirs = entries(await call(operator, LOG, namespaceId=made))

    assert [(one["action"], one["keyId"]) for one in mine] == [("createApiKey", "admin")]
    assert [(one["action"], one["subjectIds"]) for one in theirs] == [("createNamespace", [made])]
    assert await AuditEntry.find({"namespace_id": OPERATOR, "subject_ids": made}).count() == 0


async def test_it_is_read_by_filter_and_page(
    caller: GraphQL, namespace: NamespaceOfTest, other_caller: GraphQL
) -> None:
    actions = ["createBucket", "createBatch"] * 3
    await store(*(make_audit_entry(namespace.id, action=action) for action in actions))
    first = await call(caller, LOG, first=2, filter={"action": "createBatch"})
    after = first["pageInfo"]["endCursor"]

    second = await call(caller, LOG, first=2, after=after, filter={"action": "createBatch"})
    other = await caller.answer(LOG, first=2, after=after, filter={"action": "createBucket"})
    past = await call(caller, LOG, filter={"until": "2020-01-01T00:00:00Z"})

    assert (first["totalCount"], len(entries(first)), len(entries(second))) == (3, 2, 1)
    assert other["errors"][0]["extensions"]["reason"] == "INVALID_CURSOR"
    assert past["totalCount"] == 0
    assert (await call(other_caller, LOG))["totalCount"] == 0


async def test_an_outcome_is_never_rewritten(stores: Stores, namespace: NamespaceOfTest) -> None:
    entry = make_audit_entry(namespace.id, outcome=None)
    await store(entry)

    for outcome in ("FAILED", "DONE"):
        await end_entry(entry.id, outcome=outcome, subject_ids=[], namespace_id=entry.namespace_id)

    kept = await AuditEntry.get(entry.id)
    assert kept is not None
    assert kept.outcome == "FAILED"


class _Context:
    """What the log needs to know of a request."""

    def __init__(self, namespace_id: str) -> None:
        self.principal = Principal("key_of_test", namespace_id)
        self.address = "192.0.2.1"
        self.request_id = new_id("evt")


async def test_a_mutation_that_is_cut_off_has_been_written_down(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    """At the time of its effect the entry is there; a crash leaves it without an outcome."""
    seen: list[AuditEntry] = []

    async def effect(_: Any, info: GraphQLResolveInfo[Any]) -> None:
        await store(make_bucket(namespace.id))
        seen.extend(await AuditEntry.find({"namespace_id": namespace.id}).to_list())
        raise asyncio.CancelledError

    schema = build_schema("type Query { a: Int } type Mutation { run: Int }")
    assert schema.mutation_type is not None
    schema.mutation_type.fields["run"].resolve = effect
    record(schema)
    resolve = schema.mutation_type.fields["run"].resolve
    assert resolve is not None
    info = type("Info", (), {"context": _Context(namespace.id), "field_name": "run"})()

    with pytest.raises(asyncio.CancelledError):
        await resolve(None, info)

    assert [(one.action, one.outcome) for one in seen] == [("run", None)]
    (kept,) = await AuditEntry.find({"namespace_id": namespace.id}).to_list()
    assert kept.outcome == "CUT_OFF"

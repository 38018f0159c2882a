"""The authorisation matrix (S40): every field of the schema against every kind of caller.

Generated: a new field is in it at once, and a root field without a row in `graphql_api.rights`
stops the schema from being assembled. Callers without the right learn nothing; to a stranger a
foreign thing looks like an absent one, word for word.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from graphql import (
    GraphQLObjectType,
    build_schema,
    parse,
    validate,
)

from graphql_api.rights import ROOT_FIELDS, TYPES, Right, guard, root_fields
from graphql_api.schema import schema
from models.api_key import EVERYTHING, ApiKey, KeyScope, issue_key
from models.audit import AuditEntry
from models.batch import Tier
from models.database import MODELS
from models.delivery import Attempt
from models.errors import Misconfigured
from models.ids import new_id
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores
from tests.factories import (
    make_audit_entry,
    make_batch,
    make_block,
    make_bucket,
    make_collection,
    make_delivery,
    make_document,
    make_object,
    make_row_error,
    make_task,
    make_webhook,
    store,
)
from tests.fixtures.api import RunningApi
from tests.graphql_api.generated import paths_to_types, root_operation, type_operation
from workers.namespaces import open_namespace

CANARY = "canary-of-the-owner"
SCHEMA = build_schema(schema.as_str())  # as clients see it, one-of inputs included
PATHS = paths_to_types(SCHEMA)
OBJECT_TYPES = sorted(PATHS)
OWNED = (  # the types with an id of which the world has one
    "ApiKey", "AuditEntry", "Batch", "Bucket", "Collection", "Document", "Namespace", "Object",
    "RowError", "Task",
)  # fmt: skip
REFUSED = ("nobody", "unknown", "mistyped", "revoked", "expired")
ORDER = (Right.READ, Right.WRITE, Right.ADMIN, Right.OPERATOR)
# The scopes of a key that lacks just what a right asks for.
LESS: Mapping[Right, tuple[KeyScope, ...]] = {
    Right.READ: (KeyScope.INTROSPECT,),
    Right.WRITE: (KeyScope.READ, KeyScope.INTROSPECT),
    Right.ADMIN: (KeyScope.WRITE, KeyScope.INTROSPECT),
    Right.OPERATOR: EVERYTHING,
}


@dataclass(frozen=True)
class World:
    """An owner with one thing of each kind, and keys that must not open it."""

    ids: dict[str, str]
    absent: dict[str, str]
    keys: dict[str, str | None]
    scoped: dict[tuple[KeyScope, ...], str]
    stranger: str


@pytest.fixture(scope="module")
async def world(stores: Stores) -> AsyncIterator[World]:
    """One owner for the whole matrix, of whom nothing may be changed in the end."""
    owner, good = await open_namespace(stores, new_id("ns"))
    bucket = make_bucket(owner.id, name=CANARY, description=CANARY)
    thing = make_object(bucket, key=CANARY, metadata={"number": CANARY})
    collection = make_collection(bucket, name=CANARY)
    batch = make_batch(
        owner.id, bucket_id=bucket.id, name=CANARY, status=BatchStatus.COMPLETED,
    )  # fmt: skip
    block = make_block(batch, collection_id=collection.id)
    batch.tiers = [Tier(number=0, collection_ids=[collection.id])]
    task, document = make_task(batch), make_document(block, object_id=thing.id)
    failure, shown = make_row_error(batch), issue_key(owner.id, name=CANARY)[0]
    entry = make_audit_entry(owner.id, key_id=shown.id)
    await store(bucket, thing, collection, batch, block, task, document, failure, shown, entry)
    webhook = make_webhook(owner.id, description=CANARY)
    delivery = make_delivery(webhook, log=[Attempt(url=CANARY, request_headers={})])
    await store(webhook, delivery)
    things = {
        "webhook": webhook.id,
        "delivery": delivery.id,
        "bucket": bucket.id,
        "object": thing.id,
        "collection": collection.id,
        "document": document.id,
        "task": task.id,
        "namespace": owner.id,
        "rowError": failure.id,
        "key": shown.id,
        "auditEntry": entry.id,
        "batch": batch.id,
        "": batch.id,
    }
    keys: dict[str, str | None] = {"good": good, "nobody": None}
    for name, values in (
        ("revoked", {"revoked_at": now()}),
        ("expired", {"expires_at": now() - timedelta(seconds=1)}),
    ):
        key, keys[name] = issue_key(owner.id, name=name)
        await store(key.model_copy(update=values))
    _, keys["unknown"] = issue_key(owner.id, name="never stored")
    keys["mistyped"] = good[:-1] + ("A" if good[-1] != "A" else "B")
    scoped = {}
    for scopes in LESS.values():
        key, scoped[scopes] = issue_key(owner.id, name=CANARY, scopes=scopes)
        await store(key)
    _, stranger = await open_namespace(stores, new_id("ns"))
    absent = {kind: _like(one) for kind, one in things.items()}
    before = await state_of(owner.id)
    yield World(things, absent, keys, scoped, stranger)
    assert await state_of(owner.id) == before


def _like(one: str) -> str:
    """Return an absent id of the same form."""
    head, mark, tail = one.rpartition("_")
    return head + mark + (tail[1:] + tail[:1] if mark else tail[::-1].replace("-", "", 4))


@dataclass(frozen=True)
class Answer:
    """What came back: codes of the errors, the data, and the whole text without request ids."""

    codes: tuple[str, ...]
    data: Any
    text: str


async def ask(api: RunningApi, key: str | None, query: str, variables: dict[str, Any]) -> Answer:
    """Send an operation by the transport that fits; a subscription answers with one frame."""
    if query.startswith("subscription"):
        async with api.open_socket(key, init=False) as socket:
            payload = {} if key is None else {"Authorization": f"Bearer {key}"}
            await socket.send({"type": "connection_init", "payload": payload})
            await socket.subscribe(query, variables)
            try:
                await socket.receive()
            except Exception:
                return Answer((f"closed {await socket.closed()}",), None, "")
            body = (await socket.receive())["payload"]
        body = {"errors": body} if isinstance(body, list) else body
    else:
        response = await api.post({"query": query, "variables": variables}, key)
        body = response.json()
    shown = {name: part for name, part in body.items() if name != "extensions"}  # the cost
    text = re.sub(r'"requestId": ?"\w+"', "", json.dumps(shown, sort_keys=True))
    codes = tuple(error["extensions"]["code"] for error in body.get("errors", []))
    return Answer(codes, body.get("data"), text)


def nothing_shown(value: Any) -> bool:
    """Tell whether an answer holds no value but type names."""
    if isinstance(value, dict):
        return all(name == "__typename" or nothing_shown(child) for name, child in value.items())
    if isinstance(value, list):
        return all(nothing_shown(child) for child in value)
    return value is None


def is_refused(answer: Answer, code: str) -> bool:
    closed = code == "UNAUTHENTICATED" and answer.codes == ("closed 4403",)
    return (closed or set(answer.codes) == {code}) and nothing_shown(answer.data)


async def state_of(namespace_id: str) -> dict[str, list[str]]:
    """Return everything that is stored of a namespace, but for who used its keys for what."""
    found = {}
    for model in set(MODELS) - {AuditEntry}:
        cursor = model.get_pymongo_collection().find({"namespace_id": namespace_id})
        rows = [{**row, "last_used_at": None} async for row in cursor]
        found[model.__name__] = sorted(json.dumps(row, default=str, sort_keys=True) for row in rows)
    return found


@pytest.mark.parametrize("name", sorted(root_fields(SCHEMA)))
async def test_no_caller_without_the_right_reaches_a_root_field(
    api: RunningApi, world: World, name: str
) -> None:
    query, variables = root_operation(SCHEMA, name, world.ids)
    assert validate(SCHEMA, parse(query)) == []
    callers = [*(world.keys[caller] for caller in REFUSED), world.scoped[LESS[ROOT_FIELDS[name]]]]

    answers = await asyncio.gather(*(ask(api, key, query, variables) for key in callers))

    for caller, answer in zip(REFUSED, answers, strict=False):
        assert is_refused(answer, "UNAUTHENTICATED"), (caller, answer)
    assert is_refused(answers[-1], "FORBIDDEN"), answers[-1]


@pytest.mark.parametrize("name", sorted(root_fields(SCHEMA)))
async def test_to_a_stranger_a_foreign_thing_looks_absent(
    api: RunningApi, stores: Stores, world: World, name: str
) -> None:
    """Two strangers, alike but for the ids they ask for, read the same words."""
    texts = []
    for ids in (world.ids, world.absent):
        key = await stranger_for(name, stores, world)
        query, variables = root_operation(SCHEMA, name, ids)
        answer = await ask(api, key, query, variables)
        assert CANARY not in answer.text
        shown = answer.text
        for kind, one in ids.items():
            shown = shown.replace(one, f"<{kind}>")
        texts.append(_without_own(shown))

    assert texts[0] == texts[1]


async def stranger_for(root_field: str, stores: Stores, world: World) -> str:
    """Return a stranger's key: a fresh one for what changes its namespace."""
    if not root_field.startswith("Mutation."):
        return world.stranger
    return (await open_namespace(stores, new_id("ns")))[1]


def _without_own(text: str) -> str:
    """Drop what two strangers legitimately have of their own: ids, keys, times, cursors."""
    text = re.sub(r"strata_key_\w+", "<secret>", text)
    text = re.sub(r"\b[a-z]{2,3}_[0-9A-HJKMNP-TV-Z]{26}\b", "<own>", text)
    text = re.sub(r'"tookMs": [\d.]+', "<took>", text)
    text = re.sub(r'"remaining": ?\d+', "<points>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)
    return re.sub(r'"\w*[cC]ursor": "[\w-]+"', "<cursor>", text)


@pytest.mark.parametrize("name", OBJECT_TYPES)
async def test_no_caller_without_the_right_reads_a_field_of_any_type(
    api: RunningApi, stores: Stores, world: World, name: str
) -> None:
    """All fields of the type at once, along a shortest path to it."""
    path = PATHS[name]
    query, variables = type_operation(SCHEMA, name, path, world.ids)
    assert validate(SCHEMA, parse(query)) == [], query
    root = ROOT_FIELDS[".".join(path.steps[0])]
    needed = max(root, TYPES.get(name, root), key=ORDER.index)

    callers = [
        *(world.keys[caller] for caller in REFUSED),
        world.scoped[LESS[needed]],
        await stranger_for(".".join(path.steps[0]), stores, world),
    ]

    answers = await asyncio.gather(*(ask(api, key, query, variables) for key in callers))

    for caller, answer in zip(REFUSED, answers, strict=False):
        assert is_refused(answer, "UNAUTHENTICATED"), (caller, answer)
    hidden = answers[-2] == Answer((), {"node": None}, '{"data": {"node": null}}')
    assert is_refused(answers[-2], "FORBIDDEN") or (hidden and name in TYPES), answers[-2]
    assert CANARY not in answers[-1].text


@pytest.mark.parametrize("name", OWNED)
async def test_the_owner_reads_what_the_matrix_hides(
    api: RunningApi, world: World, name: str
) -> None:
    """Without this the matrix might ask for things that nobody could see."""
    path = PATHS[name]
    query, variables = type_operation(SCHEMA, name, path, world.ids)

    answer = await ask(api, world.keys["good"], query, variables)

    assert answer.codes == ()
    assert not nothing_shown(answer.data), answer


@pytest.mark.parametrize(
    "field", ["__schema { queryType { name } }", '__type(name: "Batch") { name }']
)
async def test_the_schema_itself_needs_the_scope_introspect(
    api: RunningApi, stores: Stores, world: World, field: str
) -> None:
    key, secret = issue_key(new_id("ns"), name="developer", scopes=[KeyScope.INTROSPECT])
    ordinary, without = issue_key(new_id("ns"), name="ordinary", scopes=[KeyScope.ADMIN])
    await store(key, ordinary)

    assert (await ask(api, secret, f"{{ {field} }}", {})).codes == ()
    for refused in (without, None):
        answer = await ask(api, refused, f"{{ {field} }}", {})
        assert is_refused(answer, "FORBIDDEN"), answer


def test_a_root_field_without_a_row_stops_the_schema() -> None:
    """The message says what to write and where."""
    added = build_schema("type Query { batch: String unheardOf: String }")

    with pytest.raises(Misconfigured, match=r"Query\.unheardOf") as failure:
        guard(added)

    assert "graphql_api/rights.py" in failure.value.hint
    assert '"Query.unheardOf": Right.READ,' in failure.value.hint


def test_no_row_is_left_of_a_field_that_is_gone() -> None:
    """A stale row would give its right to whatever takes the name next."""
    assert ROOT_FIELDS.keys() - root_fields(SCHEMA).keys() == set()
    assert TYPES.keys() - SCHEMA.type_map.keys() == set()


def test_every_object_type_is_in_the_matrix() -> None:
    """None is reachable by another way than a guarded root field."""
    kinds = {
        name
        for name, kind in SCHEMA.type_map.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
    }

    assert kinds - {"Query", "Mutation", "Subscription"} == set(OBJECT_TYPES) - {
        "Query", "Mutation", "Subscription",
    }  # fmt: skip


@pytest.mark.parametrize("scopes", [[scope] for scope in KeyScope])
def test_a_scope_includes_those_below_it(scopes: list[KeyScope]) -> None:
    key, _ = issue_key("ns", name="key", scopes=scopes)
    ranks = [KeyScope.READ, KeyScope.WRITE, KeyScope.ADMIN]
    expected = (
        {KeyScope.INTROSPECT}
        if scopes == [KeyScope.INTROSPECT]
        else set(ranks[: ranks.index(scopes[0]) + 1])
    )

    assert key.granted == expected
    assert ApiKey.model_validate({**key.to_mongo(), "scopes": []}).granted == frozenset()

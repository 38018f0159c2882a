"""API keys: made, listed, rotated, revoked; scopes; last use; failed attempts (S45)."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from models.api_key import ApiKey, KeyScope, end_key, issue_key, note_use
from models.ids import new_id
from models.scope import Scope
from models.settings import LimitSettings
from models.stored import now
from models.stores import Stores
from tests.factories import store
from tests.fixtures.api import RunningApi, Socket, serve_api
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import call, codes
from workers.keys import MAX_KEYS, create_key
from workers.namespaces import open_namespace

ERRORS = "userErrors { code message path hint }"
CREATE = f"""mutation($input: CreateApiKeyInput!) {{ createApiKey(input: $input) {{
  secret replayed apiKey {{ id name scopes usable expiresAt rotatedFrom }} {ERRORS} }} }}"""
ROTATE = f"""mutation($input: RotateApiKeyInput!) {{ rotateApiKey(input: $input) {{
  secret replayed apiKey {{ id name scopes usable expiresAt rotatedFrom }} {ERRORS} }} }}"""
REVOKE = f"""mutation($input: RevokeApiKeyInput!) {{ revokeApiKey(input: $input) {{
  replayed apiKey {{ id usable revokedAt }} {ERRORS} }} }}"""
KEYS = """query($namespaceId: ID) { apiKeys(namespaceId: $namespaceId, first: 100) {
  totalCount edges { node { id name usable lastUsedAt expiresAt } } } }"""
MINE = "{ namespace { id } }"


def listed(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {edge["node"]["name"]: edge["node"] for edge in answer["edges"]}


async def test_a_key_does_what_its_scopes_say(
    api: RunningApi, caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    made = await call(caller, CREATE, input={"name": "reader", "scopes": ["READ"]})
    reader = api.caller(made["secret"])

    assert made["apiKey"]["scopes"] == ["READ"]
    assert (await reader.data(MINE))["namespace"]["id"] == namespace.id
    for refused in (
        'mutation { createBucket(input: {name: "one"}) { bucket { id } } }',
        KEYS,
        "{ __schema { description } }",
    ):
        answer = await reader.answer(refused)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_repeated_creation_shows_the_secret_no_more(caller: GraphQL) -> None:
    """It is stored nowhere in readable form."""
    given = {"name": "one", "scopes": ["READ"], "idempotencyKey": "key"}

    first, second = [await call(caller, CREATE, input=given) for _ in range(2)]

    assert first["secret"].startswith("strata_key_")
    assert (second["secret"], second["replayed"]) == (None, True)
    assert first["apiKey"] == second["apiKey"]


async def test_a_rotated_key_works_until_the_overlap_ends(
    api: RunningApi, caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    old = await call(caller, CREATE, input={"name": "one", "scopes": ["WRITE", "INTROSPECT"]})
    key_id = old["apiKey"]["id"]

    new = await call(caller, ROTATE, input={"id": key_id, "overlapSeconds": 600})
    ending = await ApiKey.get(key_id)

    assert new["apiKey"] == {**old["apiKey"], "id": new["apiKey"]["id"], "rotatedFrom": key_id}
    assert ending is not None
    assert ending.expires_at is not None
    assert timedelta(seconds=590) < ending.expires_at - now() <= timedelta(seconds=600)
    for secret in (old["secret"], new["secret"]):
        assert (await api.caller(secret).data(MINE))["namespace"]["id"] == namespace.id

    await call(caller, ROTATE, input={"id": new["apiKey"]["id"], "overlapSeconds": 0})
    again = await call(caller, ROTATE, input={"id": new["apiKey"]["id"]})
    assert codes(again) == [("CONFLICT", ["id"])]


async def test_rotation_never_prolongs_a_key(stores: Stores, namespace: NamespaceOfTest) -> None:
    """It ends when it would have ended, or with the overlap, whichever is sooner."""
    soon = now() + timedelta(seconds=5)
    key, _ = issue_key(namespace.id, name="one", expires_at=soon)
    await store(key)

    async with stores.database.client.start_session() as session:
        await end_key(key.id, "expires_at", now() + timedelta(days=1), session=session)
    kept = await ApiKey.get(key.id)

    assert kept is not None
    assert kept.expires_at == soon


async def test_a_revoked_key_opens_nothing_and_its_socket_is_closed(stores: Stores) -> None:
    """Refused within 5 s; the socket ends at the next heartbeat past the check, with 4403."""
    _, good = await open_namespace(stores, new_id("ns"))
    async with serve_api(stores, heartbeat_seconds=2.0, revalidate_seconds=0.5) as api:
        caller = api.caller(good)
        made = await call(caller, CREATE, input={"name": "lost", "scopes": ["READ"]})
        lost = api.caller(made["secret"])
        async with api.open_socket(made["secret"]) as socket:
            listening = asyncio.create_task(answer_pings(socket))
            await lost.data(MINE)

            gone = await call(caller, REVOKE, input={"id": made["apiKey"]["id"]})
            revoked = time.monotonic()
            async with asyncio.timeout(5):
                while "data" in await lost.answer(MINE):
                    await asyncio.sleep(0.1)
            code = await listening

    assert (gone["apiKey"]["usable"], gone["userErrors"]) == (False, [])
    assert code == 4403
    assert time.monotonic() - revoked < 60


async def answer_pings(socket: Socket) -> int | None:
    """Return the code with which the server closes."""
    with suppress(ConnectionClosed):
        await socket.receive(60)
    return socket.connection.close_code


async def test_revoking_twice_keeps_the_first_moment(caller: GraphQL) -> None:
    made = await call(caller, CREATE, input={"name": "one", "scopes": ["READ"]})

    first, second = [
        await call(caller, REVOKE, input={"id": made["apiKey"]["id"]}) for _ in range(2)
    ]

    assert first["apiKey"]["revokedAt"] == second["apiKey"]["revokedAt"]
    assert first["apiKey"]["revokedAt"] is not None


async def test_last_use_is_written_once_a_minute(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    key, secret = issue_key(namespace.id, name="one")
    await store(key)
    await api.caller(secret).data(MINE)
    used = await ApiKey.get(key.id)
    assert used is not None
    assert used.last_used_at is not None

    await note_use(key)  # as another process does, which has read the key before that
    again = await ApiKey.get(key.id)
    await ApiKey.get_pymongo_collection().update_one(
        {"_id": key.id}, {"$set": {"last_used_at": used.last_used_at - timedelta(seconds=61)}}
    )
    await note_use(key)
    later = await ApiKey.get(key.id)

    assert again is not None
    assert again.last_used_at == used.last_used_at
    assert later is not None
    assert later.last_used_at is not None
    assert later.last_used_at >= used.last_used_at


async def test_keys_are_listed_for_the_admin_of_the_namespace(
    api: RunningApi, stores: Stores, caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    await call(caller, CREATE, input={"name": "one", "scopes": ["READ"]})
    admin = stores.settings.admin_key
    assert admin is not None
    operator = api.caller(admin.get_secret_value())

    mine = await call(caller, KEYS)
    theirs = await call(operator, KEYS, namespaceId=namespace.id)
    foreign = await caller.answer(KEYS, namespaceId=new_id("ns"))

    assert listed(mine).keys() == {"first", "one"}
    assert listed(theirs).keys() == {"first", "one"}
    assert foreign["errors"][0]["extensions"]["reason"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("values", "code", "path"),
    [
        ({"scopes": []}, "INVALID_INPUT", ["scopes"]),
        ({"name": ""}, "INVALID_INPUT", ["name"]),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "INVALID_INPUT", ["expiresAt"]),
        ({"namespaceId": "ns_01KB0000000000000000000000"}, "NOT_FOUND", ["namespaceId"]),
    ],
)
async def test_says_what_is_wrong_with_a_key(
    caller: GraphQL, values: dict[str, Any], code: str, path: list[str]
) -> None:
    answer = await call(caller, CREATE, input={"name": "one", "scopes": ["READ"], **values})

    assert codes(answer) == [(code, path)]
    assert answer["secret"] is None


async def test_a_namespace_has_not_more_keys_than_it_may(
    stores: Stores, caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    await store(*(issue_key(namespace.id, name="one")[0] for _ in range(MAX_KEYS - 1)))

    answer = await call(caller, CREATE, input={"name": "one", "scopes": ["READ"]})

    assert codes(answer) == [("CONFLICT", [])]


async def test_keys_of_another_namespace_are_absent(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    foreign, _ = issue_key(new_id("ns"), name="foreign")
    await store(foreign)

    for query in (ROTATE, REVOKE):
        for key_id in (foreign.id, new_id("key")):
            answer = await call(caller, query, input={"id": key_id})
            assert codes(answer) == [("NOT_FOUND", ["id"])]
            assert answer["userErrors"][0]["message"] == f"No key {key_id!r} here."
    kept = await ApiKey.get(foreign.id)
    assert kept is not None
    assert kept.usable


async def test_s45_guessing_is_slowed_down_and_locks_nobody_out(stores: Stores) -> None:
    """A right id with a wrong secret is looked up, and counts; who was good goes on."""
    namespace, good = await open_namespace(stores, new_id("ns"))
    _, unused = await create_key(Scope(namespace.id), name="unused", scopes=[KeyScope.READ])
    assert unused is not None
    guesses = [issue_key(namespace.id, name="guess")[1] for _ in range(8)]
    # From an address of its own, for other tests fail to authenticate from the usual one.
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.45")
    async with (
        serve_api(stores, limits=LimitSettings(failed_attempts=5)) as served,
        httpx.AsyncClient(transport=transport, timeout=30) as client,
    ):
        api = replace(served, client=client)
        await api.caller(good).data(MINE)

        answers = [await api.post({"query": MINE}, guess) for guess in guesses]
        after = await api.caller(good).data(MINE)
        never_seen = await api.post({"query": MINE}, unused)

    statuses = [answer.status_code for answer in answers]
    assert statuses[:5] == [401] * 5
    assert set(statuses[6:]) == {429}
    limited = answers[-1]
    assert limited.json()["errors"][0]["extensions"]["reason"] == "FAILED_AUTHENTICATION"
    assert int(limited.headers["retry-after"]) >= 1
    assert after["namespace"]["id"] == namespace.id
    assert never_seen.status_code == 429  # it may wait: nobody knows yet that it is good


async def test_s45_a_key_in_the_address_opens_nothing(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    for name in ("key", "api_key", "authorization", "access_token"):
        response = await api.client.post(
            f"{api.endpoint}?{name}={namespace.api_key}", json={"query": MINE}
        )
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"

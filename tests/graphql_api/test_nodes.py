"""`node` and `nodes`."""

from graphql import GraphQLInterfaceType

from graphql_api.nodes import KINDS
from graphql_api.schema import schema
from models.api_key import KeyScope, issue_key
from models.ids import new_id
from tests.factories import make_batch, make_bucket, make_object, store
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest

NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
NODE = "query($id: ID!) { node(id: $id) { __typename id ... on Bucket { name } } }"


async def test_nodes_keep_their_order_and_gaps(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    bucket, batch = make_bucket(namespace.id), make_batch(namespace.id)
    thing, foreign = make_object(bucket), make_bucket(new_id("ns"))
    await store(bucket, batch, thing, foreign)
    ids = [thing.id, new_id("bkt"), bucket.id, foreign.id, namespace.id, batch.id, bucket.id]

    found = (await caller.data(NODES, ids=ids))["nodes"]

    assert found == [
        {"__typename": "Object", "id": thing.id},
        None,
        {"__typename": "Bucket", "id": bucket.id},
        None,
        {"__typename": "Namespace", "id": namespace.id},
        {"__typename": "Batch", "id": batch.id},
        {"__typename": "Bucket", "id": bucket.id},
    ]


async def test_a_node_shows_the_fields_of_its_type(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id, name="things")
    await store(bucket)

    assert (await caller.data(NODE, id=bucket.id))["node"] == {
        "__typename": "Bucket",
        "id": bucket.id,
        "name": "things",
    }


async def test_what_is_no_id_is_refused(caller: GraphQL) -> None:
    for wrong in ("", "bkt_", "bkt_short", "xyz_01KB0000000000000000000000", "a-b"):
        answer = await caller.answer(NODE, id=wrong)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", wrong
        assert answer["data"] is None or answer["data"]["node"] is None
    too_many = await caller.answer(NODES, ids=[new_id("bkt")] * 101)
    assert too_many["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_key_that_may_only_read_does_not_learn_of_keys(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    """Nor whether there is such a key."""
    key, secret = issue_key(namespace.id, name="reader", scopes=[KeyScope.READ])
    await store(key)
    query = "query($id: ID!) { node(id: $id) { id } }"

    answers = [await api.caller(secret).answer(query, id=one) for one in (key.id, new_id("key"))]
    seen = await api.caller(namespace.api_key).data(query, id=key.id)

    assert [answer["data"] for answer in answers] == [{"node": None}] * 2
    assert all("errors" not in answer for answer in answers)
    assert seen == {"node": {"id": key.id}}


def test_every_type_with_an_id_can_be_found_by_it() -> None:
    """A new type that implements Node needs a row in KINDS of graphql_api/nodes.py."""
    node = schema._schema.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    kinds = {kind.name for kind in schema._schema.get_possible_types(node)}
    shown = {show.__annotations__["return"].__name__ for _, show in KINDS.values()}

    assert kinds - shown == set(), "add them to KINDS in graphql_api/nodes.py"

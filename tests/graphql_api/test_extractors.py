"""The catalogue of extractors as the API shows it."""

from engine.plugins import allow_plugins
from tests.factories import make_bucket, store
from tests.fixtures.plugins import SHOUT, Install
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import ERRORS, call, codes

CREATE = f"""mutation($input: CreateCollectionInput!) {{
  createCollection(input: $input) {{ collection {{ id }} {ERRORS} }}
}}"""


async def test_the_catalogue_says_what_extractors_are(caller: GraphQL) -> None:
    query = """{ extractors { name version origin package inputs { name kind }
      outputs { name type mediaType } parametersSchema resources { cpus gpus memoryMb }
      vectors { name kind dimension distance idf featureUri }
      availability { available message hint } } }"""

    found = (await caller.data(query))["extractors"]

    by_name = {one["name"]: one for one in found}
    text = by_name["text"]
    assert text["parametersSchema"]["properties"]["chunk_size"]["minimum"] == 1
    assert text["vectors"] == [
        {"name": "embedding", "kind": "DENSE", "dimension": 384, "distance": "cosine",
         "idf": False, "featureUri": "strata://text@v1/embedding"}
    ]  # fmt: skip
    assert (text["origin"], text["package"]) == ("BUILT_IN", None)
    assert text["resources"] == {"cpus": 1.0, "gpus": 0.0, "memoryMb": 1024}
    assert text["availability"] == {"available": True, "message": None, "hint": None}
    (terms,) = by_name["sparse"]["vectors"]
    assert (terms["kind"], terms["idf"]) == ("SPARSE", True)
    absent = by_name["late_interaction"]["availability"]
    assert (absent["available"], absent["hint"] != "") == (False, True)
    assert by_name["embed_api"]["vectors"] is None  # its parameters have no defaults


async def test_vectors_follow_from_parameters(caller: GraphQL) -> None:
    query = """query($given: JSON) { extractors { name vectors(parameters: $given) {
      name dimension } } }"""

    found = await caller.answer(query, given={"vector_dimension": 3})

    by_name = {one["name"]: one["vectors"] for one in found["data"]["extractors"]}
    assert by_name["passthrough"] == [{"name": "vector", "dimension": 3}]
    assert by_name["text"] is None
    assert {error["extensions"]["code"] for error in found["errors"]} == {"BAD_USER_INPUT"}


async def test_plugins_are_listed_where_they_can_be_loaded(
    caller: GraphQL, namespace: NamespaceOfTest, install_plugin: Install
) -> None:
    install_plugin(
        "strata-shout",
        {"shout@v1": "shouting:Shout", "broken@v1": "breaking:Shout"},
        shouting=SHOUT,
        breaking="1 / 0",
    )
    allow_plugins(["shout@v1", "broken@v1"])
    bucket = make_bucket(namespace.id)
    await store(bucket)

    found = (await caller.data("{ extractors { name origin package } }"))["extractors"]
    loud, broken = [
        await call(
            caller,
            CREATE,
            input={"name": name, "source": {"bucketId": bucket.id}, "extractor": {"name": name},
                   "inputMappings": [{"input": "text", "path": "content"}]},
        )
        for name in ("shout", "broken")
    ]  # fmt: skip

    theirs = [one for one in found if one["origin"] == "PLUGIN"]
    assert theirs == [{"name": "shout", "origin": "PLUGIN", "package": "strata-shout 1.2"}]
    assert codes(broken) == [("EXTRACTOR_UNAVAILABLE", ["extractor", "name"])]
    assert codes(loud) == []

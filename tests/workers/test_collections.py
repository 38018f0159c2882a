import asyncio
from typing import Any

import pytest

from engine.nets.errors import NetMissing
from models.bucket import Bucket
from models.collection import Collection, InputMapping, Passthrough, Source
from models.errors import (
    ExtractorUnavailable,
    InvalidInput,
    InvalidMapping,
    InvalidParameters,
    NameTaken,
    NotFound,
    UnknownExtractor,
)  # fmt: skip
from models.fields import FieldSpec, FieldType
from models.filters import Condition, Filter, FilterOperator
from models.ids import new_id
from models.scope import Scope
from models.stores import Stores
from tests.fixtures.stores import NamespaceOfTest
from workers.collections import CollectionDraft, open_collection
from workers.intake import open_bucket

FIELDS = [
    FieldSpec(name="title", type=FieldType.STRING),
    FieldSpec(name="content", type=FieldType.TEXT),
    FieldSpec(name="year", type=FieldType.INTEGER),
    FieldSpec(name="more", type=FieldType.OBJECT),
    FieldSpec(name="made", type=FieldType.DATETIME),
]
Op = FilterOperator


def where(path: str, operator: Op, value: Any = None) -> Filter:
    return Filter(condition=Condition(path=path, operator=operator, value=value))


def nested(levels: int) -> Filter:
    """Return a filter inside so many negations."""
    return Filter(negated=nested(levels - 1)) if levels else where("title", Op.EQ, "x")


FINE = where("title", Op.EQ, "x")
TO_CONTENT = [InputMapping(input="text", path="content")]


@pytest.fixture
async def typed(stores: Stores, namespace: NamespaceOfTest) -> Bucket:
    """A bucket with a schema."""
    return await open_bucket(namespace.scope, "typed", description="", fields=FIELDS)


@pytest.fixture
async def untyped(stores: Stores, namespace: NamespaceOfTest) -> Bucket:
    """A bucket of whose objects nothing is known."""
    return await open_bucket(namespace.scope, "untyped", description="", fields=[])


def draft(reads: Bucket | list[Collection], /, **values: Any) -> CollectionDraft:
    """Return a collection of text@v1 over `content`."""
    usual: dict[str, Any] = {
        "name": new_id("col"),
        "description": "",
        "source": Source(bucket_id=reads.id)
        if isinstance(reads, Bucket)
        else Source(collection_ids=[one.id for one in reads]),
        "extractor": "text",
        "version": "v1",
        "parameters": None,
        "input_mappings": TO_CONTENT,
        "passthrough": [],
    }
    return CollectionDraft(**{**usual, **values})


def passthrough(source: Bucket | list[Collection], *paths: str, **values: Any) -> CollectionDraft:
    entries = [Passthrough(path=path, target=path) for path in paths]
    return draft(
        source,
        **{"extractor": "passthrough", "input_mappings": [], "passthrough": entries, **values},
    )


async def refusal(
    namespace: NamespaceOfTest, kind: type[InvalidInput], what: CollectionDraft
) -> InvalidInput:
    """Return why a collection is refused; nothing must have been created."""
    before = await namespace.scope.count(Collection)
    with pytest.raises(kind) as refused:
        await open_collection(namespace.scope, what)
    assert await namespace.scope.count(Collection) == before
    return refused.value


async def test_a_collection_knows_its_output_and_complete_parameters(
    typed: Bucket, namespace: NamespaceOfTest
) -> None:
    kept = [Passthrough(path="year", target="made_in"), Passthrough(path="more.x", target="x")]
    made = await open_collection(
        namespace.scope, draft(typed, parameters={"chunk_size": 5}, passthrough=kept)
    )

    assert await namespace.scope.require(Collection, made.id) == made
    assert made.extractor.label == "text@v1"
    assert made.extractor.parameters["chunk_size"] == 5
    assert made.extractor.parameters["split_by"] == "none"
    assert len(made.extractor.parameters_hash) == 16
    assert [(vector.name, vector.dimension) for vector in made.vectors] == [("embedding", 384)]
    outputs = {field.name: field.type for field in made.output_fields}
    assert outputs["text"] == FieldType.TEXT or outputs["text"] == FieldType.STRING
    assert (outputs["made_in"], outputs["x"]) == (FieldType.INTEGER, FieldType.OBJECT)


async def test_equal_parameters_share_a_hash_and_others_do_not(
    typed: Bucket, namespace: NamespaceOfTest
) -> None:
    hashes = [
        (await open_collection(namespace.scope, draft(typed, parameters=parameters)))
        .extractor.parameters_hash
        for parameters in (None, {}, {"chunk_size": 1000}, {"chunk_size": 999})
    ]  # fmt: skip

    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


@pytest.mark.parametrize(
    ("name", "version"), [("texts", "v1"), ("text", "v9"), ("", ""), ("text", "")]
)
async def test_an_unknown_extractor_is_refused_with_those_that_are_known(
    typed: Bucket, namespace: NamespaceOfTest, name: str, version: str
) -> None:
    error = await refusal(
        namespace, UnknownExtractor, draft(typed, extractor=name, version=version)
    )

    assert "text@v1" in error.hint


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"chunk_size": 0}, "chunk_size"),
        ({"chunk_size": 10_001}, "chunk_size"),
        ({"chunk_overlap": -1}, "chunk_overlap"),
        ({"split_by": "page"}, "split_by"),
        ({"chunk_size": "many"}, "chunk_size"),
        ({"chunksize": 5}, "chunksize"),
        ({"chunk_size": 5, "chunk_overlap": 5}, None),
    ],
)
async def test_parameters_out_of_range_are_refused_by_name(
    typed: Bucket, namespace: NamespaceOfTest, parameters: dict[str, Any], field: str | None
) -> None:
    error = await refusal(namespace, InvalidParameters, draft(typed, parameters=parameters))

    assert error.path == ("extractor", "parameters", *([field] if field else []))


@pytest.mark.parametrize("parameters", [[], "{}", 5, True])
async def test_parameters_that_are_no_object_are_refused(
    typed: Bucket, namespace: NamespaceOfTest, parameters: Any
) -> None:
    error = await refusal(namespace, InvalidInput, draft(typed, parameters=parameters))

    assert error.path == ("extractor", "parameters")


async def test_a_net_that_is_not_there_is_refused_with_what_to_do(
    typed: Bucket, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str, **_: object) -> int:
        raise NetMissing(f"No net {name!r}.", hint="Install it.")

    monkeypatch.setattr("engine.extractors.text.net_dimension", missing)

    error = await refusal(namespace, ExtractorUnavailable, draft(typed))

    assert error.path == ("extractor", "parameters", "net")
    assert error.hint == "Install it."


MAPPINGS: dict[str, tuple[list[InputMapping], tuple[str, ...]]] = {
    "a field that is not there": (
        [InputMapping(input="text", path="body")], ("inputMappings", "0", "path"),
    ),
    "a path into a field that has no parts": (
        [InputMapping(input="text", path="title.x")], ("inputMappings", "0", "path"),
    ),
    "a number where text is needed": (
        [InputMapping(input="text", path="year")], ("inputMappings", "0", "path"),
    ),
    "an object where text is needed": (
        [InputMapping(input="text", path="more")], ("inputMappings", "0", "path"),
    ),
    "a literal number where text is needed": (
        [InputMapping(input="text", literal=5)], ("inputMappings", "0", "literal"),
    ),
    "an unknown input": (
        [InputMapping(input="image", path="content")], ("inputMappings", "0", "input"),
    ),
    "one input twice": (TO_CONTENT * 2, ("inputMappings", "1", "input")),
    "neither path nor literal": ([InputMapping(input="text")], ("inputMappings", "0")),
    "both path and literal": (
        [InputMapping(input="text", path="content", literal="x")], ("inputMappings", "0"),
    ),
    "nothing for an input that is needed": ([], ("inputMappings",)),
    "a literal that cannot be stored": (
        [InputMapping(input="text", literal="\ud800")], ("inputMappings", "0", "literal"),
    ),
    "a path that cannot be stored": (
        [InputMapping(input="text", path="\ud800")], ("inputMappings", "0", "path"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPPINGS)
async def test_a_mapping_that_could_never_work_is_refused_by_field(
    typed: Bucket, namespace: NamespaceOfTest, name: str
) -> None:
    mappings, path = MAPPINGS[name]

    error = await refusal(namespace, InvalidInput, draft(typed, input_mappings=mappings))

    assert error.path == path


@pytest.mark.parametrize(
    "mapping",
    [
        InputMapping(input="text", path="title"),
        InputMapping(input="text", path="made"),
        InputMapping(input="text", path="more.deep.title"),
        InputMapping(input="text", path="key"),
        InputMapping(input="text", path="object_id"),
        InputMapping(input="text", literal="always the same"),
    ],
)
async def test_mappings_that_work(
    typed: Bucket, namespace: NamespaceOfTest, mapping: InputMapping
) -> None:
    made = await open_collection(namespace.scope, draft(typed, input_mappings=[mapping]))

    assert made.input_mappings == [mapping]


async def test_a_needed_input_is_filled_from_a_field_of_its_name(
    untyped: Bucket, namespace: NamespaceOfTest
) -> None:
    made = await open_collection(namespace.scope, draft(untyped, input_mappings=[]))

    assert made.input_mappings == [InputMapping(input="text", path="text")]


async def test_a_field_of_an_inputs_name_must_be_of_its_kind(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    numbers = [FieldSpec(name="text", type=FieldType.NUMBER)]
    bucket = await open_bucket(namespace.scope, "numbers", description="", fields=numbers)

    error = await refusal(namespace, InvalidMapping, draft(bucket, input_mappings=[]))

    assert "NUMBER" in error.message


async def test_paths_into_a_bucket_without_a_schema_are_believed(
    untyped: Bucket, namespace: NamespaceOfTest
) -> None:
    anything = [InputMapping(input="text", path="no.one.knows")]

    assert await open_collection(namespace.scope, draft(untyped, input_mappings=anything))


PASSTHROUGH: dict[str, tuple[list[Passthrough], tuple[str, ...]]] = {
    "the name of an output": (
        [Passthrough(path="title", target="text")], ("passthrough", "0", "target"),
    ),
    "one name twice": (
        [Passthrough(path="title", target="a"), Passthrough(path="year", target="a")],
        ("passthrough", "1", "target"),
    ),
    "a field that is not there": (
        [Passthrough(path="nothing", target="a")], ("passthrough", "0", "path"),
    ),
    "a name that is none": (
        [Passthrough(path="title", target="$a")], ("passthrough", "0", "target"),
    ),
    "a default of another type": (
        [Passthrough(path="year", target="a", default="old")], ("passthrough", "0", "default"),
    ),
    "a default that is never used": (
        [Passthrough(path="year", target="a", default=1, required=True)],
        ("passthrough", "0", "default"),
    ),
    "a default that cannot be stored": (
        [Passthrough(path="title", target="a", default=2**64)], ("passthrough", "0", "default"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSTHROUGH)
async def test_a_passthrough_that_could_never_work_is_refused_by_field(
    typed: Bucket, namespace: NamespaceOfTest, name: str
) -> None:
    entries, path = PASSTHROUGH[name]

    error = await refusal(namespace, InvalidInput, draft(typed, passthrough=entries))

    assert error.path == path


async def test_a_source_is_a_bucket_or_collections(
    typed: Bucket, namespace: NamespaceOfTest
) -> None:
    made = await open_collection(namespace.scope, draft(typed))
    both = Source(bucket_id=typed.id, collection_ids=[made.id])

    for source in (Source(), both):
        error = await refusal(namespace, InvalidInput, draft(typed, source=source))
        assert error.path == ("source",)


async def test_unknown_and_foreign_sources_read_the_same(
    typed: Bucket, namespace: NamespaceOfTest
) -> None:
    made = await open_collection(namespace.scope, draft(typed))
    stranger = Scope(new_id("ns"))

    for bucket_id in (typed.id, new_id("bkt")):
        source = Source(bucket_id=bucket_id)
        with pytest.raises(NotFound, match=f"No bucket '{bucket_id}' here") as refused:
            await open_collection(stranger, draft(typed, source=source))
        assert refused.value.path == ("source", "bucketId")
    for collection_id in (made.id, new_id("col")):
        source = Source(collection_ids=[collection_id])
        with pytest.raises(NotFound, match=f"No collection '{collection_id}' here") as refused:
            await open_collection(stranger, draft(typed, source=source))
        assert refused.value.path == ("source", "collectionIds", "0")


async def test_a_collection_reads_the_output_of_another(
    typed: Bucket, namespace: NamespaceOfTest
) -> None:
    first = await open_collection(namespace.scope, passthrough(typed, "title", "year"))

    made = await open_collection(
        namespace.scope,
        draft([first], input_mappings=[InputMapping(input="text", path="title")]),
    )
    error = await refusal(
        namespace,
        InvalidMapping,
        draft([first], input_mappings=[InputMapping(input="text", path="made")]),
    )

    assert made.source.collection_ids == [first.id]
    assert "'made'" in error.message
    assert "title" in error.hint


async def test_what_came_from_a_bucket_without_a_schema_may_be_text(
    untyped: Bucket, namespace: NamespaceOfTest
) -> None:
    first = await open_collection(namespace.scope, passthrough(untyped, "title"))
    by_title = [InputMapping(input="text", path="title")]
    by_part = [InputMapping(input="text", path="title.en")]

    for mappings in (by_title, by_part):
        assert await open_collection(namespace.scope, draft([first], input_mappings=mappings))


FILTERS: dict[str, tuple[Filter, tuple[str, ...]]] = {
    "a field that is not there": (where("nowhere", Op.EQ, 1), ("field", "path")),
    "a text for a number": (where("year", Op.GT, "1990"), ("field", "value")),
    "a number for a text": (where("title", Op.IN, ["a", 1]), ("field", "value")),
    "no list for IN": (where("title", Op.IN, "a"), ("field", "value")),
    "an empty list": (where("title", Op.IN, []), ("field", "value")),
    "null": (where("title", Op.EQ, None), ("field", "value")),
    "an order of objects": (where("more", Op.LT, 1), ("field", "value")),
    "an order of booleans": (where("more.x", Op.LT, True), ("field", "value")),
    "a time that is none": (where("made", Op.LT, "soon"), ("field", "value")),
    "a number for EXISTS": (where("title", Op.EXISTS, 1.5), ("field", "value")),
    "a value that cannot be stored": (where("more.x", Op.EQ, 2**70), ("field", "value")),
    "nothing": (Filter(), ()),
    "two at once": (Filter(all_of=[FINE], any_of=[FINE]), ()),
    "an empty `and`": (Filter(all_of=[]), ("and",)),
    "a bad part": (Filter(negated=Filter(any_of=[FINE, Filter()])), ("not", "or", "1")),
    "too many parts": (Filter(all_of=[FINE] * 100), ("and", "99")),
    "too deep": (nested(6), ("not",) * 6),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_that_makes_no_sense_is_refused_by_part(
    typed: Bucket, namespace: NamespaceOfTest, name: str
) -> None:
    tree, path = FILTERS[name]

    error = await refusal(
        namespace, InvalidInput, draft(typed, source=Source(bucket_id=typed.id, filter=tree))
    )

    assert error.path == ("source", "filter", *path)


async def test_a_filter_is_kept_ready_to_be_applied(
    typed: Bucket, untyped: Bucket, namespace: NamespaceOfTest
) -> None:
    tree = Filter(
        all_of=[
            where("made", Op.GTE, "2026-01-01"),
            nested(4),
            Filter(any_of=[where("year", Op.LT, 1990.5), where("title", Op.EXISTS)]),
        ]
    )
    made = await open_collection(
        namespace.scope, draft(typed, source=Source(bucket_id=typed.id, filter=tree))
    )
    anything = where("no.one.knows", Op.LT, "x")
    assert await open_collection(
        namespace.scope, draft(untyped, source=Source(bucket_id=untyped.id, filter=anything))
    )

    stored = (await namespace.scope.require(Collection, made.id)).source.filter
    assert stored is not None
    assert stored.all_of is not None
    first, second, third = stored.all_of
    assert first.condition is not None
    assert first.condition.moments
    assert second == nested(4)
    assert third.any_of is not None
    assert third.any_of[1].condition == Condition(path="title", operator=Op.EXISTS, value=True)


async def embedding(namespace: NamespaceOfTest, source: Bucket) -> Collection:
    return await open_collection(namespace.scope, draft(source))


async def test_a_vector_is_mapped_to_an_input_of_its_kind_and_dimension(
    typed: Bucket, namespace: NamespaceOfTest
) -> None:
    first = await embedding(namespace, typed)
    by_vector = [InputMapping(input="vector", vector="embedding")]
    kept = passthrough(
        [first], "text", input_mappings=by_vector, parameters={"vector_dimension": 384},
        passthrough=[Passthrough(path="text", target="said")],
    )  # fmt: skip

    made = await open_collection(namespace.scope, kept)

    assert made.input_mappings == by_vector
    assert [(one.name, one.dimension) for one in made.vectors] == [("vector", 384)]


VECTORS: dict[str, tuple[list[InputMapping], int | None, tuple[str, ...]]] = {
    "a vector that is not there": (
        [InputMapping(input="vector", vector="colour")], 384, ("inputMappings", "0", "vector"),
    ),
    "another dimension": (
        [InputMapping(input="vector", vector="embedding")], 3, ("inputMappings", "0", "vector"),
    ),
    "a path to an input for vectors": (
        [InputMapping(input="vector", path="text")], 384, ("inputMappings", "0"),
    ),
    "a vector to an input for values": (
        [InputMapping(input="content", vector="embedding")], None, ("inputMappings", "0"),
    ),
    "no vector where one is wanted": ([], 384, ("inputMappings",)),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
async def test_a_vector_that_could_never_arrive_is_refused(
    typed: Bucket, namespace: NamespaceOfTest, name: str
) -> None:
    mappings, dimension, path = VECTORS[name]
    first = await embedding(namespace, typed)
    parameters = {"vector_dimension": dimension}

    error = await refusal(
        namespace,
        InvalidMapping,
        passthrough([first], input_mappings=mappings, parameters=parameters),
    )

    assert error.path == path


async def test_upstream_collections_must_have_one_schema(
    typed: Bucket, namespace: NamespaceOfTest
) -> None:
    one = await open_collection(namespace.scope, passthrough(typed, "title", "year"))
    same = await open_collection(namespace.scope, passthrough(typed, "year", "title"))
    other = await open_collection(namespace.scope, passthrough(typed, "title"))

    assert await open_collection(namespace.scope, passthrough([one, same], "title"))
    error = await refusal(namespace, InvalidInput, passthrough([one, other], "title"))
    assert error.path == ("source", "collectionIds", "1")
    assert f"'year' is INTEGER in {one.name!r} and absent in {other.name!r}" in error.message


async def test_no_upstream_is_read_twice(typed: Bucket, namespace: NamespaceOfTest) -> None:
    """Its documents would be made twice under the same ids, and counted twice."""
    one = await open_collection(namespace.scope, passthrough(typed, "title"))

    error = await refusal(namespace, InvalidInput, passthrough([one, one], "title"))

    assert error.path == ("source", "collectionIds")


async def test_a_name_is_given_once(typed: Bucket, namespace: NamespaceOfTest) -> None:
    outcomes = await asyncio.gather(
        *(open_collection(namespace.scope, draft(typed, name="one")) for _ in range(4)),
        return_exceptions=True,
    )

    assert [type(one) for one in outcomes].count(NameTaken) == 3
    assert [one.name for one in await namespace.scope.all(Collection)] == ["one"]


@pytest.mark.parametrize(
    ("values", "path"),
    [({"name": ""}, ("name",)), ({"name": "a\x00"}, ("name",)),
     ({"description": "\ud800"}, ("description",))],
)  # fmt: skip
async def test_texts_that_cannot_be_stored_are_refused(
    typed: Bucket, namespace: NamespaceOfTest, values: dict[str, str], path: tuple[str, ...]
) -> None:
    assert (await refusal(namespace, InvalidInput, draft(typed, **values))).path == path

import asyncio
from typing import Any

import pytest

from models.bucket import Bucket
from models.errors import InvalidInput, NameTaken, NotFound
from models.fields import FieldSpec, FieldType
from models.ids import new_id
from models.object import Blob, Object
from models.scope import Scope
from models.stores import Stores
from tests.fixtures.stores import SOURCE_BUCKET, NamespaceOfTest
from workers.intake import MAX_OBJECTS, ObjectDraft, open_bucket, register_objects

URL = f"s3://{SOURCE_BUCKET}/key"


@pytest.fixture
async def bucket(stores: Stores, namespace: NamespaceOfTest) -> Bucket:
    """A bucket without a schema."""
    return await open_bucket(namespace.scope, "things", description="", fields=[])


def draft(key: str | None = None, metadata: Any = None, *blobs: Blob) -> ObjectDraft:
    return ObjectDraft(key=key, metadata=metadata, blobs=blobs)


def text(body: str, name: str = "content") -> ObjectDraft:
    return draft(None, None, Blob(property=name, text=body))


def url(address: str) -> ObjectDraft:
    return draft(None, None, Blob(property="content", url=address))


def errors(answers: list[Any]) -> dict[int, Any]:
    """Return what was refused, by row."""
    return {row: one for row, one in enumerate(answers) if not isinstance(one, Object)}


async def test_objects_are_stored_as_they_were_given(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    metadata = {"a.b": [1, None, {"$gt": 1.5}], "ü": "\x00", "large": 2**62, "": {}}
    del metadata[""]
    blobs = [Blob(property="content", text="\x00\r\n🦊"), Blob(property="file", url=URL)]

    [made] = await register_objects(
        stores, namespace.scope, bucket.id, [draft("one", metadata, *blobs)]
    )

    assert isinstance(made, Object)
    found = await namespace.scope.require(Object, made.id)
    assert found == made
    assert (found.key, found.metadata, found.blobs) == ("one", metadata, blobs)
    assert (found.bucket_id, found.namespace_id) == (bucket.id, namespace.id)


BAD: dict[str, tuple[ObjectDraft, tuple[str, ...]]] = {
    "metadata that is a list": (draft(None, [1]), ("metadata",)),
    "metadata that is a text": (draft(None, "{}"), ("metadata",)),
    "a NUL in a key": (draft("a\x00b"), ("key",)),
    "an empty key": (draft(""), ("key",)),
    "a lone surrogate in a key": (draft("\ud800"), ("key",)),
    "a lone surrogate in metadata": (draft(None, {"a": ["\ud800"]}), ("metadata", "a", "0")),
    "a lone surrogate as a metadata key": (draft(None, {"\ud800": 1}), ("metadata",)),
    "a NUL in a nested key": (draft(None, {"a": {"b\x00": 1}}), ("metadata", "a", "'b\\x00'")),
    "an operator as a metadata key": (draft(None, {"$where": 1}), ("metadata", "$where")),
    "an empty metadata key": (draft(None, {"": 1}), ("metadata", "")),
    "an integer beyond 64 bits": (draft(None, {"a": 2**63}), ("metadata", "a")),
    "a number that is none": (draft(None, {"a": float("nan")}), ("metadata", "a")),
    "a lone surrogate in a text": (text("a\ud800"), ("blobs", "0", "text")),
    "a text that is too long": (text("x" * (1024 * 1024 + 1)), ("blobs", "0", "text")),
    "a text too long in bytes alone": (text("ü" * (512 * 1024 + 1)), ("blobs", "0", "text")),
    "neither text nor url": (draft(None, None, Blob(property="a")), ("blobs", "0")),
    "both text and url": (draft(None, None, Blob(property="a", text="", url=URL)), ("blobs", "0")),
    "a url that is none": (url("ftp://a/b"), ("blobs", "0", "url")),
    "a url with a lone surrogate": (url(f"{URL}\ud800"), ("blobs", "0", "url")),
    "a url into a foreign bucket": (url("s3://strata/key"), ("blobs", "0", "url")),
    "a blob named like a metadata key": (
        draft(None, {"a": 1}, Blob(property="a", text="")), ("blobs", "0", "property"),
    ),
    "two blobs of one name": (
        draft(None, None, Blob(property="a", text=""), Blob(property="a", text="x")),
        ("blobs", "1", "property"),
    ),
    "a blob without a name": (text("", name=""), ("blobs", "0", "property")),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_row_is_refused_by_field_and_leaves_its_neighbours_alone(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest, name: str
) -> None:
    bad, path = BAD[name]

    answers = await register_objects(
        stores, namespace.scope, bucket.id, [text("one"), bad, text("two")]
    )

    [(row, error)] = errors(answers).items()
    assert (row, error.path) == (1, ("objects", "1", *path))
    assert isinstance(error, InvalidInput)
    assert error.message.encode()
    assert await namespace.scope.count(Object) == 2


async def test_metadata_too_deep_for_the_database_is_refused_by_row(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    deep: Any = 1
    for _ in range(150):
        deep = {"a": deep}

    answers = await register_objects(
        stores, namespace.scope, bucket.id, [draft(None, deep), draft(None, {"a": 1})]
    )

    assert list(errors(answers)) == [0]
    assert await namespace.scope.count(Object) == 1


async def test_a_text_of_the_largest_size_is_taken(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    answers = await register_objects(
        stores, namespace.scope, bucket.id, [text("x" * 1024 * 1024), text("")]
    )

    assert errors(answers) == {}


async def test_a_key_is_taken_once_inside_a_call_and_across_calls(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    rows = [draft("one"), draft(None), draft("one"), draft("two"), draft(None)]
    first = await register_objects(stores, namespace.scope, bucket.id, rows)
    second = await register_objects(stores, namespace.scope, bucket.id, rows[2:])

    assert {row: type(error) for row, error in errors(first).items()} == {2: NameTaken}
    assert errors(first)[2].path == ("objects", "2", "key")
    assert list(errors(second)) == [0, 1]
    assert await namespace.scope.count(Object) == 5
    kept = await namespace.scope.all(Object, {"key": "one"})
    assert [one.id for one in kept] == [first[0].id if isinstance(first[0], Object) else ""]


async def test_calls_at_once_give_each_key_to_one(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    rows = [draft(f"key {number}") for number in range(20)]

    calls = await asyncio.gather(
        *(register_objects(stores, namespace.scope, bucket.id, rows) for _ in range(5))
    )

    assert sum(len(rows) - len(errors(answers)) for answers in calls) == 20
    assert await namespace.scope.count(Object) == 20


async def test_the_same_key_in_another_bucket_is_another_key(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    other = await open_bucket(namespace.scope, "others", description="", fields=[])

    for where in (bucket, other):
        assert not errors(await register_objects(stores, namespace.scope, where.id, [draft("one")]))


async def test_a_call_takes_so_many_rows_and_no_more(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    with pytest.raises(InvalidInput, match="at most 1000") as refused:
        await register_objects(stores, namespace.scope, bucket.id, [draft()] * (MAX_OBJECTS + 1))

    assert refused.value.path == ("objects",)
    assert await register_objects(stores, namespace.scope, bucket.id, []) == []
    assert await namespace.scope.count(Object) == 0


async def test_unknown_and_foreign_buckets_read_the_same(stores: Stores, bucket: Bucket) -> None:
    for bucket_id in (bucket.id, new_id("bkt")):
        with pytest.raises(NotFound, match=f"No bucket '{bucket_id}' here") as refused:
            await register_objects(stores, Scope(new_id("ns")), bucket_id, [draft()])
        assert refused.value.path == ("bucketId",)


SCHEMA = [
    FieldSpec(name="title", type=FieldType.STRING, required=True),
    FieldSpec(name="content", type=FieldType.TEXT),
    FieldSpec(name="year", type=FieldType.INTEGER),
    FieldSpec(name="made", type=FieldType.DATETIME),
]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (draft(None, {"title": "A", "year": 1900, "more": [1]}), None),
        (draft(None, {"title": "A", "year": None}), None),
        (draft(None, {"title": "A"}, Blob(property="content", url=URL)), None),
        (draft(None, {"content": "x"}, Blob(property="title", text="A")), None),
        (draft(None, {"title": "A", "made": "2026-01-01T00:00:00Z"}), None),
        (draft(None, {}), "title"),
        (draft(None, {"title": None}), "title"),
        (draft(None, {"title": 5}), "title"),
        (draft(None, {"title": "A", "year": "1900"}), "year"),
        (draft(None, {"title": "A", "year": True}), "year"),
        (draft(None, {"title": "A", "year": 1900.5}), "year"),
        (draft(None, {"title": "A", "made": "soon"}), "made"),
        (draft(None, {"title": "A"}, Blob(property="year", text="1900")), "year"),
    ],
)
async def test_a_schema_is_kept_row_by_row(
    stores: Stores, namespace: NamespaceOfTest, given: ObjectDraft, field: str | None
) -> None:
    bucket = await open_bucket(namespace.scope, "typed", description="", fields=SCHEMA)

    [answer] = await register_objects(stores, namespace.scope, bucket.id, [given])

    if field is None:
        assert isinstance(answer, Object)
    else:
        assert isinstance(answer, InvalidInput)
        assert answer.path == ("objects", "0", field)


@pytest.mark.parametrize(
    ("name", "description", "fields", "path"),
    [
        ("", "", [], ("name",)),
        ("ok", "\ud800", [], ("description",)),
        ("ok", "", [SCHEMA[0], SCHEMA[1], SCHEMA[0]], ("fields", "2", "name")),
        ("ok", "", [FieldSpec(name="$a", type=FieldType.ARRAY)], ("fields", "0", "name")),
    ],
)
async def test_a_bucket_that_cannot_be_is_refused_by_field(
    namespace: NamespaceOfTest,
    name: str,
    description: str,
    fields: list[FieldSpec],
    path: tuple[str, ...],
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await open_bucket(namespace.scope, name, description=description, fields=fields)

    assert refused.value.path == path
    assert await namespace.scope.count(Bucket) == 0


async def test_a_bucket_name_is_given_once_in_a_namespace(
    bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    with pytest.raises(NameTaken) as refused:
        await open_bucket(namespace.scope, bucket.name, description="", fields=[])

    assert refused.value.path == ("name",)
    await open_bucket(Scope(new_id("ns")), bucket.name, description="", fields=[])

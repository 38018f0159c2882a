"""Objects in bulk: what a row with a key may be, what a bad row means, changes and deletions."""

import asyncio
from typing import Any

import pytest

from models.bucket import Bucket, UniqueKey, WritePolicy
from models.errors import InvalidInput, NameTaken
from models.events import Notice
from models.fields import FieldSpec, FieldType
from models.filters import Condition, Filter, FilterOperator
from models.ids import new_id
from models.object import Blob, Object
from models.ordering import Order
from models.scope import Scope
from models.stores import Stores
from tests.factories import make_bucket, make_object, store
from tests.fixtures.stores import NamespaceOfTest
from workers.buckets import open_bucket, update_bucket
from workers.intake import ErrorPolicy, RowAnswer, RowOutcome, write_objects
from workers.object_changes import ObjectChange, delete_objects, update_objects
from workers.object_lists import ObjectSelection, object_order, select_objects
from workers.object_rows import ObjectDraft

SCHEMA = [
    FieldSpec(name="isbn", type=FieldType.STRING, required=True),
    FieldSpec(name="edition", type=FieldType.INTEGER, required=True),
    FieldSpec(name="pages", type=FieldType.INTEGER),
]
P, E, R = WritePolicy, ErrorPolicy, RowOutcome


@pytest.fixture
async def books(namespace: NamespaceOfTest) -> Bucket:
    """A bucket that makes keys of two fields."""
    return await open_bucket(
        namespace.scope, "books", description="", fields=SCHEMA,
        unique_key=UniqueKey(fields=["isbn", "edition"], default_policy=P.UPSERT),
    )  # fmt: skip


def book(isbn: str, edition: int = 1, **more: Any) -> ObjectDraft:
    return ObjectDraft(None, {"isbn": isbn, "edition": edition, **more}, [])


async def write(
    stores: Stores,
    bucket: Bucket,
    *drafts: ObjectDraft,
    policy: WritePolicy | None = None,
    error_policy: ErrorPolicy = E.REJECT_FAILED_ROWS,
) -> list[RowAnswer]:
    return await write_objects(
        stores, Scope(bucket.namespace_id), bucket.id, drafts,
        policy=policy, error_policy=error_policy,
    )  # fmt: skip


def outcomes(answers: list[RowAnswer]) -> list[RowOutcome]:
    return [answer.outcome for answer in answers]


async def told(bucket: Bucket) -> dict[str, int]:
    """Return how many objects the log tells of, by what happened to them."""
    found: dict[str, int] = {}
    for notice in await Scope(bucket.namespace_id).all(Notice, {"subject_id": bucket.id}):
        found[notice.type] = found.get(notice.type, 0) + notice.data["objectCount"]
    return found


async def test_rows_with_a_known_key_change_its_object(stores: Stores, books: Bucket) -> None:
    first = await write(stores, books, book("a"), book("b"))
    again = await write(stores, books, book("a", pages=9), book("b"), book("a", 2))

    assert outcomes(first) == [R.CREATED, R.CREATED]
    assert outcomes(again) == [R.UPDATED, R.UNCHANGED, R.CREATED]
    ids = [answer.object.id for answer in [*first, *again] if answer.object]
    assert (ids[2], ids[3]) == (ids[0], ids[1])
    kept = await Scope(books.namespace_id).require(Object, ids[0])
    assert (kept.metadata["pages"], kept.key) == (9, '["a",1]')
    assert await told(books) == {"object.created": 3, "object.updated": 1}


async def test_a_policy_says_what_a_row_may_be(stores: Stores, books: Bucket) -> None:
    await write(stores, books, book("known"))

    inserted = await write(stores, books, book("known"), book("new"), policy=P.INSERT)
    updated = await write(stores, books, book("known", pages=1), book("absent"), policy=P.UPDATE)

    assert outcomes(inserted) == [R.REJECTED, R.CREATED]
    assert (inserted[0].errors[0].code, inserted[0].errors[0].path) == (
        "NAME_TAKEN", ("objects", "0", "key"),
    )  # fmt: skip
    assert outcomes(updated) == [R.UPDATED, R.REJECTED]
    assert updated[1].errors[0].code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("draft", "path"),
    [
        (ObjectDraft("mine", {"isbn": "a", "edition": 1}, []), ("key",)),
        (ObjectDraft(None, {"isbn": "a"}, []), ("edition",)),
        (ObjectDraft(None, {"isbn": "x" * 600, "edition": 1}, []), ("isbn",)),
        (ObjectDraft(None, {"edition": 1}, [Blob(property="isbn", text="a")]), ("isbn",)),
    ],
)
async def test_a_row_without_its_unique_key_is_refused(
    stores: Stores, books: Bucket, draft: ObjectDraft, path: tuple[str, ...]
) -> None:
    [answer] = await write(stores, books, draft)

    assert [error.path for error in answer.errors] == [("objects", "0", *path)]


async def test_two_rows_of_one_key_are_told_apart(stores: Stores, books: Bucket) -> None:
    answers = await write(stores, books, book("a", pages=1), book("a", pages=2))

    assert outcomes(answers) == [R.CREATED, R.REJECTED]


async def test_calls_at_once_write_each_key_once(stores: Stores, books: Bucket) -> None:
    calls = await asyncio.gather(
        *(write(stores, books, *(book(f"b{n}") for n in range(10))) for _ in range(4))
    )

    flat = [outcome for answers in calls for outcome in outcomes(answers)]
    assert (flat.count(R.CREATED), flat.count(R.UNCHANGED)) == (10, 30)
    assert await Scope(books.namespace_id).count(Object) == 10


async def test_one_bad_row_stops_all_where_that_is_asked(stores: Stores, books: Bucket) -> None:
    checked = await write(stores, books, book("a"), book("b", pages="x"), error_policy=E.REJECT_ALL)
    await write(stores, books, book("known"))
    known = await write(
        stores, books, book("a"), book("known"), policy=P.INSERT, error_policy=E.REJECT_ALL
    )

    for answers in (checked, known):
        assert outcomes(answers) == [R.REJECTED, R.REJECTED]
        assert [len(answer.errors) for answer in answers] == [0, 1]
    assert await Scope(books.namespace_id).count(Object) == 1


async def test_bad_optional_fields_are_left_out_where_that_is_asked(
    stores: Stores, books: Bucket
) -> None:
    blobs = [
        Blob(property="bad", url="http://a/b"),
        Blob(property="good", text="x"),
        Blob(property="worse", url="s3://elsewhere/key"),
    ]
    draft = ObjectDraft(None, {"isbn": "a", "edition": 1, "pages": "x", "$odd": 1}, blobs)
    hopeless = ObjectDraft(None, {"isbn": 5, "edition": 1}, [])

    kept, lost = await write(stores, books, draft, hopeless, error_policy=E.IGNORE_FAILED_FIELDS)

    assert (kept.outcome, lost.outcome) == (R.CREATED, R.REJECTED)
    assert kept.object is not None
    assert kept.object.metadata == {"isbn": "a", "edition": 1}
    assert [blob.property for blob in kept.object.blobs] == ["good"]
    assert sorted(error.path[2:] for error in kept.errors) == [
        ("blobs", "0", "url"), ("blobs", "2", "url"), ("metadata", "$odd"), ("pages",),
    ]  # fmt: skip


async def test_metadata_is_merged_and_tags_are_replaced(stores: Stores, books: Bucket) -> None:
    [made] = await write(stores, books, book("a", pages=1, more={"x": 1}))
    assert made.object is not None
    change = ObjectChange(made.object.id, {"pages": None, "more": 2}, ["b", "a", "b"])

    [answer] = await update_objects(
        stores, Scope(books.namespace_id), books.id, [change], error_policy=E.REJECT_ALL
    )

    kept = await Scope(books.namespace_id).require(Object, made.object.id)
    assert answer.outcome is R.UPDATED
    assert kept.metadata == {"isbn": "a", "edition": 1, "more": 2}
    assert kept.tags == ["a", "b"]
    assert kept.updated_at > kept.created_at


@pytest.mark.parametrize(
    ("metadata", "code"),
    [({"pages": "x"}, "INVALID_INPUT"), ({"isbn": "other"}, "INVALID_INPUT"), (5, "INVALID_INPUT")],
)
async def test_a_change_that_makes_no_sense_stops_all(
    stores: Stores, books: Bucket, metadata: Any, code: str
) -> None:
    made = await write(stores, books, book("a"), book("b"))
    ids = [answer.object.id for answer in made if answer.object]
    changes = [ObjectChange(ids[0], {"pages": 3}), ObjectChange(ids[1], metadata)]
    scope = Scope(books.namespace_id)

    answers = await update_objects(stores, scope, books.id, changes, error_policy=E.REJECT_ALL)
    some = await update_objects(stores, scope, books.id, changes, error_policy=E.REJECT_FAILED_ROWS)

    assert outcomes(answers) == [R.REJECTED, R.REJECTED]
    assert [error.code for error in answers[1].errors] == [code]
    assert outcomes(some) == [R.UPDATED, R.REJECTED]


async def test_objects_are_deleted_with_their_notice(stores: Stores, books: Bucket) -> None:
    made = await write(stores, books, book("a"), book("b"))
    ids = [answer.object.id for answer in made if answer.object]
    scope, wanted = Scope(books.namespace_id), [ids[0], new_id("obj")]

    none = await delete_objects(stores, scope, books.id, wanted, error_policy=E.REJECT_ALL)
    one = await delete_objects(stores, scope, books.id, wanted, error_policy=E.REJECT_FAILED_ROWS)

    assert outcomes(none) == [R.REJECTED, R.REJECTED]
    assert outcomes(one) == [R.DELETED, R.REJECTED]
    assert await scope.count(Object) == 1
    assert (await told(books))["object.deleted"] == 1


async def test_objects_of_another_bucket_are_out_of_reach(stores: Stores, books: Bucket) -> None:
    other = make_bucket(books.namespace_id)
    stranger = make_object(other)
    await store(other, stranger)
    scope = Scope(books.namespace_id)

    deleted = await delete_objects(
        stores, scope, books.id, [stranger.id], error_policy=E.REJECT_FAILED_ROWS
    )
    changed = await update_objects(
        stores, scope, books.id, [ObjectChange(stranger.id, {"isbn": "a"})],
        error_policy=E.REJECT_FAILED_ROWS,
    )  # fmt: skip

    assert [outcomes(deleted), outcomes(changed)] == [[R.REJECTED], [R.REJECTED]]


async def test_a_bucket_is_changed_in_what_is_safe(
    namespace: NamespaceOfTest, books: Bucket
) -> None:
    scope, more = namespace.scope, FieldSpec(name="color", type=FieldType.STRING)
    await open_bucket(scope, "taken", description="", fields=[])

    changed = await update_bucket(
        scope, books.id, name="novels", description="x", add_fields=[more]
    )

    assert (changed.name, changed.description) == ("novels", "x")
    assert changed.fields == [*SCHEMA, more]
    required = more.model_copy(update={"name": "size", "required": True})
    for fields in ([more], [required]):
        with pytest.raises(InvalidInput):
            await update_bucket(scope, books.id, name=None, description=None, add_fields=fields)
    with pytest.raises(NameTaken):
        await update_bucket(scope, books.id, name="taken", description=None, add_fields=[])


@pytest.mark.parametrize("fields", [[], ["pages"], ["unknown"], ["isbn", "isbn"]])
async def test_a_unique_key_that_objects_may_lack_is_refused(
    namespace: NamespaceOfTest, fields: list[str]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await open_bucket(
            namespace.scope, "b", description="", fields=SCHEMA, unique_key=UniqueKey(fields=fields)
        )

    assert refused.value.path[:2] == ("uniqueKey", "fields")


async def test_objects_are_found_by_key_tag_and_metadata(
    namespace: NamespaceOfTest, stores: Stores
) -> None:
    bucket = make_bucket(namespace.id)
    things = [
        make_object(bucket, key=f"k{n}", metadata={"n": n}, tags=["even"] if n % 2 == 0 else [])
        for n in range(6)
    ]
    await store(bucket, *things)
    above = Filter(condition=Condition(path="n", operator=FilterOperator.GT, value=1))
    scope = namespace.scope

    async def found(**parts: Any) -> list[str]:
        match = await select_objects(scope, ObjectSelection(bucket.id, **parts))
        return sorted(str(one.key) for one in await scope.all(Object, match))

    assert await found(keys=["k1", "k5", "k9"]) == ["k1", "k5"]
    assert await found(tags=["even"], where=above) == ["k2", "k4"]
    assert await object_order(scope, bucket.id, "key", descending=True) == Order("key", True)
    match = await select_objects(scope, ObjectSelection(bucket.id, keys=["k1"]))
    plan = await stores.database.handle.command(
        "explain", {"find": "objects", "filter": {**match, "namespace_id": namespace.id}}
    )
    assert "'indexName': 'key'" in str(plan["queryPlanner"]["winningPlan"])

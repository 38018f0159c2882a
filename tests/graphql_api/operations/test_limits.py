"""Limits on documents: what is refused, why, and that looking takes time by length alone."""

import time
from typing import Any

import pytest
from graphql import get_introspection_query

from graphql_api.errors import Refused
from graphql_api.operations.documents import Documents, Invalid
from graphql_api.schema import schema
from models.settings import LimitSettings

ROOT = "{ namespace { id } }"


@pytest.fixture
def documents() -> Documents:
    return Documents(schema._schema, LimitSettings())


def refusal(documents: Documents, source: str) -> Any:
    """Return the one error for which a document is refused."""
    with pytest.raises(Invalid) as caught:
        documents.choose(source, None)
    (error,) = caught.value.errors
    return error


def doubling(count: int, inner: str = "__typename") -> str:
    """Return a document whose fragments spread one another twice."""
    links = [f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(count)]
    return " ".join([*links, f"fragment f{count} on Query {{ {inner} }}", "{ ...f0 }"])


EXCESSIVE = {
    "DEPTH_LIMIT": "{ batches { edges { node " + "{ bucket " * 10 + "{ id" + " }" * 13 + " }",
    "ALIAS_LIMIT": "{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }",
    "DIRECTIVE_LIMIT": "{ __typename " + "@include(if: true) " * 10 + "}",
    "ROOT_FIELD_LIMIT": "{ " + "__typename " * 21 + "}",
    "REPEATED_FIELD_LIMIT": "{ namespace { " + "id " * 500 + "} }",
    "SELECTION_LIMIT": doubling(22),
}


@pytest.mark.parametrize(("reason", "source"), EXCESSIVE.items(), ids=EXCESSIVE)
def test_a_document_beyond_a_limit_is_refused_once(
    documents: Documents, reason: str, source: str
) -> None:
    error = refusal(documents, source)

    assert isinstance(error, Refused)
    assert (error.code, (error.extensions or {})["reason"]) == (
        "GRAPHQL_VALIDATION_FAILED", reason,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["mutation", "subscription"])
def test_root_fields_count_by_the_kind_of_operation(documents: Documents, kind: str) -> None:
    fields = " ".join(["__typename"] * (11 if kind == "mutation" else 2))

    assert refusal(documents, f"{kind} {{ {fields} }}").extensions["reason"] == "ROOT_FIELD_LIMIT"


@pytest.mark.parametrize(
    "source",
    [
        "{ " + "a " * 1000 + "}",
        "#\n" * 101 + ROOT,
        ROOT + " " * 32 * 1024,
        "{ a(b: " + "[" * 3000 + "]" * 3000 + ") }",
    ],
    ids=["tokens", "comments", "length", "nesting"],
)
def test_a_document_too_large_is_not_parsed(documents: Documents, source: str) -> None:
    started = time.process_time()

    refusal(documents, source)

    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("count", [22, 60])
@pytest.mark.parametrize("inner", ["__typename", "namespace { id }", "a: namespace { id }"])
def test_fragments_that_double_take_no_time(documents: Documents, count: int, inner: str) -> None:
    started = time.process_time()

    refusal(documents, doubling(count, inner))

    assert time.process_time() - started < 0.5  # walked at every spread: minutes, and years


def test_fragments_in_a_circle_are_left_to_validation(documents: Documents) -> None:
    source = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"

    assert "Cannot spread fragment" in refusal(documents, source).message


def test_introspection_is_exempt_from_depth_and_nothing_else_is(documents: Documents) -> None:
    introspection = get_introspection_query()
    deep = EXCESSIVE["DEPTH_LIMIT"]

    assert documents.choose(introspection, None).introspects
    assert not documents.choose("{ __typename namespace { __typename id } }", None).introspects
    mixed = deep[:-2] + " __schema { queryType { name } } }"
    assert refusal(documents, mixed).extensions["reason"] == "DEPTH_LIMIT"


def test_limits_hold_for_every_operation_of_a_document(documents: Documents) -> None:
    source = "query A { __typename } query B { " + "__typename " * 21 + "}"

    with pytest.raises(Invalid):
        documents.choose(source, "A")


PAGE = "{ edges { node { id counts { documentsWritten } } } totalCount }"


@pytest.mark.parametrize(
    ("source", "variables", "points"),
    [
        ("{ __typename }", {}, 0),
        (ROOT, {}, 1),
        ("{ batches(first: 100) { edges { node { id counts { documentsWritten } } } } }", {}, 301),
        ("query($n: Int) { batches(first: $n) " + PAGE + " }", {"n": 10}, 81),
        ("query($n: Int) { batches(last: $n) " + PAGE + " }", {"n": 10**30}, 801),
        ("query($n: Int) { batches(first: $n) " + PAGE + " }", {}, 161),
        ("{ batches " + PAGE + " }", {}, 161),
        ("{ ...p } fragment p on Query { batches(first: 10) " + PAGE + " }", {}, 81),
        (
            "query($n: Int) { a: batches(first: $n) { ...e } b: batches(first: $n) { ...e } } "
            "fragment e on BatchConnection { edges { node { id } } }",
            {"n": 50},
            202,
        ),
    ],
)
def test_cost_counts_the_objects_that_may_come(
    documents: Documents, source: str, variables: dict[str, Any], points: int
) -> None:
    assert documents.choose(source, None).cost.resolve(variables) == points


def test_rows_sent_cost_what_they_return(documents: Documents) -> None:
    source = """mutation($objects: [ObjectInput!]!) {
      createObjects(input: {bucketId: "b", objects: $objects}) { results { object { id } } }
    }"""
    cost = documents.choose(source, None).cost

    assert cost.resolve({"objects": [{}] * 100}) - cost.resolve({"objects": [{}]}) == 99 * 2


def test_a_number_in_an_input_is_no_page(documents: Documents) -> None:
    source = """mutation($id: ID!, $priority: Int!) {
      setBatchPriority(input: {priority: $priority, batchId: $id}) { batch { bucket { name } } }
    }"""
    cost = documents.choose(source, None).cost

    assert cost.resolve({"id": "b", "priority": 10}) == cost.resolve({"id": "b", "priority": 0})
    assert cost.resolve({"id": "b", "priority": 0}) == 11 + 2  # the mutation, batch and bucket


def test_the_longest_of_an_inputs_lists_counts_wherever_it_stands(documents: Documents) -> None:
    source = """mutation($id: ID!, $objects: [ObjectInput!]!) {
      createObjects(input: {bucketId: $id, objects: $objects}) { results { object { id } } }
    }"""
    cost = documents.choose(source, None).cost

    sent = [cost.resolve({"id": "b", "objects": [{}] * length}) for length in (1, 100)]

    assert sent[1] - sent[0] == 99 * 2


def test_nested_pages_multiply_and_saturate(documents: Documents) -> None:
    nested = (
        "batches(first: 100) { edges { node { objects(first: 100) { edges { node { id } } } } } }"
    )

    assert documents.choose("{ " + nested + " }", None).cost.resolve({}) > 20_000


def test_an_operation_is_found_by_its_name(documents: Documents) -> None:
    source = "query A { __typename } mutation B { __typename }"

    assert documents.choose(source, "B").kind.value == "mutation"
    for name in (None, "C"):
        with pytest.raises(Refused) as caught:
            documents.choose(source, name)
        assert caught.value.code == "OPERATION_RESOLUTION_FAILURE"


def test_a_good_document_is_read_once(documents: Documents) -> None:
    first = documents.choose(ROOT, None)

    assert documents.choose(ROOT, None) is first


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_api.operations.documents._REMEMBERED_CHARACTERS", 100)
    documents = Documents(schema._schema, LimitSettings())
    first = documents.choose(ROOT, None)

    for number in range(10):
        documents.choose(f"query q{number} {ROOT}", None)

    assert documents.choose(ROOT, None) is not first
    assert documents._characters <= 100

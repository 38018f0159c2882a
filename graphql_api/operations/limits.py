"""Holds an operation against the limits, before anything of it is validated or run."""

from collections.abc import Iterator

from graphql import OperationDefinitionNode, OperationType

from graphql_api.errors import Refused
from graphql_api.operations.facts import DocumentFacts, Facts
from models.settings import LimitSettings

_CODE = "GRAPHQL_VALIDATION_FAILED"


def find_excess(
    facts: DocumentFacts, operations: list[OperationDefinitionNode], limits: LimitSettings
) -> Refused | None:
    """Return the first limit that a document exceeds."""
    if facts.most_repeated > limits.repeats:
        return _excess("REPEATED_FIELD_LIMIT", "times one field is repeated", limits.repeats)
    for operation in operations:
        for reason, found, allowed, what in _counts(facts.of[id(operation)], operation, limits):
            if found > allowed:
                return _excess(reason, what, allowed)
    return None


def _counts(
    facts: Facts, operation: OperationDefinitionNode, limits: LimitSettings
) -> Iterator[tuple[str, int, int, str]]:
    roots = {
        OperationType.QUERY: limits.root_fields_query,
        OperationType.MUTATION: limits.root_fields_mutation,
        OperationType.SUBSCRIPTION: 1,
    }
    yield "SELECTION_LIMIT", facts.selections, limits.selections, "selections"
    yield "DEPTH_LIMIT", facts.depth, limits.depth, "levels of fields"
    yield "ALIAS_LIMIT", facts.aliases, limits.aliases, "aliases"
    yield "DIRECTIVE_LIMIT", facts.directives, limits.directives, "directives"
    yield "ROOT_FIELD_LIMIT", facts.fields, roots[operation.operation], "root fields"


def _excess(reason: str, what: str, allowed: int) -> Refused:
    return Refused(_CODE, f"The operation exceeds {allowed} {what}.", reason=reason, limit=allowed)


def refuse_cost(requested: int, allowed: int) -> Refused:
    """Return the refusal of an operation that costs too much."""
    return Refused(
        _CODE,
        f"The operation costs up to {requested} points; one may cost {allowed}.",
        reason="COST_LIMIT",
        requested=requested,
        allowed=allowed,
        hint="Ask for smaller pages, or for less of each item.",
    )

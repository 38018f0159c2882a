"""Documents, parsed, held against the limits and validated once; the good ones are remembered.

What depends on the caller or on variables is no part of this: the cost is kept as a formula, the
wish to introspect as a fact.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from graphql_api.errors import Refused
from graphql_api.operations.cost import Cost
from graphql_api.operations.facts import DocumentFacts
from graphql_api.operations.limits import find_excess
from models.settings import LimitSettings

_RULES: Final = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
_DEFINED_AND_USED_ONCE: Final = 2
_REMEMBERED: Final = 1000
_REMEMBERED_CHARACTERS: Final = 2 * 1024 * 1024  # syntax trees take some fifty times their text


class Invalid(Exception):
    """A document that cannot be run, with what is wrong in it."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("invalid document")
        self.errors = errors


@dataclass(frozen=True)
class Operation:
    """One operation of a document, ready to be run."""

    document: DocumentNode
    document_hash: str
    name: str | None
    kind: OperationType
    cost: Cost
    introspects: bool
    positional: frozenset[str]  # variables that only say where to resume
    field_name: str  # the first root field: one of the schema's, for what counts operations


class Documents:
    """The documents that a process has seen."""

    def __init__(self, schema: GraphQLSchema, limits: LimitSettings) -> None:
        self._schema = schema
        self._limits = limits
        self._known: OrderedDict[str, Mapping[str | None, Operation]] = OrderedDict()
        self._characters = 0

    def choose(self, source: str, name: str | None) -> Operation:
        """Return the operation that a request means.

        Raises:
            Invalid: the document does not parse, exceeds a limit or does not fit the schema.
            Refused: it has no such operation.
        """
        operations = self._known.get(source)
        if operations is None:
            operations = self._read(source)
            self._remember(source, operations)
        else:
            self._known.move_to_end(source)
        if name is None and len(operations) == 1:
            return next(iter(operations.values()))
        found = operations.get(name)
        if found is None or (name is None and len(operations) > 1):
            raise Refused(
                "OPERATION_RESOLUTION_FAILURE",
                "Say by `operationName` which operation of the document to run."
                if name is None
                else "The document has no operation of that name.",
            )
        return found

    def _read(self, source: str) -> Mapping[str | None, Operation]:
        document = self._parse(source)
        nodes = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        facts = DocumentFacts(self._schema, document)
        if excess := find_excess(facts, nodes, self._limits):
            raise Invalid([excess])
        errors = validate(
            self._schema,
            document,
            _RULES,
            max_errors=self._limits.errors,
            hide_suggestions=True,
        )
        if errors:
            raise Invalid(errors)
        digest = sha256(source.encode(errors="surrogatepass")).hexdigest()
        return {
            name: Operation(
                document,
                digest,
                name,
                node.operation,
                facts.of[id(node)].cost,
                facts.of[id(node)].introspects,
                _positional(node, document),
                _first_field(node),
            )
            for node in nodes
            for name in [node.name.value if node.name else None]
        }

    def _parse(self, source: str) -> DocumentNode:
        limits = self._limits
        try:
            return parse(
                source,
                max_lexical_tokens=limits.tokens,
                max_comments=limits.comments,
                max_source_length=limits.source_characters,
            )
        except GraphQLError as error:
            raise Invalid([error]) from error

    def _remember(self, source: str, operations: Mapping[str | None, Operation]) -> None:
        self._known[source] = operations
        self._characters += len(source)
        while len(self._known) > _REMEMBERED or self._characters > _REMEMBERED_CHARACTERS:
            forgotten, _ = self._known.popitem(last=False)
            self._characters -= len(forgotten)


def _first_field(node: OperationDefinitionNode) -> str:
    first = node.selection_set.selections[0]
    return first.name.value if isinstance(first, FieldNode) else "fragment"


def _positional(node: OperationDefinitionNode, document: DocumentNode) -> frozenset[str]:
    """Return the variables used as the root field's `after`, and for nothing else."""
    if node.operation is not OperationType.SUBSCRIPTION:
        return frozenset()
    uses = _Uses()
    visit(document, uses)
    cursors = {
        argument.value.name.value
        for field in node.selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value == "after" and isinstance(argument.value, VariableNode)
    }
    return frozenset(name for name in cursors if uses.count[name] == _DEFINED_AND_USED_ONCE)


class _Uses(Visitor):
    """Counts where each variable stands, its definition included."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        """Count one."""
        self.count[node.name.value] += 1

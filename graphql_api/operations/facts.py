"""Counts what a document asks for, in one pass that looks at each selection once.

Each fragment is summed up once and its sum used at every spread, so a document whose fragments
spread one another twice costs no more than its length. Runs before validation: whatever is unknown
to the schema counts as a leaf, and a circle of fragments as nothing, for validation refuses both.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_interface_type,
    is_object_type,
)

from graphql_api.operations.cost import CEILING, Cost, Size, measure, weigh

_INTROSPECTION: Final = ("__schema", "__type")


@dataclass
class Facts:
    """What a set of selections adds up to, its fragments spread out."""

    selections: int = 0
    aliases: int = 0
    directives: int = 0
    depth: int = 0
    fields: int = 0  # of the first level
    introspects: bool = False
    cost: Cost = field(default_factory=Cost)

    def include(self, other: "Facts") -> None:
        """Add a fragment's selections to these."""
        self._add_counts(other)
        self.depth = max(self.depth, other.depth)
        self.fields = _sum(self.fields, other.fields)
        self.cost.add(Size(1), other.cost)

    def nest(self, other: "Facts", *, size: Size, own: int) -> None:
        """Add what stands below a field."""
        self._add_counts(other)
        self.depth = max(self.depth, other.depth + 1)
        self.cost.points = _sum(self.cost.points, own)
        self.cost.add(size, other.cost)

    def _add_counts(self, other: "Facts") -> None:
        self.selections = _sum(self.selections, other.selections)
        self.aliases = _sum(self.aliases, other.aliases)
        self.directives = _sum(self.directives, other.directives)
        self.introspects = self.introspects or other.introspects


class DocumentFacts:
    """The facts of each operation of a document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments: Mapping[str, FragmentDefinitionNode] = {
            one.name.value: one
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self._known: dict[str, Facts] = {}
        self._repeats: Counter[str] = Counter()
        for name in self._fragments:
            self._fragment(name)
        self.of = {
            id(one): self._operation(one)
            for one in document.definitions
            if isinstance(one, OperationDefinitionNode)
        }

    @property
    def most_repeated(self) -> int:
        """How often the commonest field is written in the document."""
        return max(self._repeats.values(), default=0)

    def _operation(self, node: OperationDefinitionNode) -> Facts:
        facts = self._selections(
            node.selection_set,
            self._schema.get_root_type(node.operation),
            is_mutation=node.operation is OperationType.MUTATION,
        )
        definitions = node.variable_definitions or ()
        facts.directives += len(node.directives or ())
        facts.directives += sum(len(one.directives or ()) for one in definitions)
        return facts

    def _fragment(self, name: str) -> Facts:
        found = self._known.get(name)
        node = self._fragments.get(name)
        if found is None and node is not None:
            self._known[name] = Facts()  # a circle finds this
            condition = self._schema.get_type(node.type_condition.name.value)
            found = self._known[name] = self._selections(
                node.selection_set, condition, is_mutation=_is_root(self._schema, condition)
            )
            found.directives += len(node.directives or ())
        return found or Facts()

    def _selections(
        self, node: SelectionSetNode, parent: GraphQLNamedType | None, *, is_mutation: bool = False
    ) -> Facts:
        facts = Facts()
        for selection in node.selections:
            facts.selections = _sum(facts.selections, 1)
            facts.directives += len(selection.directives or ())
            match selection:
                case FieldNode():
                    self._field(facts, selection, parent, is_mutation=is_mutation)
                case FragmentSpreadNode():
                    facts.include(self._fragment(selection.name.value))
                case InlineFragmentNode():
                    condition = selection.type_condition
                    inner = self._schema.get_type(condition.name.value) if condition else parent
                    facts.include(
                        self._selections(selection.selection_set, inner, is_mutation=is_mutation)
                    )
        return facts

    def _field(
        self, facts: Facts, node: FieldNode, parent: GraphQLNamedType | None, *, is_mutation: bool
    ) -> None:
        name = node.name.value
        facts.fields = _sum(facts.fields, 1)
        facts.aliases += node.alias is not None
        self._repeats[(node.alias or node.name).value] += 1
        if name in _INTROSPECTION:
            facts.introspects = True
            inner = self._below(node, None)
            inner.depth, inner.cost = 0, Cost()
            facts.nest(inner, size=Size(1), own=1)
            return
        found = (
            parent.fields.get(name) if is_object_type(parent) or is_interface_type(parent) else None
        )
        if found is None:
            facts.nest(self._below(node, None), size=Size(1), own=0)
            return
        facts.nest(
            self._below(node, get_named_type(found.type)),
            size=measure(node, found, is_mutation=is_mutation),
            own=weigh(name, found, is_mutation=is_mutation),
        )

    def _below(self, node: FieldNode, kind: GraphQLNamedType | None) -> Facts:
        return Facts() if node.selection_set is None else self._selections(node.selection_set, kind)


def _is_root(schema: GraphQLSchema, kind: GraphQLNamedType | None) -> bool:
    return kind is not None and kind is schema.mutation_type


def _sum(left: int, right: int) -> int:
    return min(CEILING, left + right)

"""Inputs of collections."""

import strawberry

from graphql_api.enums import FilterOperator
from graphql_api.idempotency import key_field
from graphql_api.scalars import JSON
from models.collection import InputMapping, Passthrough, Source
from models.filters import Condition, Filter
from workers.collections import CollectionDraft


@strawberry.input(
    description="Compares one field with a value. An absent field and null are one thing: they "
    "fit `NE`, and `EXISTS` with false. True is not 1; a text is never smaller than a number."
)
class FieldFilterInput:
    """Input for a condition."""

    path: str = strawberry.field(description="Dotted path in the row.")
    operator: FilterOperator = strawberry.field(description="How it is compared.")
    value: JSON | None = strawberry.field(
        default=None, description="With what: a list for `IN`; true, false or nothing for `EXISTS`."
    )


@strawberry.input(description="A filter: exactly one of the four.", one_of=True)
class FilterInput:
    """Input for a node of a filter."""

    and_: "list[FilterInput] | None" = strawberry.field(
        name="and", default=strawberry.UNSET, description="Every one of these fits."
    )
    or_: "list[FilterInput] | None" = strawberry.field(
        name="or", default=strawberry.UNSET, description="At least one of these fits."
    )
    not_: "FilterInput | None" = strawberry.field(
        name="not", default=strawberry.UNSET, description="This does not fit."
    )
    field: FieldFilterInput | None = strawberry.field(
        default=strawberry.UNSET, description="A field compares so."
    )

    def tree(self) -> Filter:
        """Return the model's form."""
        return Filter(
            all_of=_trees(self.and_),
            any_of=_trees(self.or_),
            negated=self.not_.tree() if self.not_ else None,
            condition=Condition(
                path=self.field.path, operator=self.field.operator, value=self.field.value
            )
            if self.field
            else None,
        )


def _trees(parts: list[FilterInput] | None) -> list[Filter] | None:
    """Return the parts of a node; an empty list is not the same as none."""
    return [part.tree() for part in parts] if isinstance(parts, list) else None


@strawberry.input(
    description="What a collection reads: exactly one of `bucketId` and `collectionIds`."
)
class SourceInput:
    """Input for a source."""

    bucket_id: strawberry.ID | None = strawberry.field(default=None, description="A bucket.")
    collection_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Upstream collections with the same output fields."
    )
    filter: FilterInput | None = strawberry.field(
        default=None, description="Rows that do not fit are counted as filtered and not read."
    )


@strawberry.input(description="Which extractor runs.")
class ExtractorChoiceInput:
    """Input for an extractor's choice."""

    name: str = strawberry.field(description="Name in the catalogue.")
    version: str = strawberry.field(default="v1", description="Version in the catalogue.")
    parameters: JSON | None = strawberry.field(
        default=None, description="A JSON object; see the extractor's parametersSchema."
    )


@strawberry.input(description="Fills one input: exactly one of `path`, `literal` and `vector`.")
class InputMappingInput:
    """Input for a mapping."""

    input: str = strawberry.field(description="The extractor's input.")
    path: str | None = strawberry.field(default=None, description="Dotted path in the row.")
    literal: JSON | None = strawberry.field(default=None, description="A fixed value.")
    vector: str | None = strawberry.field(
        default=None, description="A vector of the upstream documents, for inputs of kind `vector`."
    )


@strawberry.input(description="Copies a field of the row into the document.")
class PassthroughInput:
    """Input for a passthrough."""

    path: str = strawberry.field(description="Dotted path in the row.")
    target: str | None = strawberry.field(
        default=None, description="Name in the document; the path's last part by default."
    )
    default: JSON | None = strawberry.field(default=None, description="Used when it is absent.")
    required: bool = strawberry.field(
        default=False, description="Whether a row without it is left out."
    )


@strawberry.input(description="A collection to be created.")
class CreateCollectionInput:
    """Input of createCollection."""

    name: str = strawberry.field(description="1 to 100 characters, unique in the namespace.")
    description: str = strawberry.field(default="", description="Free text.")
    source: SourceInput = strawberry.field(description="What it reads.")
    extractor: ExtractorChoiceInput = strawberry.field(description="What makes its documents.")
    input_mappings: list[InputMappingInput] | None = strawberry.field(
        default=None, description="What fills the inputs; a required one defaults to its own name."
    )
    passthrough: list[PassthroughInput] | None = strawberry.field(
        default=None, description="Fields of the row to keep."
    )
    idempotency_key: str | None = key_field()

    def draft(self) -> CollectionDraft:
        """Return the workers' form."""
        return CollectionDraft(
            name=self.name,
            description=self.description,
            source=Source(
                bucket_id=self.source.bucket_id,
                collection_ids=list(self.source.collection_ids or []),
                filter=self.source.filter.tree() if self.source.filter else None,
            ),
            extractor=self.extractor.name,
            version=self.extractor.version,
            parameters=self.extractor.parameters,
            input_mappings=[
                InputMapping(input=one.input, path=one.path, literal=one.literal, vector=one.vector)
                for one in self.input_mappings or []
            ],
            passthrough=[
                Passthrough(
                    path=one.path,
                    target=one.target or one.path.rpartition(".")[2],
                    default=one.default,
                    required=one.required,
                )
                for one in self.passthrough or []
            ],
        )


@strawberry.input(description="A collection to be deleted.")
class DeleteCollectionInput:
    """Input of deleteCollection."""

    id: strawberry.ID = strawberry.field(description="The collection.")
    force: bool = strawberry.field(
        default=False, description="Whether live batches are canceled rather than in the way."
    )


@strawberry.input(description="A collection to be changed; what is left out stays.")
class UpdateCollectionInput:
    """Input of updateCollection."""

    id: strawberry.ID = strawberry.field(description="The collection.")
    name: str | None = strawberry.field(default=None, description="Unique in the namespace.")
    description: str | None = strawberry.field(default=None, description="Free text.")


@strawberry.input(description="A collection to be made like another.")
class CloneCollectionInput:
    """Input of cloneCollection."""

    id: strawberry.ID = strawberry.field(description="The other collection.")
    name: str = strawberry.field(description="1 to 100 characters, unique in the namespace.")
    description: str | None = strawberry.field(
        default=None, description="Free text; the other's if none."
    )
    parameters: JSON | None = strawberry.field(
        default=None, description="A JSON object: these parameters replace the other's."
    )
    idempotency_key: str | None = key_field()

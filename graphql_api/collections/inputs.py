"""Inputs of collections."""

import strawberry

from graphql_api.idempotency import key_field
from graphql_api.scalars import JSON
from models.collection import InputMapping, Passthrough, Source
from workers.collections import CollectionDraft


@strawberry.input(description="What a collection reads: exactly one of the two.")
class SourceInput:
    """Input for a source."""

    bucket_id: strawberry.ID | None = strawberry.field(default=None, description="A bucket.")
    collection_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Upstream collections with the same output fields."
    )


@strawberry.input(description="Which extractor runs.")
class ExtractorChoiceInput:
    """Input for an extractor's choice."""

    name: str = strawberry.field(description="Name in the catalogue.")
    version: str = strawberry.field(default="v1", description="Version in the catalogue.")
    parameters: JSON | None = strawberry.field(
        default=None, description="A JSON object; see the extractor's parametersSchema."
    )


@strawberry.input(description="Fills one input: exactly one of `path` and `literal`.")
class InputMappingInput:
    """Input for a mapping."""

    input: str = strawberry.field(description="The extractor's input.")
    path: str | None = strawberry.field(default=None, description="Dotted path in the row.")
    literal: JSON | None = strawberry.field(default=None, description="A fixed value.")


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
            ),
            extractor=self.extractor.name,
            version=self.extractor.version,
            parameters=self.extractor.parameters,
            input_mappings=[
                InputMapping(input=one.input, path=one.path, literal=one.literal)
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

"""Types of the catalogue of extractors."""

import asyncio
from enum import StrEnum
from typing import Annotated

import strawberry

from engine.availability import examine, vectors_of
from engine.catalog import extractor_spec, is_builtin, labels
from engine.plugins import find_plugin
from engine.spec import ExtractorSpec
from graphql_api.collections.types import VectorField, show_vectors
from graphql_api.context import Info
from graphql_api.enums import FieldType, show_enum
from graphql_api.scalars import JSON
from models.errors import ExtractorUnavailable, InvalidParameters


class ExtractorOrigin(StrEnum):
    """Where an extractor comes from."""

    BUILT_IN = "BUILT_IN"
    PLUGIN = "PLUGIN"


show_enum(
    ExtractorOrigin,
    "Where an extractor comes from.",
    {
        ExtractorOrigin.BUILT_IN: "From Strata itself.",
        ExtractorOrigin.PLUGIN: "From a package of others that the operator allows.",
    },
)


@strawberry.type(description="One input of an extractor.")
class ExtractorInput:
    """An input as shown."""

    name: str = strawberry.field(description="Its name.")
    kind: str = strawberry.field(description="`text`, `json`, `blob` or `vector`.")
    required: bool = strawberry.field(description="Whether a row without it is left out.")
    description: str = strawberry.field(description="What it is.")


@strawberry.type(description="One output of an extractor.")
class ExtractorOutput:
    """An output as shown."""

    name: str = strawberry.field(description="Its name.")
    type: FieldType = strawberry.field(description="What it holds.")
    media_type: str | None = strawberry.field(description="Of its bytes, where it is a blob.")
    filterable: bool = strawberry.field(description="Whether searches may filter by it.")
    description: str = strawberry.field(description="What it is.")


@strawberry.type(description="What each process of an extractor reserves on the Ray cluster.")
class ExtractorResources:
    """Resources as shown."""

    cpus: float = strawberry.field(description="CPUs, or a share of one.")
    gpus: float = strawberry.field(description="GPUs, or a share of one.")
    memory_mb: int = strawberry.field(description="Mebibytes of memory.")


@strawberry.type(
    description="Whether an extractor can run here with its default parameters; where one has no "
    "default, whether its packages are installed."
)
class ExtractorAvailability:
    """Readiness as shown."""

    available: bool = strawberry.field(description="Whether nothing is missing.")
    message: str | None = strawberry.field(description="What is missing.")
    hint: str | None = strawberry.field(description="What to install, or to put where.")


@strawberry.type(description="A versioned function from rows to documents.")
class Extractor:
    """An extractor as shown."""

    label: strawberry.Private[str]
    name: str = strawberry.field(description="Its name.")
    version: str = strawberry.field(description="Its version.")
    description: str = strawberry.field(description="What it does.")
    origin: ExtractorOrigin = strawberry.field(description="Where it comes from.")
    package: str | None = strawberry.field(
        description="Name and version of a plug-in's package; null for the built-in ones."
    )
    inputs: list[ExtractorInput] = strawberry.field(description="What it reads.")
    outputs: list[ExtractorOutput] = strawberry.field(description="What its documents have.")
    parameters_schema: JSON = strawberry.field(description="JSON Schema of its parameters.")
    resources: ExtractorResources = strawberry.field(description="What its processes reserve.")
    needs_whole_tier: bool = strawberry.field(
        description="Whether it waits for everything that it reads, to see it at once."
    )

    @strawberry.field(
        description="Vectors of its documents; null where they cannot be told: a parameter has no "
        "default, or the net is not on this machine."
    )
    async def vectors(
        self,
        info: Info,
        parameters: Annotated[
            JSON | None,
            strawberry.argument(description="A JSON object; without it, the default ones."),
        ] = None,
    ) -> list[VectorField] | None:
        """Ask the spec; it may have to import the library that lists nets."""
        cache = info.context.stores.settings.cache
        found = await asyncio.to_thread(vectors_of, self.label, cache, _object(parameters))
        return None if found is None else show_vectors(self.label, found)

    @strawberry.field(description="Whether it can run here, and if not, what to install.")
    async def availability(self, info: Info) -> ExtractorAvailability:
        """Look for what it needs."""
        settings = info.context.stores.settings
        found = await asyncio.to_thread(examine, self.label, settings.cache, settings.embeddings)
        lacks = found.lacks
        return ExtractorAvailability(
            available=found.available,
            message=None if lacks is None else lacks.message,
            hint=None if lacks is None else lacks.hint,
        )


def show_extractors() -> list[Extractor]:
    """Return the catalogue as shown, without plug-ins that cannot be loaded."""
    shown: list[Extractor] = []
    for label in labels():
        try:
            shown.append(_show_extractor(extractor_spec(label)))
        except ExtractorUnavailable:
            continue  # `strata doctor` says what is wrong with it; a collection of it is refused
    return shown


def _show_extractor(spec: ExtractorSpec) -> Extractor:
    ours = is_builtin(spec.label)
    return Extractor(
        label=spec.label,
        name=spec.name,
        version=spec.version,
        description=spec.description,
        origin=ExtractorOrigin.BUILT_IN if ours else ExtractorOrigin.PLUGIN,
        package=None if ours else find_plugin(spec.label).package,
        inputs=[
            ExtractorInput(
                name=one.name, kind=one.kind, required=one.required, description=one.description
            )
            for one in spec.inputs
        ],
        outputs=[
            ExtractorOutput(
                name=one.name,
                type=one.type,
                media_type=one.media_type,
                filterable=one.filterable,
                description=one.description,
            )
            for one in spec.outputs
        ],
        parameters_schema=JSON(spec.parameters.model_json_schema()),
        resources=ExtractorResources(cpus=spec.cpus, gpus=spec.gpus, memory_mb=spec.memory_mb),
        needs_whole_tier=spec.needs_whole_tier,
    )


def _object(parameters: JSON | None) -> dict[str, object] | None:
    if parameters is None or isinstance(parameters, dict):
        return parameters
    raise InvalidParameters("Parameters must be a JSON object.", path=("parameters",))

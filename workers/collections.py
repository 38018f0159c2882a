"""Creating a collection: what could go wrong later is checked now, its output is computed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from engine.availability import require_available
from engine.catalog import extractor_spec, parameters_hash, parse_parameters
from engine.spec import ExtractorSpec, InputKind, InputSpec, Parameters
from models.collection import Collection, InputMapping, Passthrough, Source
from models.database import Session
from models.errors import InvalidInput, InvalidMapping, NameTaken
from models.fields import ExtractorChoice, FieldSpec, FieldType, VectorKind, accepts
from models.idempotency import Claim
from models.ids import new_id
from models.scope import Scope
from models.settings import Settings
from workers.names import require_field_name, require_json, require_name, require_text
from workers.sources import SourceSchema, read_source, require_filter

_KINDS: Final[Mapping[InputKind, frozenset[FieldType]]] = {
    "text": frozenset({FieldType.TEXT, FieldType.STRING, FieldType.DATETIME}),
    "json": frozenset(FieldType),
    "blob": frozenset({FieldType.BLOB, FieldType.TEXT, FieldType.STRING}),
}
_NOUNS: Final[Mapping[InputKind, str]] = {
    "text": "field", "json": "field", "blob": "field", "vector": "vector"
}  # fmt: skip


@dataclass(frozen=True)
class CollectionDraft:
    """A collection as a client describes it."""

    name: str
    description: str
    source: Source
    extractor: str
    version: str
    parameters: Any
    input_mappings: Sequence[InputMapping]
    passthrough: Sequence[Passthrough]


async def open_collection(
    scope: Scope,
    draft: CollectionDraft,
    *,
    settings: Settings | None = None,
    claim: Claim | None = None,
) -> Collection:
    """Create a collection; `settings` say where nets are kept and which endpoints there are.

    Raises:
        NotFound: its source does not exist.
        UnknownExtractor, InvalidParameters, ExtractorUnavailable: its extractor cannot run so.
        InvalidMapping: a mapping names no input, or a field that the source does not have.
        NameTaken: the namespace has a collection of that name.
    """
    require_name(draft.name)
    require_text(draft.description, path=("description",))
    label = f"{draft.extractor}@{draft.version}"
    spec = extractor_spec(label)
    parameters = _parameters(label, draft.parameters)
    choice = ExtractorChoice(
        name=draft.extractor,
        version=draft.version,
        parameters=parameters.model_dump(mode="json"),
        parameters_hash=parameters_hash(parameters),
    )
    used = settings or Settings()
    vectors = await asyncio.to_thread(  # it may have to import the library that lists nets
        require_available, choice, used.cache, used.embeddings
    )
    schema = await read_source(scope, draft.source)
    source = require_filter(draft.source, schema)
    mappings = _mappings(spec, parameters, draft.input_mappings, schema)
    passthrough = _passthrough(spec, draft.passthrough, schema)
    collection = Collection(
        id=new_id("col"),
        namespace_id=scope.namespace_id,
        name=draft.name,
        description=draft.description,
        source=source,
        extractor=choice,
        input_mappings=mappings,
        passthrough=passthrough,
        output_fields=_output_fields(spec, passthrough, schema),
        vectors=list(vectors),
    )

    async def insert(session: Session) -> None:
        rows = Collection.get_pymongo_collection()
        await rows.insert_one(collection.to_mongo(), session=session)

    try:
        await (claim or Claim()).commit(insert, collection_id=collection.id)
    except DuplicateKeyError as error:
        raise NameTaken(f"A collection {draft.name!r} exists.", path=("name",)) from error
    return collection


def _parameters(label: str, values: Any) -> Parameters:
    if values is not None and not isinstance(values, dict):
        raise InvalidInput("Parameters must be a JSON object.", path=("extractor", "parameters"))
    return parse_parameters(label, values or {})


def _mappings(
    spec: ExtractorSpec,
    parameters: Parameters,
    mappings: Sequence[InputMapping],
    source: SourceSchema,
) -> list[InputMapping]:
    inputs = {item.name: item for item in spec.inputs}
    given: dict[str, InputMapping] = {}
    for index, mapping in enumerate(mappings):
        where = ("inputMappings", str(index))
        if mapping.input not in inputs or mapping.input in given:
            raise InvalidMapping(
                f"{spec.label} has no input {mapping.input!r}, or it is mapped twice.",
                path=(*where, "input"),
                hint=f"Inputs: {', '.join(inputs)}.",
            )
        _require_mapping(inputs[mapping.input], mapping, parameters, source, where)
        given[mapping.input] = mapping
    for item in spec.inputs:
        if item.name not in given and _dimension(item, parameters) is not None:
            raise InvalidMapping(
                f"{spec.label} needs the input {item.name!r}; map a vector of the source to it.",
                path=("inputMappings",),
                hint=f"Vectors: {', '.join(sorted(source.vectors)) or 'none'}.",
            )
        if item.required and item.name not in given:
            given[item.name] = _same_name(spec, item, source)
    return list(given.values())


def _require_mapping(
    item: InputSpec,
    mapping: InputMapping,
    parameters: Parameters,
    source: SourceSchema,
    where: tuple[str, ...],
) -> None:
    if [mapping.path, mapping.literal, mapping.vector].count(None) != 2:
        raise InvalidMapping("Give exactly one of `path`, `literal` and `vector`.", path=where)
    if (item.kind == "vector") != (mapping.vector is not None):
        takes = "a `vector`" if item.kind == "vector" else "a `path` or a `literal`"
        raise InvalidMapping(f"Input {item.name!r} takes {takes}.", path=where)
    if mapping.vector is not None:
        wanted = _dimension(item, parameters)
        _require_vector(item, mapping.vector, wanted, source, where=(*where, "vector"))
    elif mapping.path is not None:
        _require_kind(item, mapping.path, source, (*where, "path"))
    else:
        _require_literal(item, mapping.literal, (*where, "literal"))


def _dimension(item: InputSpec, parameters: Parameters) -> int | None:
    return None if item.dimension is None else item.dimension(parameters)


def _require_vector(
    item: InputSpec,
    name: str,
    dimension: int | None,
    source: SourceSchema,
    *,
    where: tuple[str, ...],
) -> None:
    found = source.vectors.get(name)
    if found is None:
        raise InvalidMapping(
            f"The source has no vector {name!r}.",
            path=where,
            hint=f"Vectors: {', '.join(sorted(source.vectors)) or 'none'}.",
        )
    if found.kind is not VectorKind.DENSE:
        raise InvalidMapping(f"Vector {name!r} is {found.kind}; an input is dense.", path=where)
    if dimension is not None and found.dimension != dimension:
        raise InvalidMapping(
            f"Input {item.name!r} takes {dimension} numbers, but {name!r} has {found.dimension}.",
            path=where,
            hint="Give the extractor the dimension of the vector.",
        )


def _require_kind(item: InputSpec, path: str, source: SourceSchema, where: tuple[str, ...]) -> None:
    kind = source.require_path(path, where)
    if kind is not None and kind not in _KINDS[item.kind]:
        raise InvalidMapping(
            f"Input {item.name!r} takes {item.kind}, but {path!r} is {kind}.", path=where
        )


def _require_literal(item: InputSpec, literal: Any, where: tuple[str, ...]) -> None:
    require_json(literal, path=where)
    if item.kind != "json" and not isinstance(literal, str):
        raise InvalidMapping(f"Input {item.name!r} takes text.", path=where)


def _same_name(spec: ExtractorSpec, item: InputSpec, source: SourceSchema) -> InputMapping:
    if item.kind == "vector" and item.name in source.vectors:
        return InputMapping(input=item.name, vector=item.name)
    if item.kind == "vector" or (source.fields is not None and item.name not in source.fields):
        raise InvalidMapping(
            f"{spec.label} needs the input {item.name!r}; map a {_NOUNS[item.kind]} to it.",
            path=("inputMappings",),
            hint=source.offer(item.kind == "vector"),
        )
    _require_kind(item, item.name, source, ("inputMappings",))
    return InputMapping(input=item.name, path=item.name)


def _passthrough(
    spec: ExtractorSpec, entries: Sequence[Passthrough], source: SourceSchema
) -> list[Passthrough]:
    taken = {output.name for output in spec.outputs}
    for index, entry in enumerate(entries):
        where = ("passthrough", str(index))
        kind = source.require_path(entry.path, (*where, "path"))
        require_field_name(entry.target, path=(*where, "target"))
        if entry.target in taken:
            raise InvalidMapping(
                f"The document has a field {entry.target!r} already.",
                path=(*where, "target"),
                hint="Give it another name with `target`.",
            )
        _require_default(entry, kind, (*where, "default"))
        taken.add(entry.target)
    return list(entries)


def _require_default(entry: Passthrough, kind: FieldType | None, where: tuple[str, ...]) -> None:
    require_json(entry.default, path=where)
    if entry.default is None:
        return
    if entry.required:
        raise InvalidMapping(
            f"{entry.path!r} is required, so its default is never used.",
            path=where,
            hint="Drop one of the two.",
        )
    if kind is not None and not accepts(kind, entry.default):
        raise InvalidMapping(
            f"The default of {entry.path!r} must be {kind}, as the field is.", path=where
        )


def _output_fields(
    spec: ExtractorSpec, passthrough: Sequence[Passthrough], source: SourceSchema
) -> list[FieldSpec]:
    outputs = [
        FieldSpec(name=output.name, type=output.type, filterable=output.filterable)
        for output in spec.outputs
    ]
    kept = [
        FieldSpec(
            name=entry.target,
            type=(source.fields or {}).get(entry.path) or FieldType.OBJECT,
            required=entry.required,
        )
        for entry in passthrough
    ]
    return outputs + kept

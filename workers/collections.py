"""Creating a collection: what could go wrong later is checked now, its output is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from engine.availability import require_available
from engine.catalog import extractor_spec, parameters_hash, parse_parameters
from engine.spec import ExtractorSpec, InputSpec, Parameters
from models.bucket import Bucket
from models.collection import Collection, InputMapping, Passthrough, Source
from models.database import Session
from models.errors import InvalidInput, InvalidMapping, NameTaken
from models.fields import ExtractorChoice, FieldSpec, FieldType
from models.idempotency import Claim
from models.ids import new_id
from models.scope import Scope
from models.settings import Settings
from workers.names import require_field_name, require_json, require_name, require_text

_ALWAYS = ("object_id", "key")
_KINDS: Final = {
    "text": frozenset({FieldType.TEXT, FieldType.STRING, FieldType.DATETIME}),
    "json": frozenset(FieldType),
    "blob": frozenset({FieldType.BLOB, FieldType.TEXT, FieldType.STRING}),
}
Fields = Mapping[str, FieldType | None]  # None: the field is there, but nobody knows its type


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
    vectors = require_available(choice, used.cache, used.embeddings)
    fields = await _source_fields(scope, draft.source)
    mappings = _mappings(spec, draft.input_mappings, fields)
    passthrough = _passthrough(spec, draft.passthrough, fields)
    collection = Collection(
        id=new_id("col"),
        namespace_id=scope.namespace_id,
        name=draft.name,
        description=draft.description,
        source=draft.source,
        extractor=choice,
        input_mappings=mappings,
        passthrough=passthrough,
        output_fields=_output_fields(spec, passthrough, fields),
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


async def _source_fields(scope: Scope, source: Source) -> Fields | None:
    """Return the fields that rows of a source have; None when nothing is known of them."""
    if (source.bucket_id is None) == (not source.collection_ids):
        raise InvalidInput("A source is either `bucketId` or `collectionIds`.", path=("source",))
    if source.bucket_id is not None:
        bucket = await scope.require(Bucket, source.bucket_id, path=("source", "bucketId"))
        known = {field.name: field.type for field in bucket.fields}
        return {**dict.fromkeys(_ALWAYS, FieldType.STRING), **known} if known else None
    if len(set(source.collection_ids)) < len(source.collection_ids):
        raise InvalidInput("A collection is named twice.", path=("source", "collectionIds"))
    upstream = [
        await scope.require(Collection, found, path=("source", "collectionIds", str(index)))
        for index, found in enumerate(source.collection_ids)
    ]
    schemas = [{f.name: f.type for f in one.output_fields} for one in upstream]
    if any(schema != schemas[0] for schema in schemas):
        raise InvalidInput(
            "Upstream collections must have the same output fields.",
            path=("source", "collectionIds"),
        )
    # What was passed through from a source without a schema is called an OBJECT.
    known_or_not = {n: None if kind is FieldType.OBJECT else kind for n, kind in schemas[0].items()}
    return {"document_id": FieldType.STRING, **known_or_not}


def _require_path(path: str, fields: Fields | None, where: tuple[str, ...]) -> FieldType | None:
    """Return the type of a field; None when nothing is known of it."""
    require_text(path, path=where)
    if fields is None:
        return None
    if path in fields:
        return fields[path]
    head = path.partition(".")[0]
    if head in fields and fields[head] in (None, FieldType.OBJECT):
        return None
    raise InvalidMapping(
        f"The source has no field {path!r}.",
        path=where,
        hint=f"Fields: {', '.join(sorted(fields))}.",
    )


def _mappings(
    spec: ExtractorSpec,
    mappings: Sequence[InputMapping],
    fields: Fields | None,
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
        if (mapping.path is None) == (mapping.literal is None):
            raise InvalidMapping("Give exactly one of `path` and `literal`.", path=where)
        if mapping.path is not None:
            _require_kind(inputs[mapping.input], mapping.path, fields, (*where, "path"))
        else:
            _require_literal(inputs[mapping.input], mapping.literal, (*where, "literal"))
        given[mapping.input] = mapping
    for item in spec.inputs:
        if item.required and item.name not in given:
            given[item.name] = _same_name(spec, item, fields)
    return list(given.values())


def _require_kind(
    item: InputSpec, path: str, fields: Fields | None, where: tuple[str, ...]
) -> None:
    kind = _require_path(path, fields, where)
    if kind is not None and kind not in _KINDS[item.kind]:
        raise InvalidMapping(
            f"Input {item.name!r} takes {item.kind}, but {path!r} is {kind}.", path=where
        )


def _require_literal(item: InputSpec, literal: Any, where: tuple[str, ...]) -> None:
    require_json(literal, path=where)
    if item.kind != "json" and not isinstance(literal, str):
        raise InvalidMapping(f"Input {item.name!r} takes text.", path=where)


def _same_name(spec: ExtractorSpec, item: InputSpec, fields: Fields | None) -> InputMapping:
    if fields is not None and item.name not in fields:
        raise InvalidMapping(
            f"{spec.label} needs the input {item.name!r}; map a field to it.",
            path=("inputMappings",),
            hint=f"Fields: {', '.join(sorted(fields))}.",
        )
    _require_kind(item, item.name, fields, ("inputMappings",))
    return InputMapping(input=item.name, path=item.name)


def _passthrough(
    spec: ExtractorSpec,
    entries: Sequence[Passthrough],
    fields: Fields | None,
) -> list[Passthrough]:
    taken = {output.name for output in spec.outputs}
    for index, entry in enumerate(entries):
        where = ("passthrough", str(index))
        _require_path(entry.path, fields, (*where, "path"))
        require_field_name(entry.target, path=(*where, "target"))
        if entry.target in taken:
            raise InvalidMapping(
                f"The document has a field {entry.target!r} already.",
                path=(*where, "target"),
                hint="Give it another name with `target`.",
            )
        require_json(entry.default, path=(*where, "default"))
        taken.add(entry.target)
    return list(entries)


def _output_fields(
    spec: ExtractorSpec,
    passthrough: Sequence[Passthrough],
    fields: Fields | None,
) -> list[FieldSpec]:
    outputs = [FieldSpec(name=output.name, type=output.type) for output in spec.outputs]
    kept = [
        FieldSpec(
            name=entry.target,
            type=(fields or {}).get(entry.path) or FieldType.OBJECT,
            required=entry.required,
        )
        for entry in passthrough
    ]
    return outputs + kept

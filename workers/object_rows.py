"""One row of objects: checked field by field against its bucket, and turned into an object."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from models.artifacts import parse_s3_url
from models.bucket import Bucket
from models.errors import InvalidInput
from models.fields import accepts
from models.ids import new_id
from models.object import Blob, Object
from models.stores import Stores
from workers.names import require_field_name, require_json, require_name, require_text

_KEY_BYTES: Final = 512
_MAX_TAGS: Final = 50
MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,127}", re.I | re.A)
_MAX_SIZE: Final = 2**63


@dataclass(frozen=True)
class ObjectDraft:
    """An object as a client describes it."""

    key: str | None
    metadata: Any
    blobs: Sequence[Blob]
    tags: Sequence[str] = ()


def build_object(
    stores: Stores, bucket: Bucket, draft: ObjectDraft, *, path: tuple[str, ...]
) -> Object:
    """Return a draft as an object of the bucket; raises InvalidInput, which names the field."""
    metadata = _metadata(draft.metadata, (*path, "metadata"))
    if draft.key is not None:
        require_name(draft.key, path=(*path, "key"))
    taken = set(metadata)
    for index, blob in enumerate(draft.blobs):
        _require_blob(stores, blob, taken, path=(*path, "blobs", str(index)))
        taken.add(blob.property)
    _require_schema(bucket, metadata, draft.blobs, path=path)
    _require_tags(draft.tags, path=(*path, "tags"))
    return Object(
        id=new_id("obj"),
        namespace_id=bucket.namespace_id,
        bucket_id=bucket.id,
        key=_key(bucket, draft, metadata, path=path),
        metadata=metadata,
        blobs=list(draft.blobs),
        tags=sorted(set(draft.tags)),
    )


def build_without_bad_fields(
    stores: Stores, bucket: Bucket, draft: ObjectDraft, *, path: tuple[str, ...]
) -> tuple[Object, list[InvalidInput]]:
    """Return a draft without those optional fields that are wrong, and what was wrong with them.

    Raises:
        InvalidInput: what is wrong cannot be left out.
    """
    errors: list[InvalidInput] = []
    places = list(range(len(draft.blobs)))  # of the blobs that are left, in the input
    while True:
        try:
            return build_object(stores, bucket, draft, path=path), errors
        except InvalidInput as error:
            rest = error.path[len(path) :]
            if rest[:1] == ("blobs",):
                place = int(rest[1])
                error.path = (*path, "blobs", str(places[place]), *rest[2:])
                draft = _without_blob(draft, place)
                del places[place]
            else:
                draft = _without_field(bucket, draft, rest, error)
            errors.append(error)


def _without_blob(draft: ObjectDraft, place: int) -> ObjectDraft:
    blobs = [blob for index, blob in enumerate(draft.blobs) if index != place]
    return replace(draft, blobs=blobs)


def _without_field(
    bucket: Bucket, draft: ObjectDraft, rest: tuple[str, ...], error: InvalidInput
) -> ObjectDraft:
    """Leave out the field that an error names; raises the error again when it must stay."""
    name = rest[1] if rest[:1] == ("metadata",) and len(rest) > 1 else rest[0] if rest else ""
    if any(field.name == name and field.required for field in bucket.fields):
        raise error
    if isinstance(draft.metadata, dict) and name in draft.metadata:
        kept = {key: value for key, value in draft.metadata.items() if key != name}
        return replace(draft, metadata=kept)
    if any(blob.property == name for blob in draft.blobs):
        return replace(draft, blobs=[blob for blob in draft.blobs if blob.property != name])
    raise error


def _key(
    bucket: Bucket, draft: ObjectDraft, metadata: dict[str, Any], *, path: tuple[str, ...]
) -> str | None:
    """Return the object's name in its bucket: given, or made of the fields of the unique key."""
    if bucket.unique_key is None:
        return draft.key
    if draft.key is not None:
        raise InvalidInput(
            "The bucket makes keys of its objects' fields.",
            path=(*path, "key"),
            hint=f"Leave it out; the fields are {', '.join(bucket.unique_key.fields)}.",
        )
    values = []
    for name in bucket.unique_key.fields:
        value = metadata.get(name)
        if not isinstance(value, str | int | float | bool):
            raise InvalidInput(
                f"Field {name!r} is part of the unique key: a text, a number or a boolean.",
                path=(*path, name),
            )
        values.append(value)
    key = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    if len(key.encode()) > _KEY_BYTES:
        raise InvalidInput(
            f"The unique key has more than {_KEY_BYTES} bytes.",
            path=(*path, bucket.unique_key.fields[0]),
        )
    return key


def key_of(bucket: Bucket, draft: ObjectDraft) -> str | None:
    """Return the key that a draft would get; None when it has none, or a bad one."""
    metadata = draft.metadata if isinstance(draft.metadata, dict) else {}
    try:
        return _key(bucket, draft, metadata, path=())
    except InvalidInput:
        return None


def _require_tags(tags: Sequence[str], *, path: tuple[str, ...]) -> None:
    if len(tags) > _MAX_TAGS:
        raise InvalidInput(f"At most {_MAX_TAGS} tags.", path=path)
    for index, tag in enumerate(tags):
        require_name(tag, path=(*path, str(index)))


def _metadata(value: Any, path: tuple[str, ...]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput("Metadata must be a JSON object.", path=path)
    require_json(value, path=path)  # first: a key that is no text must not get into a path
    for key in value:
        require_field_name(key, path=(*path, key))
    return value


def _require_blob(
    stores: Stores, blob: Blob, taken: Collection[str], *, path: tuple[str, ...]
) -> None:
    require_field_name(blob.property, path=(*path, "property"))
    if blob.property in taken:
        raise InvalidInput(
            f"The object has a field {blob.property!r} already.", path=(*path, "property")
        )
    if (blob.text is None) == (blob.url is None):
        raise InvalidInput("Give exactly one of `text` and `url`.", path=path)
    if blob.text is not None:
        require_text(blob.text, path=(*path, "text"))
        limit = stores.settings.api.max_text_bytes
        if len(blob.text.encode()) > limit:
            raise InvalidInput(
                f"Inline text is limited to {limit} bytes.",
                path=(*path, "text"),
                hint="Store it on S3 and give its address as `url`.",
            )
    if blob.url is not None and blob.upload_id is None:
        _require_address(stores, blob.url, path=(*path, "url"))
    if blob.media_type is not None and not MEDIA_TYPE.fullmatch(blob.media_type):
        raise InvalidInput("A media type looks like `image/png`.", path=(*path, "mediaType"))
    if blob.size_bytes is not None and not 0 <= blob.size_bytes < _MAX_SIZE:
        raise InvalidInput("A size is a number of bytes.", path=(*path, "sizeBytes"))


def _require_address(stores: Stores, url: str, *, path: tuple[str, ...]) -> None:
    """Refuse an address by its text; where it leads is judged when it is called."""
    if url.startswith(("https://", "http://")):
        stores.egress.require_form(url, path=path)
    else:
        s3_bucket, _ = parse_s3_url(url, path=path)
        stores.artifacts.require_source(s3_bucket, path=path)


def _require_schema(
    bucket: Bucket, metadata: dict[str, Any], blobs: Sequence[Blob], *, path: tuple[str, ...]
) -> None:
    values: dict[str, Any] = {**metadata, **{blob.property: blob.text or "" for blob in blobs}}
    for field in bucket.fields:
        value = values.get(field.name)
        if value is None:
            if field.required:
                raise InvalidInput(
                    f"Required field {field.name!r} is missing.", path=(*path, field.name)
                )
        elif not accepts(field.type, value):
            raise InvalidInput(
                f"Field {field.name!r} must be {field.type}.", path=(*path, field.name)
            )

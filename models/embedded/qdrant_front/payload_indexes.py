"""Payload indexes: their JSON, their engine parameters, and what GET says of them."""

from typing import Any

import qdrant_edge as edge

from models.embedded.qdrant_front.encode import lower_name
from models.embedded.qdrant_front.filters import Json
from models.embedded.qdrant_front.refusals import wrong

KINDS: dict[str, tuple[edge.PayloadSchemaType, Any]] = {
    "keyword": (edge.PayloadSchemaType.Keyword, edge.KeywordIndexParams),
    "integer": (edge.PayloadSchemaType.Integer, edge.IntegerIndexParams),
    "float": (edge.PayloadSchemaType.Float, edge.FloatIndexParams),
    "geo": (edge.PayloadSchemaType.Geo, edge.GeoIndexParams),
    "text": (edge.PayloadSchemaType.Text, edge.TextIndexParams),
    "bool": (edge.PayloadSchemaType.Bool, edge.BoolIndexParams),
    "datetime": (edge.PayloadSchemaType.Datetime, edge.DatetimeIndexParams),
    "uuid": (edge.PayloadSchemaType.Uuid, edge.UuidIndexParams),
}
TOKENIZERS = {
    "prefix": edge.TokenizerType.Prefix,
    "whitespace": edge.TokenizerType.Whitespace,
    "word": edge.TokenizerType.Word,
    "multilingual": edge.TokenizerType.Multilingual,
}
# Where a payload index is kept makes no difference to what it answers.
PLACEMENT = {"memory", "on_disk"}


def create_index(body: Json) -> edge.UpdateOperation:
    schema = body["field_schema"]
    if isinstance(schema, str):
        return edge.UpdateOperation.create_field_index(body["field_name"], KINDS[schema][0])
    settings = {
        name: _setting(name, value)
        for name, value in schema.items()
        if value is not None and name not in PLACEMENT | {"type"}
    }
    params = KINDS[schema["type"]][1](**settings)
    return edge.UpdateOperation.create_field_index(body["field_name"], params)


def delete_index(field_name: str) -> edge.UpdateOperation:
    return edge.UpdateOperation.delete_field_index(field_name)


# The stub knows `PayloadIndexInfo`, the wheel does not export it: hence the quotes.
def described(schema: dict[str, "edge.PayloadIndexInfo"]) -> Json:
    return {name: _described(index) for name, index in schema.items()}


def _described(index: "edge.PayloadIndexInfo") -> Json:
    kind = lower_name(index.data_type)
    body: Json = {"data_type": kind, "points": index.points}
    if index.params is not None:
        body["params"] = {"type": kind} | _plain_settings(index.params)
    return body


def _plain_settings(params: Any) -> Json:
    """The scalars among an index's settings, and the tokenizer; the rest only the engine knows."""
    names = [name for name in dir(params) if not name.startswith("_")]
    settings = {name: getattr(params, name) for name in names}
    plain = {name: value for name, value in settings.items() if isinstance(value, bool | int | str)}
    if isinstance(settings.get("tokenizer"), edge.TokenizerType):
        plain["tokenizer"] = lower_name(settings["tokenizer"])
    return plain


def _setting(name: str, value: Any) -> Any:
    if name == "tokenizer":
        return TOKENIZERS[value]
    if name == "stopwords":
        return _stopwords(value)
    if name == "stemmer":
        return _stemmer(value)
    if name == "scoring" and not isinstance(value, bool):
        return edge.TextScoringParams()
    return value


def _stopwords(value: Any) -> edge.Language | edge.StopwordsSet:
    if isinstance(value, str):
        language: edge.Language = _member(edge.Language, value)
        return language
    languages = {_member(edge.Language, name) for name in value.get("languages") or []}
    return edge.StopwordsSet(languages or None, set(value.get("custom") or []) or None)


def _stemmer(value: Json) -> edge.SnowballParams | edge.DisabledStemmer:
    if value["type"] == "none":
        return edge.DisabledStemmer()
    return edge.SnowballParams(_member(edge.SnowballLanguage, value["language"]))


def _member(kind: Any, name: str) -> Any:
    try:
        return getattr(kind, name.capitalize())
    except AttributeError:
        raise wrong(f"unknown language: {name}") from None

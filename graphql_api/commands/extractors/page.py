"""`strata extractors docs`: the page of the built-in extractors, made of their specs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from engine.availability import vectors_of
from engine.catalog import CATALOG, extractor_spec
from engine.spec import ExtractorSpec
from graphql_api.commands.generated import require_text
from models.errors import Permanent
from models.fields import VectorField
from models.ids import feature_uri

_HEAD: Final = """# Extractors

Made by `strata extractors docs` from the specs; `make check` refuses another. The `extractors`
query of the API says the same of a running server, its plug-ins included, and whether each can run
there. How to write one: [add-an-extractor.md](add-an-extractor.md).

"""
_NOWHERE: Final = Path("/nonexistent")  # nets of this machine are no part of the page
_RANGES: Final = {
    "minimum": ">= {}", "maximum": "<= {}", "exclusiveMinimum": "> {}", "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters", "maxLength": "at most {} characters",
    "minItems": "at least {} items", "maxItems": "at most {} items",
}  # fmt: skip


class PageDiffers(Permanent):
    """A file holds another page."""

    code = "PAGE_DIFFERS"


def require_page(path: Path) -> None:
    """Raise, naming the first differences, unless the file is the page of this version."""
    hint = f"Write it anew: strata extractors docs > {path}"
    require_text(path, extractors_page(), error=PageDiffers, hint=hint)


def extractors_page() -> str:
    """Return the page as Markdown, ending in one newline."""
    specs = [extractor_spec(label) for label in sorted(CATALOG)]
    rows = [(f"[{one.label}](#{_anchor(one.label)})", one.description) for one in specs]
    sections = ["\n".join(_section(one)) for one in specs]
    return _HEAD + "\n".join([*_table(("extractor", "what it does"), rows), "", *sections])


def _anchor(label: str) -> str:
    return label.replace("@", "")


def _section(spec: ExtractorSpec) -> Iterator[str]:
    yield f"## {spec.label}"
    yield f"\n{spec.description}\n"
    inputs = [(f"`{i.name}`", i.kind, _yes(i.required), i.description) for i in spec.inputs]
    yield from _table(("input", "kind", "required", "what it is"), inputs)
    yield ""
    outputs = [
        (f"`{one.name}`", one.media_type or str(one.type), _yes(one.filterable), one.description)
        for one in spec.outputs
    ]
    yield from _table(("output", "type", "filterable", "what it is"), outputs)
    yield ""
    yield from _vectors(spec)
    yield from _parameters(spec.parameters.model_json_schema())
    yield f"Each process reserves {_resources(spec)}; a block has at most {spec.block_rows} rows."
    if spec.needs_whole_tier:
        yield "It waits for all of the tier that it reads."
    if spec.extra:
        yield f"Needs `pip install 'strata[{spec.extra}]'`."
    yield ""


def _vectors(spec: ExtractorSpec) -> Iterator[str]:
    found = vectors_of(spec.label, _NOWHERE)
    if found:
        rows = [(f"`{feature_uri(spec.label, v.name)}`", *_vector(v)) for v in found]
        yield from _table(("vector, by default", "kind", "size", "distance", "IDF"), rows)
    elif found is None:
        yield "Its vectors follow from its parameters."
    else:
        yield "By default it makes no vectors."
    yield ""


def _vector(vector: VectorField) -> tuple[str, ...]:
    size = str(vector.dimension) if vector.dimension else "any"
    return str(vector.kind).lower(), size, vector.distance, _yes(vector.idf)


def _parameters(schema: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (
            f"`{name}`",
            _kind(one, schema),
            "required" if name in schema.get("required", ()) else f"`{_json(one.get('default'))}`",
            one.get("description", ""),
        )
        for name, one in schema.get("properties", {}).items()
    ]
    if rows:
        yield from _table(("parameter", "type and range", "default", "what it does"), rows)
    else:
        yield "It has no parameters."
    yield ""


def _kind(one: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON Schema allows."""
    if "$ref" in one:
        return _kind(schema["$defs"][one["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in one:
        return " or ".join(_kind(part, schema) for part in one["anyOf"])
    if "const" in one:
        return f"`{_json(one['const'])}`"
    if "enum" in one:
        return ", ".join(f"`{_json(value)}`" for value in one["enum"])
    ranges = [words.format(one[key]) for key, words in _RANGES.items() if key in one]
    inner = f" of {_kind(one['items'], schema)}" if "items" in one else ""
    return ", ".join([f"{one.get('type', 'any')}{inner}", *ranges])


def _resources(spec: ExtractorSpec) -> str:
    gpus = f", {spec.gpus:g} GPU" if spec.gpus else ""
    return f"{spec.cpus:g} CPU{gpus} and {spec.memory_mb} MiB"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(titles)
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"

"""The list of extractors, as names of classes: importing this module imports none of them.

Beside the built-in ones there are the plug-ins that the operator allows (`engine.plugins`).
"""

import hashlib
import importlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from engine.media import DecodedSpool, MediaExtractor
from engine.plugins import SETTING, allowed_plugins, installed_plugins, load_plugin
from engine.spec import Extractor, ExtractorSpec, Parameters
from models.endpoints import Endpoints
from models.errors import InvalidParameters, UnknownExtractor
from models.fields import ExtractorChoice

DECODED_FOLDER: Final = "decoded"  # in the folder that nets are kept in
CATALOG: Final = {
    "audio@v1": "engine.extractors.audio:AudioExtractor",
    "document@v1": "engine.extractors.document:DocumentExtractor",
    "embed_api@v1": "engine.extractors.embed_api:EmbedApiExtractor",
    "image@v1": "engine.extractors.image:ImageExtractor",
    "late_interaction@v1": "engine.extractors.late_interaction:LateInteractionExtractor",
    "ocr@v1": "engine.extractors.ocr:OcrExtractor",
    "passthrough@v1": "engine.extractors.passthrough:PassthroughExtractor",
    "sparse@v1": "engine.extractors.sparse:SparseExtractor",
    "text@v1": "engine.extractors.text:TextExtractor",
    "video@v1": "engine.extractors.video:VideoExtractor",
}


def labels() -> list[str]:
    """Return what may be asked for: the built-in extractors, and the plug-ins allowed here."""
    return sorted({*CATALOG, *allowed_plugins()})


def is_builtin(label: str) -> bool:
    """Tell whether it is ours; a plug-in of the same name is never loaded."""
    return label in CATALOG


def extractor_class(label: str) -> type[Extractor]:
    """Return the class behind `name@version`.

    Raises:
        UnknownExtractor: no such name and version, or a plug-in that is not allowed here.
        ExtractorUnavailable: an allowed plug-in that cannot be loaded.
    """
    if label in CATALOG:
        return _builtin_class(CATALOG[label])
    if label in allowed_plugins():
        return load_plugin(label)
    if label in installed_plugins():
        raise UnknownExtractor(
            f"The plug-in {label} is installed but not allowed here.",
            path=("extractor", "name"),
            hint=f"The operator names it in {SETTING}.",
        )
    raise UnknownExtractor(f"No extractor {label!r}.", hint=f"Known: {', '.join(labels())}.")


@lru_cache
def _builtin_class(path: str) -> type[Extractor]:
    module, _, name = path.partition(":")
    return cast(type[Extractor], getattr(importlib.import_module(module), name))


def extractor_spec(label: str) -> ExtractorSpec:
    """Return an extractor's spec; raises UnknownExtractor or ExtractorUnavailable."""
    return extractor_class(label).spec


def parse_parameters(label: str, values: dict[str, Any]) -> Parameters:
    """Check parameters against the extractor's model and fill in its defaults.

    Raises:
        InvalidParameters: names the first wrong parameter and what is allowed.
    """
    spec = extractor_spec(label)
    try:
        return spec.parameters.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidParameters(
            f"{label}: {where or 'parameters'}: {first['msg']}",
            path=("extractor", "parameters", *(str(part) for part in first["loc"])),
            hint=f"Parameters: {', '.join(spec.parameters.model_fields) or 'none'}.",
        ) from error


def parameters_hash(parameters: Parameters) -> str:
    """Return 16 hex digits that change with any parameter."""
    body = json.dumps(parameters.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def make_extractor(
    choice: ExtractorChoice, cache: Path, endpoints: Endpoints | None = None
) -> Extractor:
    """Return the extractor of a collection's choice, not yet set up."""
    parameters = parse_parameters(choice.label, choice.parameters)
    made = extractor_class(choice.label)(parameters, cache=cache, endpoints=endpoints)
    if isinstance(made, MediaExtractor):
        made.share_decoded(DecodedSpool(cache / DECODED_FOLDER))
    return made


def default_choice(label: str) -> ExtractorChoice:
    """Return an extractor with its default parameters."""
    name, _, version = label.partition("@")
    parameters = parse_parameters(label, {})
    return ExtractorChoice(
        name=name,
        version=version,
        parameters=parameters.model_dump(mode="json"),
        parameters_hash=parameters_hash(parameters),
    )

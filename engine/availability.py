"""Whether an extractor can run on this machine, found out without loading it."""

from importlib.util import find_spec
from pathlib import Path

from engine.catalog import extractor_spec, make_extractor
from engine.nets.errors import NetError
from models.endpoints import Endpoints
from models.errors import ExtractorUnavailable
from models.fields import ExtractorChoice, VectorField


def require_available(
    choice: ExtractorChoice, cache: Path, endpoints: Endpoints | None = None
) -> tuple[VectorField, ...]:
    """Return the vectors that a choice makes.

    Raises:
        ExtractorUnavailable: a package, a net or an endpoint is not here; the hint says what to do.
    """
    _require_packages(choice.label)
    extractor = make_extractor(choice, cache, endpoints)
    try:
        vectors = extractor.vectors
        extractor.require()
    except NetError as error:
        raise ExtractorUnavailable(
            str(error), path=("extractor", "parameters", "net"), hint=error.hint
        ) from error
    return vectors


def _require_packages(label: str) -> None:
    spec = extractor_spec(label)
    missing = [name for name in spec.requires if find_spec(name) is None]
    if missing:
        what = f"'strata[{spec.extra}]'" if spec.extra else " ".join(missing)
        raise ExtractorUnavailable(
            f"{label} needs what is not installed: {', '.join(missing)}.",
            path=("extractor", "name"),
            hint=f"Where the API and the engine run: pip install {what}",
        )

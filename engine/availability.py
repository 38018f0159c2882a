"""Whether an extractor can run on this machine, found out without loading it."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engine.catalog import default_choice, extractor_spec, make_extractor, parse_parameters
from engine.nets.errors import NetError
from models.endpoints import Endpoints
from models.errors import ExtractorUnavailable, InvalidParameters, StrataError
from models.fields import ExtractorChoice, VectorField


@dataclass(frozen=True)
class Readiness:
    """Whether an extractor can run with its default parameters; `lacks` says what to do.

    Where a parameter has no default, only its packages can be looked for.
    """

    lacks: StrataError | None = None

    @property
    def available(self) -> bool:
        """Whether nothing is missing."""
        return self.lacks is None


def examine(label: str, cache: Path, endpoints: Endpoints | None = None) -> Readiness:
    """Look whether an extractor can run here; whatever is wrong with it is in the answer."""
    try:
        _require_packages(label)
        require_available(default_choice(label), cache, endpoints)
    except InvalidParameters:
        return Readiness()
    except StrataError as error:
        return Readiness(error)
    except Exception as error:  # a plug-in's own code; its neighbours in a list are not to suffer
        told = f"{type(error).__name__}: {error}".partition("\n")[0][:500]
        return Readiness(ExtractorUnavailable(f"{label} fails when it is asked: {told}."))
    return Readiness()


def vectors_of(
    label: str, cache: Path, values: dict[str, object] | None = None
) -> tuple[VectorField, ...] | None:
    """Return the vectors that parameters make, the default ones if none are given.

    None where they cannot be told: a parameter has no default, or the net is not on this machine.

    Raises:
        InvalidParameters: those given are wrong.
    """
    try:
        parameters = parse_parameters(label, values or {})
    except InvalidParameters:
        if values is None:
            return None
        raise
    try:
        return extractor_spec(label).vectors(parameters, cache)
    except NetError:
        return None


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
            error.message, path=("extractor", "parameters", "net"), hint=error.hint
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

"""Extractors of others: found among installed packages, loaded only where the operator names them.

A package offers one by an entry point of the group `strata.extractors`, named as the extractor is,
`name@version`, and pointing to its class. Finding them imports nothing of theirs; what is not on
the allow list (`STRATA_EXTRACTORS__PLUGINS`) is never imported at all.
"""

import importlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Final

from engine.spec import Extractor, ExtractorSpec
from models.errors import ExtractorUnavailable

GROUP: Final = "strata.extractors"
SETTING: Final = "STRATA_EXTRACTORS__PLUGINS"
LABEL: Final = re.compile(r"[a-z][a-z0-9_]{0,62}@v[1-9][0-9]{0,3}", re.ASCII)
_WHERE: Final = ("extractor", "name")
_allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plugin:
    """What a package says of an extractor of its."""

    label: str
    path: str  # module:class
    package: str  # name and version


def allow_plugins(labels: Iterable[str]) -> None:
    """Let this process load these; entrances call it with what the settings name."""
    global _allowed
    _allowed = tuple(dict.fromkeys(labels))


def allowed_plugins() -> tuple[str, ...]:
    """Return what this process may load, in the operator's order."""
    return _allowed


@lru_cache(maxsize=1)
def installed_plugins() -> Mapping[str, tuple[Plugin, ...]]:
    """Return what installed packages offer, by label; a process looks once."""
    found: defaultdict[str, set[Plugin]] = defaultdict(set)
    for one in entry_points(group=GROUP):
        package = f"{one.dist.name} {one.dist.version}" if one.dist else "a package without a name"
        found[one.name].add(Plugin(one.name, one.value, package))
    return {
        label: tuple(sorted(offers, key=lambda offer: offer.package))
        for label, offers in sorted(found.items())
    }


def packages_offering(label: str) -> str:
    """Return the packages that offer a label, as a line of text."""
    return ", ".join(offer.package for offer in installed_plugins().get(label, ()))


def find_plugin(label: str) -> Plugin:
    """Return the one that a package offers under this name.

    Raises:
        ExtractorUnavailable: none does, or more than one.
    """
    if not LABEL.fullmatch(label):
        raise ExtractorUnavailable(
            f"{label!r} is not the name of a plug-in.",
            path=_WHERE,
            hint=f"In {SETTING} write name@version, as in shout@v1.",
        )
    offers = installed_plugins().get(label, ())
    if not offers:
        raise ExtractorUnavailable(
            f"No installed package offers {label}.",
            path=_WHERE,
            hint="Install its package where the API, the workers and the engine run, and start "
            "them again.",
        )
    if len(offers) > 1:
        raise ExtractorUnavailable(
            f"More than one package offers {label}: {packages_offering(label)}.",
            path=_WHERE,
            hint="Uninstall all but one.",
        )
    return offers[0]


def load_plugin(label: str) -> type[Extractor]:
    """Import a plug-in's class.

    Raises:
        ExtractorUnavailable: it is not there, cannot be imported, or is not what it says it is.
    """
    plugin = find_plugin(label)
    module, _, name = plugin.path.partition(":")
    try:
        found: object = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # whatever their module does while it is imported
        told = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise _broken(plugin, told) from error
    if not isinstance(found, type) or not issubclass(found, Extractor):
        raise _broken(plugin, f"{plugin.path} is no Extractor")
    _require_spec(plugin, getattr(found, "spec", None))
    return found


def _require_spec(plugin: Plugin, spec: object) -> None:
    """Refuse a spec that could not be shown: lists of extractors are not to fail by one of them."""
    if not isinstance(spec, ExtractorSpec) or spec.label != plugin.label:
        raise _broken(plugin, f"the spec of {plugin.path} is not that of {plugin.label}")
    try:
        spec.parameters.model_json_schema()
    except Exception as error:
        told = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise _broken(plugin, f"its parameters have no JSON Schema: {told}") from error


def _broken(plugin: Plugin, why: str) -> ExtractorUnavailable:
    return ExtractorUnavailable(
        f"The plug-in {plugin.label} of {plugin.package} cannot be loaded: {why[:500]}.",
        path=_WHERE,
        hint=f"Mend or update the package, or take {plugin.label} off {SETTING}.",
    )

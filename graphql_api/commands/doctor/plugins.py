"""The extractors of others: those that the operator allows can be loaded, and which there are."""

from functools import partial

from engine.catalog import extractor_class, is_builtin
from engine.plugins import SETTING, find_plugin, installed_plugins, packages_offering
from graphql_api.commands.doctor.findings import Check, Finding, Level
from models.settings import Settings


def plugin_checks(settings: Settings) -> list[Check]:
    """List what to ask of plug-ins; a machine without any has nothing to say of them."""
    allowed = tuple(dict.fromkeys(settings.extractors.plugins))
    others = [label for label in installed_plugins() if label not in allowed]
    checks = [
        Check(_subject(one), partial(_allowed, one), f"Correct {SETTING}.") for one in allowed
    ]
    return checks + [Check(_subject(one), partial(_other, one), "") for one in others]


def _subject(label: str) -> str:
    return f"plug-in {label}"


def _allowed(label: str) -> Finding:
    """Load it, which raises what is wrong; this process only looks, and ends."""
    if is_builtin(label):
        return _shadow(label, Level.ERROR, f"Take it off {SETTING}, or give it another name.")
    extractor_class(label)
    return Finding(_subject(label), Level.OK, f"{find_plugin(label).package} can be loaded")


def _other(label: str) -> Finding:
    """Name it without loading it."""
    if is_builtin(label):
        return _shadow(label, Level.WARNING, "Give the plug-in another name, or uninstall it.")
    found = f"installed with {packages_offering(label)}, not allowed: it is never loaded"
    return Finding(_subject(label), Level.OK, found)


def _shadow(label: str, level: Level, remedy: str) -> Finding:
    found = "has the name of a built-in extractor, which stays what it is"
    return Finding(_subject(label), level, found, remedy)

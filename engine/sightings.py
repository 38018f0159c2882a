"""Looks at documents for the paths and types of their fields: to a depth, in one pass."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from models.observed import ObservedType, Sighting

DEEPEST: Final = 5  # names in a path
LONGEST: Final = 300  # characters of a path
_TYPES: Final[Mapping[type, ObservedType]] = {
    str: ObservedType.STRING,
    int: ObservedType.INTEGER,
    float: ObservedType.NUMBER,
    bool: ObservedType.BOOLEAN,
    datetime: ObservedType.DATETIME,
    dict: ObservedType.OBJECT,
    list: ObservedType.ARRAY,
}
_Groups = dict[str, list[Any]]


def sightings(documents: Iterable[Mapping[str, Any]]) -> frozenset[Sighting]:
    """Return path and type of every field; what is null, too deep or too long tells nothing."""
    found: set[Sighting] = set()
    groups = {"": list(documents)}
    for _ in range(DEEPEST):
        seen, groups = _look(groups)
        found |= seen
    return frozenset(found)


def _look(groups: Mapping[str, list[Any]]) -> tuple[set[Sighting], _Groups]:
    """Return what the objects of each path hold, and the objects inside of them by path."""
    # By type first: of the many values few are objects or arrays.
    kinds = {
        (prefix + name, type(value))
        for prefix, objects in groups.items()
        for one in objects
        for name, value in one.items()
    }
    nested = {path for path, kind in kinds if kind in (dict, list)}
    inside: _Groups = {}
    if nested:
        for prefix, objects in groups.items():
            for one in objects:
                for name, value in one.items():
                    if prefix + name in nested:
                        _open(prefix + name, value, kinds, inside)
    seen = {(path, _TYPES[kind]) for path, kind in kinds if kind in _TYPES and len(path) <= LONGEST}
    return seen, {f"{path}.": objects for path, objects in inside.items() if len(path) < LONGEST}


def _open(path: str, value: Any, kinds: set[tuple[str, type]], inside: _Groups) -> None:
    """Note the elements of an array; keep objects for the next look."""
    if isinstance(value, dict):
        inside.setdefault(path, []).append(value)
    elif isinstance(value, list):
        path += "[]"
        kinds.update((path, kind) for kind in set(map(type, value)))
        inside.setdefault(path, []).extend(_objects(value))


def _objects(value: list[Any]) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict))

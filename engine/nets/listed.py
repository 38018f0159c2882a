"""Nets that fastembed lists, of three families: where their files are, and what to do without them.

Nothing is downloaded here: a worker that fetches gigabytes at its first text looks like one that
hangs. The hint of the error is the command that does it.
"""

from pathlib import Path
from typing import Any, Final, Literal

from engine.nets.errors import NetInvalid, NetMissing

Family = Literal["TextEmbedding", "SparseTextEmbedding", "LateInteractionTextEmbedding"]
FOLDER: Final = "fastembed"  # below the cache


def family_class(family: Family, name: str, *, cache: Path | None) -> Any:
    """Return fastembed's class of a family; `name` is the net that is wanted."""
    try:
        import fastembed
        from loguru import logger
    except ImportError as error:
        hint = f"put its files into {_own_folder(name, cache)}, or pip install fastembed"
        raise NetMissing(f"net {name} is not here", hint) from error
    logger.disable("fastembed")  # it prints what it raises
    return getattr(fastembed, family)


def listed_dimension(family: Family, name: str, *, cache: Path | None) -> int:
    """Return the length of the vectors of a net that fastembed lists."""
    kind = family_class(family, name, cache=cache)
    try:
        return int(kind.get_embedding_size(name))
    except ValueError as error:
        raise _unlisted(name, cache) from error


def require_listed(family: Family, name: str, *, cache: Path) -> None:
    """Check that the files of a net are here, without loading them."""
    kind = family_class(family, name, cache=cache)
    try:
        described = kind._get_model_description(name)
    except ValueError as error:
        raise _unlisted(name, cache) from error
    folder = cache / FOLDER
    try:
        kind.download_model(described, str(folder), local_files_only=True)
    except ValueError as error:
        raise _no_files(family, name, folder) from error


def open_listed(
    family: Family, name: str, *, cache: Path, threads: int, folder: Path | None = None
) -> Any:
    """Load a net of a family: its own files, or those of `folder` in the same layout."""
    kind = family_class(family, name, cache=cache)
    here = cache / FOLDER
    where = {} if folder is None else {"specific_model_path": str(folder)}
    try:
        return kind(name, cache_dir=str(here), threads=threads, local_files_only=True, **where)
    except ValueError as error:
        if folder is not None:
            raise NetInvalid(f"{folder} is not a net that can be run: {error}") from error
        raise _no_files(family, name, here) from error
    except Exception as error:  # the runtime's own errors share no narrower class
        raise NetInvalid(f"net {name} in {folder or here} cannot be run: {error}") from error


def _own_folder(name: str, cache: Path | None) -> Path | str:
    return cache / "nets" / name if cache else f"<cache>/nets/{name}"


def _unlisted(name: str, cache: Path | None) -> NetMissing:
    hint = f"put its files into {_own_folder(name, cache)}"
    return NetMissing(f"net {name} is not here, nor in the list of fastembed", hint)


def _no_files(family: Family, name: str, folder: Path) -> NetMissing:
    call = f"from fastembed import {family} as T; T({name!r}, cache_dir={str(folder)!r})"
    hint = f'where there is a network: python -c "{call}"; then copy the folder here'
    return NetMissing(f"the files of net {name} are not here", hint)

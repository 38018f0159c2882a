"""libcurl for mongod: the one shared library that a small image may lack.

The wheel `pycurl` bundles one under a name of its own; a link makes it findable, for one child.
"""

import ctypes
import os
import sys
from pathlib import Path

from models.embedded.binaries import package_folder
from models.embedded.errors import BinaryMissing

LIBRARY = "libcurl.so.4"


def library_environment(program: Path, links: Path) -> dict[str, str]:
    """What mongod needs in its environment; nothing where the system has the library."""
    if sys.platform != "linux" or is_installed(LIBRARY):
        return {}
    site = package_folder("pycurl")
    bundled = find_bundled(site.parent if site and site.name == "pycurl" else site)
    if bundled is None:
        raise BinaryMissing(
            f"{program} needs {LIBRARY}",
            hint="Install the system package libcurl4, or: pip install pycurl",
        )
    return linked_environment(bundled, links)


def is_installed(library: str) -> bool:
    """The loader finds it."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def find_bundled(site: Path | None) -> Path | None:
    """The library as the wheel named it: with a hash."""
    if site is None:
        return None
    return next(iter(sorted((site / "pycurl.libs").glob("libcurl-*.so.4*"))), None)


def linked_environment(bundled: Path, links: Path) -> dict[str, str]:
    """A folder where the library has its real name, and a search path that starts there."""
    links.mkdir(parents=True, exist_ok=True)
    link = links / LIBRARY
    link.unlink(missing_ok=True)
    link.symlink_to(bundled)
    searched = [str(links), str(bundled.parent), os.environ.get("LD_LIBRARY_PATH", "")]
    return {"LD_LIBRARY_PATH": ":".join(part for part in searched if part)}

"""What this machine must have: Python, packages, weights, libraries, room and a port."""

import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

import httpx
from packaging.requirements import Requirement

from engine.nets import DEFAULT_NET, load_net
from graphql_api.commands.doctor.findings import Check, Finding, Level
from graphql_api.commands.listening import PortInUse, bind_sockets
from models.embedded.folder import DataFolder
from models.embedded.libcurl import LIBRARY, library_environment
from models.embedded.loopback import HOST
from models.embedded.mongo import Mongo
from models.settings import Settings

OLDEST: Final = (3, 11)
GIB: Final = 1024**3
LITTLE_SPACE: Final = 2 * GIB
TOO_LITTLE_SPACE: Final = GIB // 2  # MongoDB alone preallocates a journal of some 300 MB
EMBEDDED: Final = "pip install 'strata[embedded]'"


def machine_checks(settings: Settings, *, port: int) -> list[Check]:
    """List what to ask here."""
    local = settings.mongo.url is None
    curl = [Check("libcurl", _libcurl, "Install the system package libcurl4.")] if local else []
    return [
        Check("python", _python, "Install Python 3.11 or later."),
        Check("packages", _packages, "Install Strata anew: pip install --force-reinstall strata"),
        Check("default net", lambda: _net(settings.cache), f"Install its weights: {DEFAULT_NET}."),
        *curl,
        Check("disk", lambda: _disk(settings.data), "Choose a data folder that can be read."),
        Check("port", lambda: _port(port), "Choose another port with --port."),
    ]


def _python() -> Finding:
    level = Level.OK if sys.version_info >= OLDEST else Level.ERROR
    return Finding(
        "python",
        level,
        f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "" if level is Level.OK else "Install Python 3.11 or later.",
    )


def _packages() -> Finding:
    wanted = [Requirement(line) for line in requires("strata") or []]
    needed = list(_unmet(wanted, extra=""))
    if needed:
        return Finding("packages", Level.ERROR, "; ".join(needed), "pip install --upgrade strata")
    local = list(_unmet(wanted, extra="embedded"))
    if local:
        found = f"for local servers: {'; '.join(local)}"
        return Finding("packages", Level.WARNING, found, EMBEDDED)
    return Finding("packages", Level.OK, f"{len(wanted)} requirements are met")


def _unmet(wanted: list[Requirement], *, extra: str) -> Iterator[str]:
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            found = installed_version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement} is missing"
        else:
            if not requirement.specifier.contains(found, prereleases=True):
                yield f"{requirement} is wanted, {found} is here"


def _net(cache: Path) -> Finding:
    """Embed a text; without a data folder the graph goes where it is thrown away again."""
    with tempfile.TemporaryDirectory() as scratch:
        net = load_net(DEFAULT_NET, cache=cache if cache.is_dir() else Path(scratch))
        dimension = net.embed(["Is anybody there?"]).shape[1]
    return Finding("default net", Level.OK, f"{DEFAULT_NET} embeds into {dimension} dimensions")


def _libcurl() -> Finding:
    """The local mongod needs it; small images lack it."""
    with tempfile.TemporaryDirectory() as scratch:
        mongo = Mongo(DataFolder(Path(scratch)))
        linked = library_environment(Path(mongo.command().argv[0]), Path(scratch) / "lib")
    return Finding("libcurl", Level.OK, f"{LIBRARY} {'from pycurl' if linked else 'is installed'}")


def _disk(data: Path) -> Finding:
    folder = data.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    level = Level.WARNING if free < LITTLE_SPACE else Level.OK
    if free < TOO_LITTLE_SPACE:
        level = Level.ERROR
    remedy = "" if level is Level.OK else "Make room, or choose another --data."
    return Finding("disk", level, f"{free / GIB:.1f} GiB free for {folder}", remedy)


def _port(port: int) -> Finding:
    try:
        for bound in bind_sockets(HOST, port):
            bound.close()
    except PortInUse as error:
        if _is_strata(port):
            return Finding("port", Level.OK, f"Strata serves on {port}")
        return Finding("port", Level.ERROR, error.message, error.hint)
    return Finding("port", Level.OK, f"{port} is free")


def _is_strata(port: int) -> bool:
    try:
        answer = httpx.get(f"http://{HOST}:{port}/readyz", timeout=3.0, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and answer.json() == {"status": "ok"}

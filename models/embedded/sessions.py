"""Finding and ending everything that descends from a child, even when the child itself is gone.

Each child leads a session of its own, and its descendants stay in it: Ray's workers change their
process group, never their session. While one member lives, the kernel gives the session's number
to nobody else. A descendant that opened a session of its own still carries the mark that children
get in their environment, unless it wrote its title over it, as some of Ray's do.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

MARK = "STRATA_EMBEDDED_FOLDER"
KILL_SECONDS = 5.0
POLL_SECONDS = 0.05
SAME_MOMENT = 2.0  # seconds; start times come from the boot time, which clock steps move a little


def is_running(process: psutil.Process) -> bool:
    """Alive; a zombie has ended and only waits to be counted."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def started_at(pid: int) -> float | None:
    """When the process with this number started; None if there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def members(session: int) -> list[psutil.Process]:
    """Whoever is alive in a session, its leader included."""
    return [process for pid in psutil.pids() if (process := _member(pid, session))]


def family(leader: int) -> list[psutil.Process]:
    """Members of the session, and descendants that opened another one."""
    try:
        descendants = psutil.Process(leader).children(recursive=True)
    except psutil.NoSuchProcess:
        descendants = []
    return [process for process in {*members(leader), *descendants} if is_running(process)]


def remains(leader: int, started: float) -> list[psutil.Process]:
    """What is left of a child of an earlier run; nothing if its number is another's by now."""
    now = started_at(leader)
    if now is not None and abs(now - started) > SAME_MOMENT:
        return []
    return family(leader)


def marked(folder: Path) -> list[psutil.Process]:
    """Who descends from children of this folder; ourselves and our callers left out."""
    ours = {psutil.Process(), *psutil.Process().parents()}
    return [p for p in psutil.process_iter() if p not in ours and _mark_of(p) == str(folder)]


def end_all(processes: Iterable[psutil.Process], *, grace: float) -> None:
    """SIGTERM, wait, SIGKILL: by number, never by group or name."""
    asked = [process for process in processes if _signal(process, kill=False)]
    kill_all(_outlasting(asked, grace))


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL each, and see them gone."""
    killed = [p for p in processes if is_running(p) and _signal(p, kill=True)]
    _outlasting(killed, KILL_SECONDS)


def _outlasting(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Who still runs then. A zombie does not: where nobody reaps orphans it would never go away."""
    deadline = time.monotonic() + seconds
    while processes and time.monotonic() < deadline:
        processes = [process for process in processes if is_running(process)]
        time.sleep(POLL_SECONDS if processes else 0)
    return processes


def _member(pid: int, session: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid) if os.getsid(pid) == session else None
    except (OSError, psutil.NoSuchProcess):
        return None
    return process if process and is_running(process) else None


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None  # another user's, or gone


def _signal(process: psutil.Process, *, kill: bool) -> bool:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return False
    return True

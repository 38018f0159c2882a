"""Small programs that the tests run as children, as parents, and as strangers on a port."""

import subprocess
import sys
import time
from collections.abc import Callable

import psutil

from models.embedded.child import Command
from models.embedded.sessions import is_running

SLEEP = "import time; time.sleep(600)"
# Ends only when killed; says so when it can no longer be ended by asking.
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
# Has a child in a session of its own, as a daemon would.
WITH_DAEMON = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
time.sleep(600)
"""
# Has a child in a process group of its own, as Ray does.
WITH_WORKER = WITH_DAEMON.replace("start_new_session=True", "process_group=0")


def python(program: str, *arguments: str) -> Command:
    """An interpreter as a command."""
    return Command([sys.executable, "-c", program, *arguments])


def spoken(program: "subprocess.Popen[str]") -> str:
    """The next line that a program says."""
    assert program.stdout is not None
    return program.stdout.readline().strip()


def await_that(holds: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait until something holds; fail if it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """No such process, or nothing but its entry."""
    try:
        return not is_running(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return True

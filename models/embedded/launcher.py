"""The small program between a parent and its child: it lets the child die with the parent.

Run by path under `python -I -S`, so that it starts in milliseconds and imports nothing from
whatever folder the user stands in. On Linux the kernel does the work and the launcher becomes the
child; elsewhere it stays, watching a pipe that closes when the parent is gone.

    launcher.py PARENT_PID PIPE_FD|-1 PROGRAM [ARGUMENT...]
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
POLL_SECONDS = 0.2
GRACE_SECONDS = 15.0


def main(arguments: list[str]) -> int:
    """Become the program, or watch over it."""
    parent, pipe, program = int(arguments[0]), int(arguments[1]), arguments[2:]
    # Python ignores SIGPIPE, and an exec hands that on; servers expect the default.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if pipe >= 0:
        return watch_over(program, pipe)
    die_with(parent)
    os.execv(program[0], program)


def die_with(parent: int) -> None:
    """Ask for SIGTERM at the parent's end; the signal survives the exec."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # A parent that died before the line above sends nothing: look again.
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def watch_over(program: list[str], pipe: int) -> int:
    """Run the program until it ends, or until the pipe says that the parent did."""
    os.set_inheritable(pipe, False)
    with subprocess.Popen(program, close_fds=False) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        while child.poll() is None:
            if select.select([pipe], [], [], POLL_SECONDS)[0]:
                end(child)
        return child.returncode


def end(child: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """Ask, wait, insist."""
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

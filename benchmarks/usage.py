"""What a running product uses: memory at its peak and CPU seconds, over all of its processes."""

import os
import platform
import threading
from types import TracebackType
from typing import Final, Self

import psutil

_LOOK_SECONDS: Final = 0.25  # each look takes a millisecond of what is measured
MIB: Final = 1024 * 1024
# Words of a command line that tell a part of the product, the first that fits.
_PARTS: Final = (
    "mongod", "valkey", "qdrant_front", "s3_front", "ray::Conductor", "ray::ExtractorProcess",
    "api", "worker", "engine", "raylet", "gcs_server",
)  # fmt: skip


def machine() -> dict[str, object]:
    """Return what every result says of the machine."""
    return {"cores": os.cpu_count(), "python": platform.python_version()}


class Usage:
    """Watches a process and its descendants while a block of code runs.

    Shared memory is counted once for each process that maps it, so the sum is an upper bound.
    """

    def __init__(self, pid: int, *, name: str = "") -> None:
        self._root = psutil.Process(pid)
        self._name = name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.idle_mb = 0.0
        self.peak_mb = 0.0
        self.cpu_seconds: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._cpu = self._cpu_now()
        self.idle_mb = self.peak_mb = self._memory_now()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        spent = {part: now - self._cpu.get(part, 0.0) for part, now in self._cpu_now().items()}
        self.cpu_seconds = {part: round(cpu, 1) for part, cpu in spent.items() if cpu > 0.05}

    @property
    def grown_mb(self) -> float:
        """How much the peak lay above what was there before."""
        return self.peak_mb - self.idle_mb

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.peak_mb = max(self.peak_mb, self._memory_now())

    def _processes(self) -> list[psutil.Process]:
        found = [self._root, *self._root.children(recursive=True)]
        return [one for one in found if not self._name or self._is_named(one)]

    def _is_named(self, process: psutil.Process) -> bool:
        try:
            return self._name in process.cmdline()
        except psutil.Error:
            return False

    def _memory_now(self) -> float:
        return sum(_rss(process) for process in self._processes()) / MIB

    def _cpu_now(self) -> dict[str, float]:
        """Return the CPU seconds so far of each part of the product."""
        spent: dict[str, float] = {}
        for process in self._processes():
            part = _part(process)
            spent[part] = spent.get(part, 0.0) + _cpu(process)
        return spent


def _part(process: psutil.Process) -> str:
    try:
        words = " ".join(process.cmdline())
    except psutil.Error:
        return "other"
    return next((part for part in _PARTS if part in words), "other")


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)

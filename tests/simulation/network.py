"""The network between processes and stores: every call takes a drawn time, and may be lost.

A call lost on its way there had no effect; one lost on its way back had. Which of them it was, the
caller cannot know. A call under way outlives the process that made it.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError
from pymongo.errors import PyMongoError

from models.errors import StrataError
from tests.simulation.errors import Locked, Violation
from tests.simulation.loop import PROCESS, Killed, Process, VirtualLoop, _settle

T = TypeVar("T")
_ANSWERS: Final = (
    PyMongoError,
    ClientError,
    StrataError,
    Locked,
)  # others are the stand-in's fault
_USUAL_SECONDS: Final = 0.004  # there and back, at most
_LOST_SECONDS: Final = 3.0  # until the caller hears of it, at most


@dataclass
class Faults:
    """How often what goes wrong, as probabilities; nothing does in calm."""

    lost_before: float = 0.0  # of a call
    lost_after: float = 0.0
    slow: float = 0.0  # calls: each of them late
    slow_seconds: float = 0.0
    message_lost: float = 0.0  # of a Redis message
    message_doubled: float = 0.0
    message_late_seconds: float = 0.0
    extractor_dies: float = 0.0
    extractor_hangs: float = 0.0
    receiver_fails: float = 0.0


@dataclass
class Network:
    """Carries calls to servers, which do them at once and one after the other."""

    loop: VirtualLoop
    chance: random.Random
    keeps: bool = False  # every line of the trace, not only its hash
    faults: Faults = field(default_factory=Faults)
    injected: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    calls: int = 0
    down: set[str] = field(default_factory=set)  # services that nobody reaches
    after_effect: Callable[[], None] = lambda: None  # looks at the stores after every change

    def __post_init__(self) -> None:
        self._digest = hashlib.sha256()
        self._server = Process("servers")
        self._servers: Context = copy_context()
        self._servers.run(PROCESS.set, self._server)

    async def call(
        self, service: str, said: str, effect: Callable[[], T], lost: Callable[[], Exception]
    ) -> T:
        """Do something at a server; raises what it raises, or `lost` when no answer comes."""
        process = PROCESS.get()
        if not process.alive:
            raise Killed
        self.calls += 1
        chance, faults = self.chance, self.faults
        there = chance.random() * _USUAL_SECONDS / 2
        back = chance.random() * _USUAL_SECONDS / 2
        if faults.slow and chance.random() < faults.slow:
            self.injected["call slow"] += 1
            there += chance.random() * faults.slow_seconds
        done = self.loop.create_future()
        draw = chance.random()
        if service in self.down or draw < faults.lost_before:
            self.injected[f"{service} call lost"] += 1
            self.note(process, service, said, "lost on its way there")
            later = there + chance.random() * _LOST_SECONDS
            self.loop.call_later(later, _settle, done, None, lost(), context=self._servers)
        else:
            answer_lost = draw < faults.lost_before + faults.lost_after
            if answer_lost:
                self.injected[f"{service} answer lost"] += 1
                back += chance.random() * _LOST_SECONDS

            def arrive() -> None:
                answer, failure = None, None
                try:
                    answer = effect()
                except _ANSWERS as error:
                    failure = error
                except Exception as error:
                    self.loop.failure = error
                outcome = "done" if failure is None else type(failure).__name__
                self.note(process, service, said, outcome + (", answer lost" * answer_lost))
                self.loop.call_later(
                    back, _settle, done, answer, lost() if answer_lost else failure
                )
                try:
                    self.after_effect()
                except Violation as error:
                    self.loop.failure = error

            self.loop.call_later(there, arrive, context=self._servers)
        result: T = await done
        return result

    def note(self, process: Process, service: str, said: str, outcome: str) -> None:
        """Add a line to the trace."""
        line = f"{self.loop.now:.6f} {process.name} {service} {said}: {outcome}"
        self._digest.update(line.encode())
        if self.keeps:
            self.lines.append(line)

    def send(self, receive: Callable[[], None], what: str) -> None:
        """Deliver a message once, twice, late or never."""
        faults, chance = self.faults, self.chance
        copies = 1
        if faults.message_lost and chance.random() < faults.message_lost:
            self.injected[f"{what} lost"] += 1
            copies = 0
        elif faults.message_doubled and chance.random() < faults.message_doubled:
            self.injected[f"{what} doubled"] += 1
            copies = 2
        for _ in range(copies):
            late = chance.random() * _USUAL_SECONDS
            if faults.message_late_seconds and chance.random() < 0.2:
                self.injected[f"{what} late"] += 1
                late += chance.random() * faults.message_late_seconds
            self.loop.call_later(late, receive, context=self._servers)

    @property
    def digest(self) -> str:
        """Equal for equal traces."""
        return self._digest.hexdigest()


def server_timer(network: Network, seconds: float, effect: Callable[[], Any]) -> None:
    """Let a server do something after a while."""
    network.loop.call_later(seconds, effect, context=network._servers)

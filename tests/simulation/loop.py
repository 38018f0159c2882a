"""An event loop on a virtual clock: time passes only when nobody has anything to do.

Processes are groups of tasks. Which of them goes on is drawn; within one, callbacks keep the order
in which asyncio promises to run them. A killed process never goes on: its memory is lost.
"""

import asyncio
import contextlib
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, Final, TypeVar, TypeVarTuple

PROCESS: Final[ContextVar["Process"]] = ContextVar("process")
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_CLOSINGS: Final = 50  # awaits in the `finally` blocks of one task


class Killed(BaseException):
    """Raised where a process that is dead would go on."""


class Process:
    """Tasks that live and die together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False  # as by SIGSTOP: nothing of it runs, and nothing is lost
        self.ready: deque[asyncio.Handle] = deque()
        self.tasks: list[tuple[_Task, Context]] = []
        self.room = 64  # tasks until the ended ones are forgotten

    def own(self, task: "_Task", context: Context) -> None:
        """Take note of a task."""
        if len(self.tasks) > self.room:
            self.tasks = [one for one in self.tasks if not one[0].done()]
            self.room = 2 * len(self.tasks) + 64
        self.tasks.append((task, context))


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    number: int = 0

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    """A future whose place in a set does not depend on its address."""

    number: int = 0

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.BaseEventLoop):
    """One thread, many processes, no waiting."""

    _stopping: bool  # asyncio's own

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.now = 0.0
        self.turns = 0  # callbacks that were run
        self._chance = chance
        self._processes: dict[Process, None] = {}
        self._queues: list[Process] = []  # those with something to do
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count(1)
        self.failure: BaseException | None = None  # ends the run
        self._world = Process("world")
        PROCESS.set(self._world)
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Return the virtual seconds since the beginning."""
        return self.now

    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Queue a callback with its process."""
        handle = asyncio.Handle(callback, args, self, context)
        self._queue(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Queue a callback; there is one thread only."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Queue a callback for later."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Queue a callback for a time from now."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        future = _Future(loop=self)
        future.number = next(self._numbers)
        return future

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """Make a task of the process that asks for it."""
        context = context or copy_context()
        process = context.get(PROCESS, self._world)
        task = _Task(coro, loop=self, name=None if name is None else str(name), context=context)
        task.number = next(self._numbers)
        if process.alive:
            self._processes.setdefault(process)
            process.own(task, context)
        else:
            _drop(task)
        return task

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Call a function as a thread would; its answer comes a little later."""
        future = self.create_future()
        answer, failure = None, None
        try:
            answer = func(*args)
        except Exception as error:
            failure = error
        delay = self._chance.random() * 0.002
        self.call_later(delay, _settle, future, answer, failure)
        return future

    def spawn(self, context: Context, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Start a task with what a process has in its context; returns it."""
        return context.run(lambda: self.create_task(work(), context=copy_context()))

    def kill(self, process: Process) -> None:
        """End a process where it stands: none of its tasks goes on."""
        process.alive = False
        process.ready.clear()
        tasks, process.tasks = process.tasks, []
        for task, context in tasks:
            if not task.done():
                context.run(_drop, task)

    def kill_all(self) -> None:
        """End every process, when the loop has stopped."""
        asyncio._set_running_loop(self)
        try:
            for process in self._processes:
                self.kill(process)
        finally:
            asyncio._set_running_loop(None)

    def stop_process(self, process: Process) -> None:
        """Let nothing of a process run for now."""
        process.stopped = True

    def resume(self, process: Process) -> None:
        """Let a stopped process go on, where it was."""
        if process.stopped:
            process.stopped = False
            if process.ready:
                self._queues.append(process)

    def _queue(self, handle: asyncio.Handle) -> None:
        process = handle._context.get(PROCESS, self._world)  # type: ignore[attr-defined]
        if process.alive:
            if not process.ready and not process.stopped:
                self._queues.append(process)
            process.ready.append(handle)

    def _run_once(self) -> None:
        """Run callbacks one by one, each of a process that is drawn, until the loop has to stop."""
        queues = self._queues
        while not self._stopping:
            if self.failure is not None:
                raise self.failure
            self._let_time_pass()
            place = self._chance.randrange(len(queues)) if len(queues) > 1 else 0
            process = queues[place]
            if process.stopped or not process.ready:  # stopped or killed meanwhile
                del queues[place]
                continue
            handle = process.ready.popleft()
            if not process.ready:
                del queues[place]
            if not handle._cancelled:
                self.turns += 1
                handle._run()

    def _let_time_pass(self) -> None:
        """Queue what is due; go on to the next time when nobody has anything to do."""
        timers, queues = self._timers, self._queues
        while timers and (not queues or timers[0][0] <= self.now):
            when, _, timer = heapq.heappop(timers)
            if not timer._cancelled:
                self.now = max(self.now, when)
                self._queue(timer)
        if not queues:
            raise RuntimeError("Nobody has anything to do, now or later.")

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Leave generators that nobody holds any more as they are."""


def _settle(future: asyncio.Future[Any], answer: Any, failure: Exception | None) -> None:
    if not future.done():
        if failure is None:
            future.set_result(answer)
        else:
            future.set_exception(failure)


def _drop(task: _Task) -> None:
    """Close a task's coroutine: what it would wait for while it cleans up never comes."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine: Any = task.get_coro()
    for _ in range(_CLOSINGS):
        try:
            coroutine.close()
        except BaseException:
            continue
        return


@contextlib.contextmanager
def virtual_loop(chance: random.Random) -> Iterator[VirtualLoop]:
    """Have a loop for the length of a block; all that still runs then is dropped."""
    loop = VirtualLoop(chance)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        loop.kill_all()
        asyncio.set_event_loop(None)
        loop.close()

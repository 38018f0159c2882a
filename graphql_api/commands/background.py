"""An event loop on a thread of its own, for a main thread that has children to look after."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
END_SECONDS = 3.0


@contextmanager
def in_background(work: Coroutine[object, object, T]) -> Iterator["Future[T]"]:
    """Run `work` for as long as the block lasts; what is not done by then is canceled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="background", daemon=True)
    thread.start()
    done = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        yield done
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(END_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(END_SECONDS)
        loop.close()


async def _cancel_all() -> None:
    ours = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not ours]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=END_SECONDS - 1)

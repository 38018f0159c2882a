"""Ends asyncio tasks for certain, whatever swallows a cancel.

Before Python 3.12 `asyncio.wait_for` returns its result and swallows a cancel that arrives in the
same turn of the loop, and Redis' client awaits it in every command. Whoever then waits for the task
waits for ever; here it is canceled again.
"""

import asyncio
from typing import Any, Final

_AGAIN_SECONDS: Final = 1.0  # long enough for a task to clean up


async def end_tasks(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks until all have ended; what they returned or raised is not looked at.

    Canceled itself, it ends them all the same before it gives way.
    """
    interrupted = False
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        try:
            await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
        except asyncio.CancelledError:
            interrupted = True
        pending = {task for task in pending if not task.done()}
    await asyncio.gather(*tasks, return_exceptions=True)
    if interrupted:
        raise asyncio.CancelledError


async def until_first_fails(*tasks: "asyncio.Task[Any]") -> None:
    """Wait until one of several tasks ends, end the others, and raise what it raised."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(*tasks)
    for task in done:
        task.result()

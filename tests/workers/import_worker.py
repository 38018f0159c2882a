"""A worker of one task that stops after some commits, to be killed: SETTINGS TASK COMMITS."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from models.settings import Settings
from models.stores import open_stores
from workers import intake
from workers.tasks import run_task


def stop_after(commits: int) -> None:
    """Let so many groups of lines be written, and then nothing happen any more."""
    real, done = intake.write_objects, 0

    async def write_objects(*arguments: Any, **values: Any) -> Any:
        nonlocal done
        answers = await real(*arguments, **values)
        done += 1
        if done == commits:
            await asyncio.Event().wait()
        return answers

    intake.write_objects = write_objects


async def main(settings: Settings, task_id: str) -> None:
    """Run one task."""
    async with open_stores(settings) as stores:
        await run_task(stores, task_id)


if __name__ == "__main__":
    stop_after(int(sys.argv[3]))
    asyncio.run(main(Settings(**json.loads(Path(sys.argv[1]).read_text())), sys.argv[2]))

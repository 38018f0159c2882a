"""`strata demo`: the demo against an API that runs already."""

import asyncio

from graphql_api.commands.terminal import open_console
from graphql_api.demo.run import run_demo
from models.embedded.loopback import HOST
from models.errors import Misconfigured
from models.settings import Settings


def run_demo_command(settings: Settings, *, endpoint: str | None, admin_key: str | None) -> None:
    """Run it and print what opens it.

    Raises:
        Misconfigured: there is no admin key, as when nothing runs on the data folder.
    """
    key = admin_key or (settings.admin_key and settings.admin_key.get_secret_value())
    if not key:
        raise Misconfigured(
            f"There is no admin key, and no running Strata in {settings.data}.",
            hint="Start one with `strata up`, or give --endpoint and --admin-key.",
        )
    console = open_console()
    address = endpoint or f"http://{HOST}:{settings.api.port}/graphql"
    facts = asyncio.run(run_demo(address, admin_key=key, data=settings.data, console=console))
    console.print(f"API      {facts.endpoint}\nAPI key  {facts.apiKey}", soft_wrap=True)

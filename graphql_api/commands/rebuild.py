"""`strata rebuild-vectors`: Qdrant again from the artifacts, with its progress on the screen."""

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from engine.rebuild import Rebuilt, rebuild_collection
from models.collection import Collection
from models.errors import NotFound
from models.namespace import Namespace
from models.scope import Scope
from models.settings import Settings
from models.stores import Stores, open_stores


async def rebuild(
    settings: Settings, namespace: str, wanted: list[str], console: Console, *, everything: bool
) -> bool:
    """Rebuild the collections named, or all of the namespace; False when something is lost.

    Raises:
        NotFound: no such namespace or collection.
    """
    async with open_stores(settings) as stores:
        if await Namespace.get(namespace) is None:
            raise NotFound(f"No namespace {namespace!r}.")
        scope = Scope(namespace)
        chosen = [await scope.require(Collection, one) for one in wanted]
        whole = True
        for collection in chosen or await scope.all(Collection):
            whole &= await _rebuild(stores, collection, console, everything=everything)
    return whole


async def _rebuild(
    stores: Stores, collection: Collection, console: Console, *, everything: bool
) -> bool:
    name = escape(collection.name)
    bar = Progress(
        TextColumn(name), BarColumn(), MofNCompleteColumn(), TextColumn("blocks"),
        console=console, disable=not console.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(name, total=None)

        def show(done: Rebuilt) -> None:
            bar.update(task, completed=done.blocks_looked_at, total=done.blocks)

        done = await rebuild_collection(stores, collection, report=show, everything=everything)
    whole = done.blocks - len(done.lost)
    console.print(f"{name}: {done.points_written} points written, {whole} blocks whole")
    for block_id, message in done.lost.items():
        console.print(f"[bold red]lost[/] {block_id}: {escape(message)}", soft_wrap=True)
    return not done.lost

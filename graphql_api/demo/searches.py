"""A few questions whose right answers anybody who knows Python can judge."""

from typing import Final

from rich.console import Console
from rich.table import Table

from graphql_api.demo.client import ApiClient, Hit

QUESTIONS: Final = (
    "least recently used cache decorator",
    "parse command line arguments into python objects",
    "find where to insert into a sorted list",
    "open a web page in the browser",
)
ANSWERS: Final = 3
LINE_WIDTH: Final = 60


async def show_searches(client: ApiClient, collection_id: str, console: Console) -> None:
    """Ask each question and print the best answers."""
    for question in QUESTIONS:
        hits = await client.search(collection_id, question, first=ANSWERS)
        console.print(_table(question, hits))


def _table(question: str, hits: list[Hit]) -> Table:
    table = Table(
        title=f"Search: {question}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=True,
    )
    table.add_column("score", justify="right")
    table.add_column("what", no_wrap=True)
    table.add_column("its docstring begins", no_wrap=True)
    for hit in hits:
        table.add_row(f"{hit.score:.3f}", qualified_name(hit), first_line(hit))
    return table


def qualified_name(hit: Hit) -> str:
    """Return `functools.lru_cache`; a module has but its own name."""
    module, name = hit.fields["module"], hit.fields["name"]
    return str(module if hit.fields["kind"] == "module" else f"{module}.{name}")


def first_line(hit: Hit) -> str:
    """Return the beginning of what was found."""
    line = str(hit.fields["text"]).split("\n", 1)[0]
    return line if len(line) <= LINE_WIDTH else f"{line[: LINE_WIDTH - 3]}..."

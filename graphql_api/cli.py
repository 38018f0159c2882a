"""The command line `strata`: how its commands are spelled. What they do is in `commands/`.

Imports stay inside the commands: Ray, pyarrow and the schema take seconds to load, which `--help`
and a mistyped option need not wait for.
"""

import asyncio
import functools
from collections.abc import Callable
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

P = ParamSpec("P")
RUN, LOOK, PARTS = "Start here", "Look and check", "One process each, for real servers"

app = typer.Typer(
    name="strata",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "[bold]Examples[/]\n\n"
        "[cyan]strata up[/]                         everything, with a demo, on port 8000\n\n"
        "[cyan]strata up --port 9000 --no-demo[/]   the same elsewhere, and empty\n\n"
        "[cyan]strata doctor[/]                     what is wrong, and how to mend it"
    ),
)

Data = Annotated[
    Path | None,
    typer.Option("--data", envvar="STRATA_DATA", help="Data folder.  [dim]\\[default: .strata][/]"),
]
Host = Annotated[str, typer.Option(help="Address to serve on; loopback is always served.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")]
ReadyFd = Annotated[int | None, typer.Option(hidden=True)]


def expected_failures(command: Callable[P, None]) -> Callable[P, None]:
    """Show what Strata itself names in a few lines, without a traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        from pydantic import ValidationError

        from graphql_api.commands.terminal import invalid_settings, show_failure
        from models.errors import StrataError

        try:
            command(*args, **kwargs)
        except StrataError as error:
            show_failure(error)
            raise typer.Exit(1) from error
        except ValidationError as error:
            show_failure(invalid_settings(error))
            raise typer.Exit(1) from error

    return guarded


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"strata {installed_version('strata')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Turn buckets of raw objects into searchable feature documents.

    Batches behind GraphQL, feature extraction on Ray, live status.
    """


@app.command(rich_help_panel=RUN)
@expected_failures
def up(
    data: Data = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Run the demo first.")] = True,
) -> None:
    """Start everything on this machine: servers, API, worker, engine; then run the demo.

    Nothing else needs to be installed or running. Any server is replaced by setting its address,
    as in STRATA_MONGO__URL. Ctrl-C stops all of it; the data stay.
    """
    from graphql_api.commands.screen import Screen
    from graphql_api.commands.terminal import open_console
    from graphql_api.commands.up import UpOptions, run_up
    from models.settings import Settings

    # The environment alone: what an earlier `strata up` left behind is not for its successor.
    settings = Settings(data=(data or Settings().data).absolute())
    run_up(settings, UpOptions(host, port, demo), Screen(open_console()))


@app.command(rich_help_panel=RUN)
@expected_failures
def demo(
    data: Data = None,
    endpoint: Annotated[str | None, typer.Option(help="GraphQL address of a running API.")] = None,
    admin_key: Annotated[
        str | None, typer.Option(envvar="STRATA_ADMIN_KEY", help="Its admin key.")
    ] = None,
) -> None:
    """Run the demo against an API that runs already: the standard library's docstrings.

    Without options it finds what `strata up` started.
    """
    from graphql_api.commands.demo import run_demo_command
    from models.settings import load_settings

    run_demo_command(load_settings(data), endpoint=endpoint, admin_key=admin_key)


@app.command(rich_help_panel=PARTS)
@expected_failures
def api(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to serve on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve on.")] = None,
    fd: Annotated[list[int] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve GraphQL, GraphiQL and the status page."""
    from graphql_api.commands.api import serve_api
    from graphql_api.commands.listening import adopt_sockets, bind_sockets
    from models.logs import setup_logging
    from models.settings import load_settings
    from models.traces import setup_traces

    settings = load_settings(data)
    setup_logging("api", settings.log_format, settings.log_level or "WARNING")
    setup_traces("api", settings.traces)
    wanted = host or settings.api.host, port or settings.api.port
    serve_api(settings, adopt_sockets(fd) if fd else bind_sockets(*wanted))


@app.command(rich_help_panel=PARTS)
@expected_failures
def worker(
    data: Data = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Messages worked on at once.")] = 4,
    ready_fd: ReadyFd = None,
) -> None:
    """Move batches forward: plan, launch, finish, sweep."""
    from graphql_api.commands.worker import run_worker
    from models.logs import setup_logging
    from models.settings import load_settings
    from models.traces import setup_traces

    settings = load_settings(data)
    setup_logging("worker", settings.log_format, settings.log_level or "INFO")
    setup_traces("worker", settings.traces)
    run_worker(data, threads=threads, ready_fd=ready_fd)


@app.command(rich_help_panel=PARTS)
@expected_failures
def engine(data: Data = None, ready_fd: ReadyFd = None) -> None:
    """Keep the conductors on the Ray cluster alive and warm."""
    from graphql_api.commands.engine import run_engine
    from graphql_api.commands.readiness import ready_teller
    from models.logs import setup_logging
    from models.settings import load_settings
    from models.traces import setup_traces

    settings = load_settings(data)
    setup_logging("engine", settings.log_format, settings.log_level or "INFO")
    setup_traces("engine", settings.traces)
    asyncio.run(run_engine(settings, on_ready=ready_teller(ready_fd)))


@app.command(rich_help_panel=LOOK)
@expected_failures
def doctor(
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="Port that `strata up` is to serve on.")] = None,
) -> None:
    """Check everything Strata depends on; say what is wrong and how to mend it."""
    from graphql_api.commands.doctor.report import run_doctor
    from models.settings import load_settings

    settings = load_settings(data)
    if not run_doctor(settings, port=port or settings.api.port):
        raise typer.Exit(1)


@app.command(rich_help_panel=LOOK)
@expected_failures
def schema(
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fail when FILE holds another schema.")
    ] = None,
) -> None:
    """Print the API's schema in GraphQL's own language."""
    from graphql_api.commands.sdl import require_same, schema_text

    if check is None:
        print(schema_text(), end="")
    else:
        require_same(check)


extractors = typer.Typer(no_args_is_help=True, help="The extractors: list, document, begin one.")
app.add_typer(extractors, name="extractors", rich_help_panel=LOOK)


@extractors.command("list")
@expected_failures
def list_extractors(data: Data = None) -> None:
    """List the extractors: where each comes from, and whether it can run on this machine."""
    from graphql_api.commands.extractors.listing import list_extractors
    from graphql_api.commands.terminal import open_console
    from models.settings import load_settings

    list_extractors(load_settings(data), open_console())


@extractors.command("new")
@expected_failures
def new_extractor(
    name: Annotated[str, typer.Argument(help="Its name: lower case, digits and underscores.")],
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to; ./strata-NAME without it.")
    ] = None,
) -> None:
    """Write a package with an extractor that works, and a test: the beginning of your own."""
    from graphql_api.commands.extractors.skeleton import write_skeleton

    for path in write_skeleton(name, into):
        print(path)


@extractors.command("docs")
@expected_failures
def document_extractors(
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fail when FILE holds another page.")
    ] = None,
) -> None:
    """Print the page of the built-in extractors, as it stands in docs/extractors.md."""
    from graphql_api.commands.extractors.page import extractors_page, require_page

    if check is None:
        print(extractors_page(), end="")
    else:
        require_page(check)


batch = typer.Typer(no_args_is_help=True, help="Batches: what is wrong with one.")
app.add_typer(batch, name="batch", rich_help_panel=LOOK)


@batch.command("diagnose")
@expected_failures
def diagnose_batch(
    batch_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the batch, as btc_...")],
    data: Data = None,
) -> None:
    """Say what is wrong with a batch or holds it up, by what evidence, and what to do.

    Reads MongoDB alone, so it works while everything else is down. Ends with 1 when the batch is
    stuck or failing.
    """
    from graphql_api.commands.diagnosis import diagnose
    from graphql_api.commands.terminal import open_console
    from models.settings import load_settings

    if not asyncio.run(diagnose(load_settings(data), batch_id, open_console())):
        raise typer.Exit(1)


@app.command(rich_help_panel=PARTS)
@expected_failures
def indexes(data: Data = None) -> None:
    """Build the indexes and the S3 bucket; doing it again changes nothing."""
    from graphql_api.commands.indexes import prepare_stores
    from models.settings import load_settings

    asyncio.run(prepare_stores(load_settings(data)))


@app.command(rich_help_panel=LOOK)
@expected_failures
def rebuild_vectors(
    namespace: Annotated[str, typer.Argument(help="Id of the namespace, as ns_...")],
    data: Data = None,
    collection: Annotated[
        list[str] | None, typer.Option(help="Id of a collection; may be repeated. All without it.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Also points that seem to be there.")
    ] = False,
) -> None:
    """Write Qdrant's points again from the committed artifacts.

    Only what is missing is written, so it can be stopped and started again, while batches run.
    """
    from graphql_api.commands.rebuild import rebuild
    from graphql_api.commands.terminal import open_console
    from models.settings import load_settings

    wanted = rebuild(
        load_settings(data), namespace, collection or [], open_console(), everything=everything
    )
    if not asyncio.run(wanted):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()

"""The conformance kit as a plug-in of pytest: with `-p engine.pytest_plugin`,
`pytest --strata-extractor NAME@VERSION` runs it and nothing else.

Not an entry point of pytest's: it would be loaded, and every module of Strata's rewritten, in each
run of any tests in the same environment. Loads nothing until it is asked.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from engine.conformance.subject import Subject
    from engine.spec import InputKind, InputSpec

_OPTION: Final = "strata_extractor"
_KIT: Final = Path(__file__).with_name("conformance") / "kit.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("strata", "Strata's conformance kit")
    group.addoption(
        "--strata-extractor",
        metavar="NAME@VERSION",
        help="run the checks that any extractor must pass on this one",
    )
    group.addoption(
        "--strata-extractor-parameters", metavar="JSON", default="{}", help="its parameters"
    )
    group.addoption(
        "--strata-extractor-samples",
        metavar="FOLDER",
        help="files that it must be able to read as its first input; needed where that takes files",
    )
    group.addoption(
        "--strata-extractor-bad",
        metavar="FOLDER",
        help="files that must fail as its first input",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Run the kit, beside the tests that the command line names, if it names any."""
    if config.getoption(_OPTION) is None:
        return
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args[:] = [*(config.args if named else []), str(_KIT)]


@pytest.fixture(scope="session")
def strata_subject(pytestconfig: pytest.Config) -> "Iterator[Subject]":
    """The extractor that the command line names."""
    subject = _subject(pytestconfig)
    yield subject
    subject.close()


def _subject(config: pytest.Config) -> "Subject":
    from engine.catalog import extractor_class, is_builtin
    from engine.conformance.subject import NoSamples, Subject
    from engine.plugins import allow_plugins
    from models.errors import StrataError
    from models.settings import load_settings

    label: str = config.getoption(_OPTION)
    settings = load_settings()
    if not is_builtin(label):
        allow_plugins([label])  # whoever types its name here means it
    try:
        kind = extractor_class(label)
        parameters = json.loads(config.getoption("strata_extractor_parameters"))
        subject = Subject(
            kind,
            parameters,
            good=_rows(config, "strata_extractor_samples", kind.spec.inputs[0]),
            bad=_rows(config, "strata_extractor_bad", kind.spec.inputs[0]),
            cache=settings.cache,
            endpoints=settings.embeddings,
        )
        _ = subject.good
    except StrataError as error:
        _refuse(f"{error.message} {error.hint}")
    except NoSamples as error:
        _refuse(f"{error} See --strata-extractor-samples.")
    except ValueError as error:
        _refuse(str(error))
    return subject


def _refuse(why: str) -> NoReturn:
    pytest.exit(why, returncode=pytest.ExitCode.USAGE_ERROR)


def _rows(config: pytest.Config, option: str, item: "InputSpec") -> list[dict[str, Any]]:
    folder = config.getoption(option)
    if folder is None:
        return []
    found = [{item.name: _read(path, item.kind)} for path in sorted(Path(folder).iterdir())]
    if not found:
        raise ValueError(f"{folder} holds no files.")
    return found


def _read(path: Path, kind: "InputKind") -> Any:
    body = path.read_bytes()
    if kind == "json":
        return json.loads(body)
    return body.decode() if kind == "text" else body

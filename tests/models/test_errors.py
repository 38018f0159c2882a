import pickle

import pytest

from models import errors
from models.errors import InvalidMapping, Permanent, StrataError, Transient


def every_error() -> list[type[StrataError]]:
    found = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, StrataError)
    ]
    assert len(found) > 20
    return found


def test_codes_are_distinct() -> None:
    codes = [kind.code for kind in every_error()]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", every_error())
def test_every_error_is_either_worth_a_retry_or_not(kind: type[StrataError]) -> None:
    if kind is not StrataError:
        assert issubclass(kind, Transient) != issubclass(kind, Permanent)


@pytest.mark.parametrize("kind", every_error())
def test_errors_survive_the_trip_between_processes(kind: type[StrataError]) -> None:
    sent = kind("What is wrong.", path=("a", "0"), hint="What to do.")

    received = pickle.loads(pickle.dumps(sent))

    assert type(received) is kind
    assert (received.message, received.path, received.hint) == (sent.message, sent.path, sent.hint)
    assert str(received) == "What is wrong."


@pytest.mark.parametrize("kind", every_error())
def test_the_tree_in_the_docstring_names_every_error(kind: type[StrataError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


def test_a_path_given_as_a_list_is_kept_as_it_was() -> None:
    path = ["a"]
    error = InvalidMapping("Wrong.", path=path)
    path.append("b")

    assert error.path == ("a",)

"""Gate: what graphql-cop looks for, and one thing that it no longer does.

Each probe is refused, as a stranger without a key and as a caller with one, both without the header
that a GET needs. The tool itself is in no package registry; these are its probes by their meaning.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from tests.conformance.target import Target

Probe = Callable[[httpx.Client], bool]  # whether the API exposes something
_TYPENAME: Final = {"query": "{ __typename }"}
_CIRCULAR: Final = (
    "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"
)
_SUGGESTED: Final = ("Did you mean", "did you mean")
_DETAILS: Final = ("Traceback", 'File "', "stacktrace", "exception")


def run(target: Target) -> bool:
    """Return whether nothing is exposed to either caller."""
    callers = {"stranger": {}, "ordinary": {"authorization": f"Bearer {target.reader}"}}
    return all([_holds(target, name, headers) for name, headers in callers.items()])


def _holds(target: Target, caller: str, headers: Mapping[str, str]) -> bool:
    with httpx.Client(
        base_url=target.endpoint.removesuffix("/graphql"), headers=headers, timeout=30
    ) as client:
        assert _data(client, _TYPENAME) == {"__typename": "Query"}, "nothing would be tested"
        exposed = [name for name, probe in PROBES.items() if probe(client)]
    print(f"exposures to a caller that is {caller}: {', '.join(exposed) or 'none'}")
    return not exposed


def _post(client: httpx.Client, body: Any) -> httpx.Response:
    return client.post("/graphql", json=body)


def _data(client: httpx.Client, body: Any) -> Any:
    found = _post(client, body).json()
    return found.get("data") if isinstance(found, dict) else None


def _aliases(client: httpx.Client) -> bool:
    many = " ".join(f"a{number}: __typename" for number in range(101))
    return _data(client, {"query": f"{{ {many} }}"}) is not None


def _batches(client: httpx.Client) -> bool:
    found = _post(client, [_TYPENAME] * 10).json()
    return isinstance(found, list) and len(found) > 1


def _directives(client: httpx.Client) -> bool:
    found = _post(client, {"query": f"{{ __typename {'@aa' * 10} }}"}).json()
    return len(found.get("errors", ())) >= 10


def _repeats(client: httpx.Client) -> bool:
    return _data(client, {"query": f"{{ {'__typename ' * 500} }}"}) is not None


def _suggestions(client: httpx.Client) -> bool:
    said = [
        _post(client, {"query": query}).text
        for query in ("{ batche { id } }", "{ __typenam }", "{ batch(idd: 1) { id } }")
    ]
    return any(word in text for text in said for word in _SUGGESTED)


def _query_by_get(client: httpx.Client) -> bool:
    return client.get("/graphql", params=_TYPENAME).status_code == 200


def _mutation_by_get(client: httpx.Client) -> bool:
    answer = client.get("/graphql", params={"query": "mutation { __typename }"})
    return answer.status_code == 200 and "data" in answer.json()


def _form(client: httpx.Client) -> bool:
    return client.post("/graphql", data=_TYPENAME).status_code == 200


def _page(client: httpx.Client) -> bool:
    text = client.get("/graphql", headers={"accept": "text/html"}).text.lower()
    return any(word in text for word in ("graphiql", "playground", "altair", "<html"))


def _introspection(client: httpx.Client) -> bool:
    return _data(client, {"query": "{ __schema { types { name } } }"}) is not None


def _circular(client: httpx.Client) -> bool:
    return _data(client, {"query": _CIRCULAR}) is not None


def _tracing(client: httpx.Client) -> bool:
    return "tracing" in _post(client, _TYPENAME).json().get("extensions", {})


def _detail(client: httpx.Client) -> bool:
    bodies: list[Any] = [{"query": "{"}, {"query": 5}, [], None, {"query": "{ nothing }"}]
    said = [_post(client, body).text for body in bodies]
    return any(word in text for text in said for word in _DETAILS)


PROBES: Final[Mapping[str, Probe]] = {
    "101 aliases": _aliases,
    "batches of ten": _batches,
    "an error for each of ten directives": _directives,
    "500 repeated fields": _repeats,
    "suggestions": _suggestions,
    "queries by GET without the header": _query_by_get,
    "mutations by GET": _mutation_by_get,
    "form-encoded bodies": _form,
    "a page on the endpoint": _page,
    "introspection": _introspection,
    "circular introspection": _circular,
    "tracing": _tracing,
    "exception detail": _detail,
}

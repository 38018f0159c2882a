"""Values of our scalars, for the fuzzer; it runs in an environment of its own."""

import os
import re
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_VALUES = st.recursive(
    st.one_of(
        _TEXT.map(nodes.String),
        st.integers(-(2**31), 2**31 - 1).map(nodes.Int),
        st.booleans().map(nodes.Boolean),
    ),
    lambda children: st.lists(children, max_size=3).map(lambda found: nodes.List(list(found))),
    max_leaves=5,
)

schemathesis.graphql.scalar(
    "DateTime", st.datetimes().map(lambda moment: nodes.String(f"{moment:%Y-%m-%dT%H:%M:%S}Z"))
)
schemathesis.graphql.scalar("JSON", _VALUES)
schemathesis.graphql.scalar("BigInt", st.integers(-(2**62), 2**62).map(nodes.Int))

_FOREIGN = re.compile(rf"\b(?:{os.environ['FOREIGN_FIELDS']})\b")


@schemathesis.hook  # type: ignore[untyped-decorator]
def filter_case(context: Any, case: Any) -> bool:
    """Leave out what reaches a field that is not for this key through the `query` of a payload."""
    return _FOREIGN.search(case.body) is None

"""Values of our scalars, for the fuzzer; it runs in an environment of its own."""

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

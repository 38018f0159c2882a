"""Gate: the audits of graphql-http, all of them."""

from tests.conformance.target import Target, run_node


def run(target: Target) -> bool:
    """Return whether it holds."""
    return run_node("audits.mjs", target)

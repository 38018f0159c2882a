"""Gate: clients for JavaScript, as their users use them."""

from tests.conformance.target import Target, run_node


def run(target: Target) -> bool:
    """Return whether it holds."""
    return run_node("clients.mjs", target)

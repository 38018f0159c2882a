"""Runs inside `ray start`: spares a local head the Ray Client server, which Strata never uses.

The command line has no way to say so.
"""

from typing import Any


def without_client_server(parameters: Any, head: bool) -> None:
    """Named by RAY_START_HOOK."""
    if head:
        parameters.ray_client_server_port = None

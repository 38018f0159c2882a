"""The texts of the operations that the demo sends: the published examples, word for word.

A wheel carries them in `strata_operations/`, beside the packages and not inside one: an editable
install would get a `graphql_api/` without code, which Python would take for the package. A checkout
has them in `frontend_examples/`.
"""

from functools import cache
from pathlib import Path
from typing import Final

_PACKED: Final = Path(__file__).parents[2] / "strata_operations"
_PUBLISHED: Final = Path(__file__).parents[2] / "frontend_examples" / "operations"


@cache
def operation(name: str) -> str:
    """Return the text of `<name>.graphql`."""
    folder = _PACKED if _PACKED.is_dir() else _PUBLISHED
    return (folder / f"{name}.graphql").read_text()

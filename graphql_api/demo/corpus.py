"""The demo's text: the docstrings of the installed Python standard library, read and not run.

Tests and whatever was installed beside the library are left out. Docstrings that begin with the
same sentence ("Return a count of messages in the mailbox.") are one object, which names the others.
The order is that of the files and, inside a file, that of the source: the same on every run.
"""

import ast
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.splitting import split_text

SKIPPED_FOLDERS: Final = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Documented = ast.Module | ast.ClassDef | _Function


@dataclass(frozen=True)
class Docstring:
    """One docstring and where it stands."""

    key: str  # unique: "functools", "functools:lru_cache", "module:name#2" for a redefinition
    module: str
    name: str  # the qualified name; of a module, its own
    kind: str  # module, class or function
    signature: str  # of a function; empty for the others
    line: int
    content: str
    also: tuple[str, ...] = ()  # keys of others that begin with the same sentence

    @property
    def summary(self) -> str:
        """The first sentence, on one line: what the docstring is found by."""
        return " ".join(next(split_text(self.content, "sentences", chunk_size=1)).text.split())

    def as_object(self) -> dict[str, Any]:
        """As an `ObjectInput` of the API."""
        return {
            "key": self.key,
            "metadata": {
                "module": self.module,
                "name": self.name,
                "kind": self.kind,
                "signature": self.signature,
                "line": self.line,
                "summary": self.summary,
                **({"also": list(self.also)} if self.also else {}),
            },
            "blobs": [{"property": "content", "text": self.content}],
        }


def collect_docstrings(library: Path | None = None) -> Iterator[Docstring]:
    """Yield the docstrings of a folder of modules, by default the standard library."""
    root = library or Path(sysconfig.get_paths()["stdlib"])
    for path in source_files(root):
        yield from _docstrings_of(path, module_name(path.relative_to(root)))


def merge_same_summaries(docstrings: Iterable[Docstring]) -> list[Docstring]:
    """Keep the first docstring of each summary, case apart; the others become its `also`."""
    found: dict[str, list[Docstring]] = {}
    for docstring in docstrings:
        found.setdefault(docstring.summary.casefold(), []).append(docstring)
    return [
        replace(first, also=tuple(other.key for other in others))
        for first, *others in found.values()
    ]


def source_files(root: Path) -> list[Path]:
    """List the modules that are read, in order."""
    found = [path.relative_to(root) for path in root.rglob("*.py")]
    kept = (path for path in found if not SKIPPED_FOLDERS & set(path.parts[:-1]))
    return [root / path for path in sorted(kept, key=lambda path: path.parts)]


def module_name(path: Path) -> str:
    """Turn `a/b/__init__.py` and `a/b.py` into `a.b`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _docstrings_of(path: Path, module: str) -> Iterator[Docstring]:
    tree = _parse(path)
    if tree is None:
        return
    seen: Counter[str] = Counter()
    for node, name in _documented(tree, ()):
        content = (ast.get_docstring(node) or "").strip()
        if content:
            key = f"{module}:{name}" if name else module
            seen[key] += 1
            yield _docstring(node, _unique(key, seen[key]), module, name or module, content)


def _parse(path: Path) -> ast.Module | None:
    """Read a module; None for templates and samples that are not Python of this version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in other people's strings
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return None


def _documented(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[_Documented, str]]:
    """Walk in source order; names are those of `__qualname__`."""
    inner = names
    if isinstance(node, ast.Module):
        yield node, ""
    elif isinstance(node, ast.ClassDef | _Function):
        inner = (*names, node.name)
        yield node, ".".join(inner)
        inner = inner if isinstance(node, ast.ClassDef) else (*inner, "<locals>")
    for child in ast.iter_child_nodes(node):
        yield from _documented(child, inner)


def _docstring(node: _Documented, key: str, module: str, name: str, content: str) -> Docstring:
    return Docstring(
        key=key,
        module=module,
        name=name,
        kind=_kind(node),
        signature=f"({ast.unparse(node.args)})" if isinstance(node, _Function) else "",
        line=getattr(node, "lineno", 1),
        content=content,
    )


def _kind(node: _Documented) -> str:
    if isinstance(node, ast.Module):
        return "module"
    return "class" if isinstance(node, ast.ClassDef) else "function"


def _unique(key: str, occurrence: int) -> str:
    return key if occurrence == 1 else f"{key}#{occurrence}"

"""Which files of ours a module rests on: what it imports, what those import, and so on, read from the sources.

Imports inside functions count, imports for type checking do not. Nothing is imported to find out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKAGES = ("orchestration", "assets", "serving", "jobs")


@dataclass(frozen=True)
class Closure:
    """Everything that some modules import, directly or through others."""

    files: frozenset[Path]
    """Sources of our own packages, the modules themselves included."""
    libraries: frozenset[str]
    """Top-level names of all other packages, the standard library's included."""


def import_closure(root: Path, modules: Sequence[str], without: Sequence[str] = ()) -> Closure:
    """The closure of `modules`, dotted names below the folder `root`.

    Args:
        without: dotted names of modules or packages that are left out, with all that only they import.

    Raises:
        FileNotFoundError: one of `modules` has no source.
    """
    waiting, files, libraries = [_source(root, module) for module in modules], set[Path](), set[str]()
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files.add(file)
        for name in _imported(file.read_bytes()):
            package = name.partition(".")[0]
            if package not in PACKAGES:
                libraries.add(package)
            elif not any(name == left_out or name.startswith(f"{left_out}.") for left_out in without):
                source = _source(root, name)
                waiting += [source] if source.exists() else []
    return Closure(frozenset(files), frozenset(libraries))


def _source(root: Path, module: str) -> Path:
    return root.joinpath(*module.split(".")).with_suffix(".py")


@lru_cache(maxsize=1024)
def _imported(source: bytes) -> tuple[str, ...]:
    """Dotted names of what a source imports, parsed once per text."""
    return tuple(_names(ast.parse(source)))


def _names(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all imports; of `from a import b` both `a` and `a.b`, as `b` may be a module."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.expr):
            waiting += ast.iter_child_nodes(node)

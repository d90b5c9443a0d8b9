"""What was found as a patch to the declarations: a unified diff that `git apply` or `patch -p1` takes.

A person reads and applies it; nothing is declared by a program on its own.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from jobs.errors import Invalid
from jobs.feature_search.space import Candidate, with_pairs
from jobs.use_case import UseCase
from jobs.window_lengths import Window
from jobs.windows import Aggregate, Ratio, WindowFeatures

INDENT = " " * 8
UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))


def patch(use_case: UseCase, candidates: Sequence[Candidate], root: Path) -> str:
    """The declarations with these candidates in them, as a diff against what stands below `root`; names from there.

    Raises:
        ValueError: a declaration does not stand in a file below `root` as one call with a tuple of aggregates.
    """
    by_file: dict[Path, list[WindowFeatures]] = {}
    for windows in use_case.windows:
        if any(candidate.windows == windows.name for candidate in candidates):
            by_file.setdefault(Path(windows.declared_at.file), []).append(windows)
    return "".join(_of_file(file, declared, candidates, root) for file, declared in by_file.items())


def new_declarations(use_case: UseCase, candidates: Sequence[Candidate]) -> str:
    """Declarations of entities that have none yet, such as pairs, as Python; empty if there are none.

    They are no patch: each also needs its place in the use case, and a view in `feature_repo/`.
    """
    known = {windows.name for windows in use_case.windows}
    pairs = [windows for windows in with_pairs(use_case).windows if windows.name not in known]
    members = {windows: [source(c.aggregate) for c in candidates if c.windows == windows.name] for windows in pairs}
    return "\n".join(_new_declaration(windows, mine) for windows, mine in members.items() if mine)


def _new_declaration(windows: WindowFeatures, members: Sequence[str]) -> str:
    fields = "".join(
        f"    {name}={getattr(windows, name)!r},\n" for name in ("name", "entity", "id", "event_timestamp")
    )
    rows = "".join(f"{INDENT}{member},\n" for member in members)
    return f"{windows.name.upper()} = WindowFeatures(\n{fields}    aggregates=(\n{rows}    ),\n)\n"


def source(aggregate: Aggregate) -> str:
    """The aggregate as Python declares it."""
    parts = [repr(aggregate.function), *([repr(aggregate.column)] if aggregate.column else [])]
    parts.append(f"windows=({', '.join(_length(window) for window in aggregate.windows)},)")
    if aggregate.delay:
        parts.append(f"delay={_length(aggregate.delay)}")
    given: dict[str, Any] = {"of": aggregate.of if aggregate.of != "events" else None, "where": aggregate.where}
    given |= {"empty": aggregate.empty, "name": aggregate.name}
    parts += [f"{name}={value!r}" for name, value in given.items() if value is not None]
    return f"Aggregate({', '.join(parts)})"


def _ratio(ratio: Ratio) -> str:
    return f"Ratio({ratio.name!r}, {ratio.column!r}, {source(ratio.to)})"


def _length(length: Window) -> str:
    assert isinstance(length, timedelta)  # What a search offers.
    unit, size = next((u, s) for u, s in UNITS if length % timedelta(seconds=s) == timedelta(0))
    return f"timedelta({unit}={length // timedelta(seconds=size)})"


def _of_file(file: Path, declared: Sequence[WindowFeatures], candidates: Sequence[Candidate], root: Path) -> str:
    if not file.resolve().is_relative_to(root.resolve()):
        raise Invalid(f"patch: expected declarations below {root}, found {file}; write the features there by hand")
    before = file.read_text()
    lines, tree = before.splitlines(keepends=True), ast.parse(before)
    inserted = [
        place
        for windows in declared
        for place in _insertions(tree, windows, [c for c in candidates if c.windows == windows.name])
    ]
    for line, column, text in sorted(inserted, reverse=True):
        lines[line] = lines[line][:column] + text + lines[line][column:]
    lines = "".join(_with_imports(lines, tree)).splitlines(keepends=True)
    name = file.resolve().relative_to(root.resolve()).as_posix()
    return "".join(difflib.unified_diff(before.splitlines(keepends=True), lines, f"a/{name}", f"b/{name}"))


def _insertions(
    tree: ast.Module, windows: WindowFeatures, candidates: Sequence[Candidate]
) -> Iterable[tuple[int, int, str]]:
    """Line from 0, column and text of what the call of `windows` lacks."""
    call = _call(tree, windows.name)
    known = {ratio.name for ratio in windows.ratios}
    ratios = {c.ratio.name: _ratio(c.ratio) for c in candidates if c.ratio and c.ratio.name not in known}
    aggregates = [source(candidate.aggregate) for candidate in candidates]
    yield _into(call, "aggregates", aggregates, windows)
    if ratios and _tuple(call, "ratios") is not None:
        yield _into(call, "ratios", list(ratios.values()), windows)
    elif ratios:
        rows = "".join(f"{INDENT}{ratio},\n" for ratio in ratios.values())
        value = next(keyword.value for keyword in call.keywords if keyword.arg == "aggregates")
        yield value.lineno - 1, value.col_offset - len("aggregates="), f"ratios=(\n{rows}    ),\n    "


def _call(tree: ast.Module, name: str) -> ast.Call:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == WindowFeatures.__name__:
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if isinstance(value := given.get("name"), ast.Constant) and value.value == name:
                return node
    raise Invalid(f"patch: expected a call of WindowFeatures with name={name!r}, found none; write it by hand")


def _tuple(call: ast.Call, keyword: str) -> ast.Tuple | None:
    found = next((given.value for given in call.keywords if given.arg == keyword), None)
    return found if isinstance(found, ast.Tuple) else None


def _into(call: ast.Call, keyword: str, members: Sequence[str], windows: WindowFeatures) -> tuple[int, int, str]:
    """Where members are put into a tuple: before the parenthesis that ends it."""
    value = _tuple(call, keyword)
    if value is None or value.end_lineno is None or value.end_col_offset is None:
        raise Invalid(f"patch: expected {keyword} of {windows.name} as a tuple in its call; write the features by hand")
    at = value.end_lineno - 1, value.end_col_offset - 1
    if value.elts and value.elts[-1].end_lineno == value.end_lineno:
        # On one line with the last member, whose comma is there only if it is the only one.
        comma = "" if len(value.elts) == 1 else ","
        return *at, comma + "".join(f"\n{INDENT}{member}," for member in members) + "\n    "
    return at[0], 0, "".join(f"{INDENT}{member},\n" for member in members)


def _with_imports(lines: list[str], tree: ast.Module) -> list[str]:
    """The file with what the new declarations need to be imported."""
    names = {alias.asname or alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names}
    missing = [
        text
        for name, text in (
            ("timedelta", "from datetime import timedelta\n"),
            ("Aggregate", "from jobs.windows import Aggregate\n"),
            ("Ratio", "from jobs.windows import Ratio\n"),
        )
        if name not in names and any(f"{name}(" in line for line in lines)
    ]
    first = next(
        n.lineno - 1
        for n in tree.body
        if isinstance(n, ast.ImportFrom | ast.Import) and getattr(n, "module", "") != "__future__"
    )
    return [*lines[:first], *missing, *lines[first:]]

"""What was found as a patch to the declarations: a unified diff that `git apply` or `patch -p1` takes.

A person reads and applies it; nothing is declared by a program on its own. What cannot be patched, as it is declared
in another way, is written as declarations to copy.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from jobs.errors import Invalid
from jobs.feature_search.space import Candidate, with_all_entities
from jobs.use_case import UseCase
from jobs.window_lengths import BEFORE, Last, Trend, Window
from jobs.windows import Aggregate, Ratio, WindowFeatures

INDENT = " " * 8
UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
IMPORTED = {
    "timedelta": "datetime", "Aggregate": "jobs.windows", "Ratio": "jobs.windows", "BEFORE": "jobs.window_lengths",
    "Last": "jobs.window_lengths", "Trend": "jobs.window_lengths", "WindowFeatures": "jobs.windows",
}  # fmt: skip
"""What new declarations may need, and where it comes from."""


@dataclass(frozen=True)
class Proposed:
    """Candidates as texts for people."""

    patch: bytes = b""
    """A diff against the files below `root`; empty: nothing can be patched."""
    root: Path | None = None
    """The folder in which the patch applies."""
    declarations: bytes = b""
    """Python to copy, of what has no declaration yet or could not be patched."""
    unpatched: tuple[str, ...] = ()
    """Why declarations could not be patched."""


def proposed_texts(use_case: UseCase, candidates: Sequence[Candidate]) -> Proposed:
    """The candidates as a patch to the files that declare their entities, or else as declarations to copy."""
    root: Path | None = None
    patch, unpatched, copied = b"", [], [new_declarations(use_case, candidates)]
    for file, declared in _by_file(use_case, candidates).items():
        try:
            if root not in (None, root_of(file)):
                raise Invalid(f"patch: expected declarations below {root}, found {file}; write its features by hand")
            patch += _of_file(file, declared, candidates)
            root = root_of(file)
        except Invalid as error:
            unpatched.append(str(error))
            copied += [_copied(windows, [c for c in candidates if c.windows == windows.name]) for windows in declared]
    return Proposed(patch, root, _with_imports("\n".join(filter(None, copied))).encode(), tuple(unpatched))


def _with_imports(code: str) -> str:
    imports = "".join(f"{line}\n" for line in _missing(code, ()))
    return f"{imports}\n{code}" if imports else code


def root_of(file: Path) -> Path:
    """The folder in which a patch to a file applies: of its repository, or else its own."""
    file = file.resolve()
    return next((folder for folder in file.parents if (folder / ".git").exists()), file.parent)


def _by_file(use_case: UseCase, candidates: Sequence[Candidate]) -> dict[Path, list[WindowFeatures]]:
    found: dict[Path, list[WindowFeatures]] = {}
    for windows in use_case.windows:
        if any(candidate.windows == windows.name for candidate in candidates):
            found.setdefault(Path(windows.declared_at.file), []).append(windows)
    return found


def new_declarations(use_case: UseCase, candidates: Sequence[Candidate]) -> str:
    """Declarations of entities that have none yet, such as pairs, as Python; empty if there are none.

    They are no patch: each also needs its place in the use case, and a view in `feature_repo/`.
    """
    known = {windows.name for windows in use_case.windows}
    new = [windows for windows in with_all_entities(use_case).windows if windows.name not in known]
    members = {windows: [c for c in candidates if c.windows == windows.name] for windows in new}
    return "\n".join(_new_declaration(windows, mine) for windows, mine in members.items() if mine)


def _new_declaration(windows: WindowFeatures, members: Sequence[Candidate]) -> str:
    fields = "".join(
        f"    {name}={getattr(windows, name)!r},\n" for name in ("name", "entity", "id", "event_timestamp")
    )
    ratios = _rows([_ratio(ratio) for ratio in _ratios(members)])
    fields += f"    ratios=(\n{ratios}    ),\n" if ratios else ""
    rows = _rows([source(member.aggregate) for member in members])
    return f"{windows.name.upper()} = WindowFeatures(\n{fields}    aggregates=(\n{rows}    ),\n)\n"


def _copied(windows: WindowFeatures, members: Sequence[Candidate]) -> str:
    """What a declaration lacks that stands in a way that no patch fits."""
    ratios = _rows([_ratio(ratio) for ratio in _ratios(members) if ratio not in windows.ratios])
    lines = [f"# For the aggregates of {windows.name}, declared in {windows.declared_at.file}:"]
    lines += [f"MORE_AGGREGATES = (\n{_rows([source(member.aggregate) for member in members])})"]
    lines += [f"# For its ratios:\nMORE_RATIOS = (\n{ratios})"] if ratios else []
    return "\n".join(lines) + "\n"


def _ratios(members: Sequence[Candidate]) -> list[Ratio]:
    """The ratios that candidates read, each once."""
    return list({member.ratio.name: member.ratio for member in members if member.ratio}.values())


def _rows(members: Sequence[str]) -> str:
    return "".join(f"{INDENT}{member},\n" for member in members)


def source(aggregate: Aggregate) -> str:
    """The aggregate as Python declares it."""
    parts = [repr(aggregate.function), *([repr(aggregate.column)] if aggregate.column else [])]
    parts.append(f"windows=({', '.join(_length(window) for window in aggregate.windows)},)")
    if aggregate.delay:
        parts.append(f"delay={_length(aggregate.delay)}")
    given: dict[str, Any] = {"of": aggregate.of if aggregate.of != "events" else None, "where": aggregate.where}
    given |= {"empty": aggregate.empty, "name": aggregate.name, "percentile": aggregate.percentile}
    parts += [f"{name}={value!r}" for name, value in given.items() if value is not None]
    return f"Aggregate({', '.join(parts)})"


def _ratio(ratio: Ratio) -> str:
    return f"Ratio({ratio.name!r}, {ratio.column!r}, {source(ratio.to)})"


def _length(length: Window) -> str:
    if length == BEFORE:
        return "BEFORE"
    if isinstance(length, Last):
        return f"Last({length.facts}, {_length(length.within)})"
    if isinstance(length, Trend):
        return f"Trend({_length(length.short)}, {_length(length.long)})"
    unit, size = next((u, s) for u, s in UNITS if length % timedelta(seconds=s) == timedelta(0))
    return f"timedelta({unit}={length // timedelta(seconds=size)})"


def _of_file(file: Path, declared: Sequence[WindowFeatures], candidates: Sequence[Candidate]) -> bytes:
    """The diff of one file, byte by byte as it is: its ends of lines stay."""
    before = _content(file)
    tree, lines = _parsed(file, before), before.splitlines(keepends=True)
    end = b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"
    inserted = [
        place
        for windows in declared
        for place in _insertions(tree, windows, [c for c in candidates if c.windows == windows.name], lines)
    ]
    for line, column, text in sorted(inserted, reverse=True):
        given = text.encode().replace(b"\n", end)
        lines[line] = lines[line][:column] + given + lines[line][column:]
    first, missing = _imports(tree, "".join(text for *_, text in inserted))
    lines[first:first] = [text.encode() + end for text in missing]
    after = b"".join(lines)
    _parsed(file, after)
    return _diff(file.resolve().relative_to(root_of(file)).as_posix(), before, after)


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError:
        raise Invalid(f"patch: expected a declaration in a file, found none at {file}; write it by hand") from None
    if content.startswith(BYTE_ORDER_MARK):
        raise Invalid(f"patch: expected {file} without a byte order mark, found one; write the features by hand")
    return content


def _parsed(file: Path, content: bytes) -> ast.Module:
    try:
        content.decode()
        return ast.parse(content)
    except (SyntaxError, ValueError):
        raise Invalid(f"patch: expected declarations in {file} that take more, in UTF-8; write them by hand") from None


def _diff(name: str, before: bytes, after: bytes) -> bytes:
    """A unified diff, which says where a last line has no end."""
    parts = difflib.diff_bytes(
        difflib.unified_diff, before.splitlines(keepends=True), after.splitlines(keepends=True),
        f"a/{name}".encode(), f"b/{name}".encode(),
    )  # fmt: skip
    return b"".join(part if part.endswith(b"\n") else part + b"\n\\ No newline at end of file\n" for part in parts)


def _insertions(
    tree: ast.Module, windows: WindowFeatures, candidates: Sequence[Candidate], lines: Sequence[bytes]
) -> Iterable[tuple[int, int, str]]:
    """Line from 0, column in bytes and text of what the call of `windows` lacks."""
    call = _call(tree, windows.name)
    known = {ratio.name for ratio in windows.ratios}
    ratios = [_ratio(ratio) for ratio in _ratios(candidates) if ratio.name not in known]
    yield from _into(call, "aggregates", [source(candidate.aggregate) for candidate in candidates], lines)
    if ratios and any(keyword.arg == "ratios" for keyword in call.keywords):
        yield from _into(call, "ratios", ratios, lines)
    elif ratios:
        keyword = next(keyword for keyword in call.keywords if keyword.arg == "aggregates")
        yield keyword.lineno - 1, keyword.col_offset, f"ratios=(\n{_rows(ratios)}    ),\n    "


def _call(tree: ast.Module, name: str) -> ast.Call:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == WindowFeatures.__name__:
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if isinstance(value := given.get("name"), ast.Constant) and value.value == name:
                return node
    raise Invalid(f"patch: expected a call of WindowFeatures with name={name!r}, found none; write it by hand")


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _into(
    call: ast.Call, keyword: str, members: Sequence[str], lines: Sequence[bytes]
) -> Iterator[tuple[int, int, str]]:
    """Where members are put into a tuple: before the parenthesis that ends it, and a comma after its last member."""
    value = next((given.value for given in call.keywords if given.arg == keyword), None)
    if not isinstance(value, ast.Tuple) or value.end_lineno is None or value.end_col_offset is None:
        raise Invalid(f"patch: expected {keyword} as a tuple in the call, found other code; write the features by hand")
    end = value.end_lineno - 1, value.end_col_offset - 1
    last = _end_of(value.elts[-1]) if value.elts else None
    comma = "," if last is not None and not _has_comma(lines, last, end) else ""
    if last is None or last[0] == end[0]:
        yield *end, f"{comma}\n{_rows(members)}    "
        return
    if comma:
        yield *last, comma
    yield end[0], 0, _rows(members)


def _end_of(node: ast.expr) -> tuple[int, int]:
    assert node.end_lineno is not None and node.end_col_offset is not None
    return node.end_lineno - 1, node.end_col_offset


def _has_comma(lines: Sequence[bytes], first: tuple[int, int], last: tuple[int, int]) -> bool:
    """Whether a comma stands between two places, outside of comments."""
    between = [*lines[first[0] : last[0]], lines[last[0]][: last[1]]]
    between[0] = between[0][first[1] :]
    return any(b"," in line.split(b"#")[0] for line in between)


def _imports(tree: ast.Module, added: str) -> tuple[int, list[str]]:
    """The line, from 0, before which imports that `added` needs are put, and these."""
    imported = [node for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import)]
    names = {alias.asname or alias.name for n in imported if isinstance(n, ast.ImportFrom) for alias in n.names}
    first = next((node.lineno - 1 for node in imported if getattr(node, "module", "") != "__future__"), 0)
    return first, _missing(added, names)


def _missing(code: str, names: Collection[str]) -> list[str]:
    """Imports that code needs besides `names`."""
    used = [name for name in IMPORTED if name not in names and re.search(rf"\b{name}\b", code)]
    return [f"from {IMPORTED[name]} import {name}" for name in used]

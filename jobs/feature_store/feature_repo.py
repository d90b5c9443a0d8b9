"""What the files of a feature repo say of a use case's features, read as text: Feast itself takes seconds to import.

Only what is written out there is known; how declarations are applied is in `jobs.feature_store.store`.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.use_case import UseCase

SERVICE, FIELD, ON_DEMAND = "FeatureService", "Field", "on_demand_feature_view"


def files(folder: Path) -> Mapping[Path, ast.Module]:
    """The Python files of a repo, parsed; of one with an error of syntax Feast says what is wrong with it."""
    parsed = {}
    for file in sorted(folder.glob("*.py")):
        try:
            parsed[file] = ast.parse(file.read_text())
        except (SyntaxError, ValueError):
            continue
    return parsed


def of_use_case(folder: Path, use_case: UseCase) -> Mapping[Path, ast.Module]:
    """The files that declare the use case's feature service."""
    return {file: tree for file, tree in files(folder).items() if use_case.feature_service in service_names(tree)}


def service_names(tree: ast.Module) -> set[str]:
    """Names of the feature services of a file, as far as they are written out or are those of a use case."""
    named = filter(None, (_argument(call, "name") for call in _calls(tree, SERVICE)))
    return {name for node in named if (name := _value(tree, node))}


def field_names(tree: ast.Module) -> set[str]:
    """Names of all fields that a file declares."""
    return {name for call in _calls(tree, FIELD) if (name := _text(_argument(call, "name")))}


def selected(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Features that a file selects of a view, `view[["a", "b"]]`, each with its line."""
    for node in _declaring(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.List):
            yield from ((text, each.lineno) for each in node.slice.elts if (text := _text(each)))


def on_demand_sentences(folder: Path, use_case: UseCase) -> dict[str, str]:
    """Feature -> sentence, of the features that views of the use case's service compute on demand."""
    trees = of_use_case(folder, use_case).values()
    declared = {name: text for function in use_case.request_features for name, text in function.outputs.items()}
    found = {name: text for tree in trees for view in _on_demand(tree) for name, text in _sentences(view)}
    return {name: declared.get(name, text) for name, text in found.items()}


def _on_demand(tree: ast.Module) -> Iterator[ast.Call]:
    """The declarations of on-demand views that a service of the file names."""
    served = {node.id for call in _calls(tree, SERVICE) for node in ast.walk(call) if isinstance(node, ast.Name)}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name in served:
            yield from (call for part in statement.decorator_list for call in _calls(part, ON_DEMAND))


def _sentences(view: ast.Call) -> Iterator[tuple[str, str]]:
    """Of one view, whose tags describe the features whose names they bear: Feast 0.67 refuses it on fields."""
    tags, schema = _argument(view, "tags"), _argument(view, "schema")
    described = {keyword.arg: _text(keyword.value) for keyword in tags.keywords} if isinstance(tags, ast.Call) else {}
    view_text = _text(_argument(view, "description")) or ""
    for call in _calls(schema, FIELD) if schema is not None else ():
        if name := _text(_argument(call, "name")):
            yield name, described.get(name) or f"Computed on demand: {view_text}".rstrip(": ")


def _declaring(tree: ast.Module) -> Iterator[ast.AST]:
    """Everything but the insides of functions."""
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            yield from (node for decorator in statement.decorator_list for node in ast.walk(decorator))
        else:
            yield from ast.walk(statement)


def _calls(tree: ast.AST, function: str) -> Iterator[ast.Call]:
    nodes = _declaring(tree) if isinstance(tree, ast.Module) else ast.walk(tree)
    return (node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", None) == function)


def _argument(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _value(tree: ast.Module, node: ast.expr) -> str | None:
    """A text that is written out, or `USE_CASE.feature_service` of a use case that the file imports, or makes of one by
    a function of it."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        found = getattr(_made(tree.body, node.value), node.attr, None)
        return found if isinstance(found, str) else None
    return _text(node)


def _made(before: Sequence[ast.stmt], node: ast.expr) -> Any:
    """What an import, an attribute of one, or a call of one with a single argument comes to, behind these statements;
    None of anything else."""
    if isinstance(node, ast.Attribute):
        return getattr(_made(before, node.value), node.attr, None)
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        function, argument = _made(before, node.func), _made(before, node.args[0])
        return None if function is None or argument is None else function(argument)
    if not isinstance(node, ast.Name):
        return None
    for place, statement in reversed(list(enumerate(before))):
        if isinstance(statement, ast.Assign) and any(_is_named(each, node.id) for each in statement.targets):
            return _made(before[:place], statement.value)
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == node.id:
                    return _imported(statement.module or "", alias.name)
    return None


def _imported(module: str, name: str) -> Any:
    """What `from module import name` finds."""
    owner = importlib.import_module(module)
    return getattr(owner, name) if hasattr(owner, name) else importlib.import_module(f"{module}.{name}")


def _is_named(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name

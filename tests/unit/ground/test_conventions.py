"""What all code keeps to, so that errors are readable and text from data is harmless."""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Iterator

from jobs.settings import ROOT

FILES = [
    file for part in ("jobs", "assets", "serving", "orchestration") for file in sorted((ROOT / part).rglob("*.py"))
]
OWN_PROTOCOL = (
    "jobs/setting_values.py", "jobs/path_alias.py", "jobs/secret.py", "jobs/alerts/channels.py",
    "jobs/feature_store/exact_integers.py", "jobs/home_version.py",
)  # fmt: skip
"""Their errors are for who calls them: `Variable.value` and `read_state`, which raise ones of ours; `channels.deliver`,
which records them; Feast, which expects those of its own mapping."""
MARKDOWN = ("assets/metadata.py", "assets/promotion.py", "assets/export.py", "assets/training.py")
"""What they make of Markdown goes through `jobs.display.markdown` first."""
BUILT_IN = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)}


@functools.cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Every file with each of its calls, classes and raised errors."""
    kinds = (ast.Call, ast.ClassDef, ast.Raise)
    trees = [(str(file.relative_to(ROOT)), ast.parse(file.read_text())) for file in FILES]
    return [(file, node) for file, tree in trees for node in ast.walk(tree) if isinstance(node, kinds)]


def called(node: ast.AST) -> str:
    """The name of what a node calls, with its module: `click.echo`."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def found(*wrong: str) -> Iterator[tuple[str, int]]:
    """Places where one of these names is called."""
    for file, node in nodes():
        if called(node) in wrong:
            yield file, getattr(node, "lineno", 0)


def test_every_error_is_one_that_a_person_can_mend() -> None:
    allowed = {"AssertionError", "NotImplementedError", "StopIteration"}
    wrong = []
    for file, node in nodes():
        name = called(node.exc) if isinstance(node, ast.Raise) and node.exc else ""
        if name in BUILT_IN - allowed and file not in OWN_PROTOCOL:
            wrong.append(f"{file}:{getattr(node, 'lineno', 0)} raises {name}")
        if isinstance(node, ast.ClassDef) and node.bases and ast.unparse(node.bases[0]) in BUILT_IN:
            wrong.append(f"{file}:{node.lineno} {node.name} derives from {ast.unparse(node.bases[0])}")
    assert [line for line in wrong if not line.startswith("jobs/errors.py")] == []


def test_commands_print_by_functions_that_escape_text() -> None:
    calls = found(
        "print", "click.echo", "click.secho", "Console", "sys.stdout.write", "sys.stderr.write", "console.print"
    )
    assert [place for place in calls if place[0] != "orchestration/printing.py"] == []


def test_nothing_is_rendered_as_markup() -> None:
    assert [str(file) for file in FILES if "rich.markup" in file.read_text()] == []


def test_markdown_is_made_where_text_is_escaped() -> None:
    calls = found("dg.MetadataValue.md", "MetadataValue.md")
    assert [place for place in calls if place[0] not in MARKDOWN] == []


def test_no_secret_is_revealed_where_commands_print() -> None:
    revealed = [str(file.relative_to(ROOT)) for file in FILES if ".reveal()" in file.read_text()]
    senders = ("jobs/", "serving/telemetry/otlp.py")  # which ask a server by its URL, and print nothing
    assert [file for file in revealed if not file.startswith(senders)] == []

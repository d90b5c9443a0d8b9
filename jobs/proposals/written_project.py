"""A proposal as a project: the folder that `evergreen init` makes, with the proposed use case and a test in it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from jobs.projects import new_project
from jobs.proposals.column_words import table_names
from jobs.proposals.declared_use_case import use_case_of
from jobs.proposals.proposal import Proposal
from jobs.proposals.source_text import WIDTH, SourceText, plain_text
from jobs.use_case import UseCase

_HEAD = '''"""{title}

{seen}
"""

{imports}

DATA = Path({path})
{constants}
'''
_INPUT = '''def data(folder: Path, progress: Progress | None = None) -> Mapping[str, Path]:
    """The file that this was proposed for, where it lies; give others by `--{option} FILE`."""
    if not DATA.exists():
        raise Invalid(f"{{DATA}}: expected the file that this was proposed for, found none; `--{option} FILE`")
    return {{{source}: DATA}}
'''
_TEST = '''"""What is declared holds together, and its file is there; add what must be true of your own data."""

from pathlib import Path

from use_cases.{name} import USE_CASE, data


def test_the_file_is_there(tmp_path: Path) -> None:
    assert all(path.exists() for path in data(tmp_path).values())


def test_windows_are_of_entities_of_the_event() -> None:
    assert {{key for windows in USE_CASE.windows for key in windows.keys}} <= set(USE_CASE.entities)
'''

refuse_place = new_project.refuse_place


def name_for(path: Path) -> str:
    """A name for the project of a file: as that is called, if a project can be called so."""
    stem = path.name.split(".")[0] or "table"
    name = table_names([stem])[stem]
    return f"{name}_project" if name in new_project.RESERVED else name


def source_for(path: Path) -> str:
    """The name of the source that a file is of."""
    name = name_for(path)
    return "events" if name in ("labels", "use_case", "problem", "data") else name


def write(proposal: Proposal, folder: Path) -> tuple[UseCase, list[Path]]:
    """Write the project. Returns the use case that its file declares, and its files.

    Raises Invalid if the folder holds something, or the name cannot be one of a project.
    """
    name, use_case = proposal.name, use_case_of(proposal)
    texts = {
        f"use_cases/{name}.py": use_case_text(proposal, use_case),
        f"tests/test_{name}.py": _TEST.format(name=name),
    }
    return use_case, new_project.create(folder, name, texts)


def use_case_text(proposal: Proposal, use_case: UseCase) -> str:
    """The file of the use case: what was seen as comments, then each declaration under a name of its own."""
    names = {id(source): _constant(source.name) for source in use_case.sources}
    names |= {id(windows): _constant(windows.name) for windows in use_case.windows}
    names |= {id(use_case.problem): "PROBLEM", id(use_case.default_input): "data"}
    shared = [c for c in proposal.labels.columns if c in proposal.events.columns] if proposal.declared.made_key else []
    names |= {id(column): f"{column.name.upper()}_COLUMN" for column in shared}
    writer = SourceText(names, _comments(proposal))
    parts = [writer.assigned(names[id(each)], each) for each in (*shared, *use_case.sources, *use_case.windows)]
    parts += [writer.assigned("PROBLEM", use_case.problem)] if use_case.problem else []
    parts.append("\n\n" + _INPUT.format(option=proposal.events.input, source=plain_text(proposal.events.input)))
    parts.append("\n" + writer.assigned("USE_CASE", use_case) + "\n")
    body = "\n".join(parts)
    return _head(proposal, body) + body


def _head(proposal: Proposal, body: str) -> str:
    table, plan = proposal.table, proposal.plan
    days = f"{plan.first:%Y-%m-%d} to {plan.last:%Y-%m-%d}"
    seen = f"Seen in {table.path.name}: {table.rows:,} rows of {len(table.columns)} columns, {days}."
    looks = "\n".join(textwrap.fill(f"- {text}", WIDTH, subsequent_indent="  ") for text in proposal.looks())
    said = "\n\n".join(filter(None, [seen, looks])).replace("\\", "\\\\").replace('"""', "'''")
    constants = [f"{name} = timedelta({unit}=1)" for name, unit in
                 (("DAY", "days"), ("HOUR", "hours"), ("SECOND", "seconds")) if _uses(body, name)]  # fmt: skip
    return _HEAD.format(
        title="Proposed by `evergreen propose`: look at what was seen, and change what you know better.", seen=said,
        imports=_imports(body), path=plain_text(str(table.path.absolute())), constants="\n".join(constants),
    ).rstrip("\n") + "\n\n"  # fmt: skip


def _imports(body: str) -> str:
    """The imports that a body needs, in the order that ruff has them in."""
    found = [
        "from collections.abc import Mapping",
        "from datetime import date, timedelta",
        "from pathlib import Path",
        "",
    ]
    modules = {
        "jobs.errors": ("Invalid",),
        "jobs.limits": ("Limits",),
        "jobs.problem": ("Family", "Problem", "Range", "Review"),
        "jobs.use_case": ("Column", "Progress", "Source", "UseCase"),
        "jobs.window_lengths": ("BEFORE",),
        "jobs.windows": ("Aggregate", "Ratio", "WindowFeatures"),
    }
    for module, known in modules.items():
        used = [name for name in known if _uses(body, name)]
        found += [f"from {module} import {', '.join(used)}"] if used else []
    return "\n".join(found)


def _uses(body: str, name: str) -> bool:
    code = "\n".join(line for line in body.splitlines() if not line.lstrip().startswith("#"))
    return re.search(rf"\b{name}\b", re.sub(r'"[^"]*"', "", code)) is not None


def _comments(proposal: Proposal) -> dict[int, str]:
    """What was seen of each column, above its declaration."""
    found = {}
    for column in proposal.table.columns:
        declared = proposal.declared.columns.get(column.name)
        if declared is not None:
            found[id(declared)] = f"{proposal.role(column)}: {proposal.why(column)}"
    return found


def _constant(name: str) -> str:
    return name.upper()

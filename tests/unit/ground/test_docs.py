"""The pages say what is true: links lead somewhere, what they name exists, and the rooms are those of the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from jobs.settings import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
MODULE = re.compile(r"`((?:jobs|assets|orchestration|tests|bench|tools|serving)/[\w/.*-]+)`")
DOTTED = re.compile(r"\b(?:from (jobs[\w.]*) import ([\w, ]+)|`(jobs\.[\w.]+)`)")
COMMAND = re.compile(r"(?:^|`)evergreen ((?:[a-z]+ ?)+)", re.MULTILINE)


def page_ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_page_holds_both_sides_of_a_merge() -> None:
    lines = [(page.name, line) for page in PAGES for line in page.read_text().splitlines()]
    assert [line for line in lines if re.match(r"(<{7}|>{7})( |$)|={7}$", line[1])] == []


@pytest.mark.parametrize("page", PAGES, ids=page_ids)
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=page_ids)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = [name.split("::")[0] for name in MODULE.findall(page.read_text()) if not re.search(r"[A-Z]{3}", name)]
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


@pytest.mark.parametrize("page", PAGES, ids=page_ids)
def test_modules_and_functions_that_a_page_names_exist(page: Path) -> None:
    named = []
    for module, names, dotted in DOTTED.findall(page.read_text()):
        named += [f"{module}.{name.split(' as ')[0].strip()}" for name in names.split(",")] if module else [dotted]
    assert [name for name in named if not defined(name)] == []


def defined(dotted: str) -> bool:
    """Whether a module, or a name that a module defines, has this dotted name."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        if length == len(parts) and path.is_dir():
            return True
        if (source := path.with_suffix(".py")).exists():
            names = parts[length:]
            return all(re.search(rf"\b{re.escape(name)}\b", source.read_text()) for name in names)
    return False


@pytest.mark.parametrize("page", PAGES, ids=page_ids)
def test_commands_that_a_page_names_exist(page: Path) -> None:
    from orchestration.cli import main

    unknown = []
    for words in COMMAND.findall(page.read_text()):
        command: click.Command = main
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            if word not in command.commands:
                unknown.append(words.strip())
                break
            command = command.commands[word]
    assert not unknown


def test_every_page_is_linked_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in LINK.findall(index.read_text())}
    pages = {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - {index.resolve()}
    assert sorted(str(page.relative_to(ROOT)) for page in pages - linked if page.parent.name != "benchmarks") == []


def test_the_rooms_of_the_architecture_page_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms = next(contract["layers"] for contract in contracts if contract.get("containers") == ["jobs"])
    layers = [set(re.findall(r"\w+", layer)) for layer in rooms]
    described: dict[int, set[str]] = {}
    for layer, room in re.findall(r"^\| (\d+) \| `?([\w/]+)`? \|", (ROOT / "docs/architecture.md").read_text(), re.M):
        described.setdefault(int(layer), set()).add(room.rstrip("/"))
    for layer, modules in re.findall(r"^\| (\d) \| ground \| (.+?):", page_text(), re.M):
        described[int(layer)] = set(re.findall(r"`(\w+)`", modules))
    assert [described[n] for n in sorted(described, reverse=True)] == layers


def page_text() -> str:
    return (ROOT / "docs" / "architecture.md").read_text()

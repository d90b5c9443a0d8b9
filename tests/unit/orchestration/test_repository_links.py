"""Code references lead to files that exist, and to a server only where it is sure to have that very line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dagster as dg
import pytest

from assets import code_references
from jobs import settings as settings_module
from jobs.settings import ROOT
from jobs.use_cases.fraud import CUSTOMER_WINDOWS, FRAUD, TRANSACTIONS
from orchestration import definitions, repository_links
from orchestration.repository_links import repository


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose one commit its remote has."""
    git(tmp_path, "init", "--bare", "remote")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "remote", "clone")
    (clone / "a b.py").write_text("one = 1\n")
    git(clone, "add", ".")
    git(clone, "commit", "-m", "one")
    git(clone, "push", "origin", "HEAD:main")
    git(clone, "fetch")
    return clone


def named(clone: Path, url: str) -> Path:
    git(clone, "config", "remote.origin.url", url)
    return clone


def test_every_asset_leads_to_files_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_links, "repository", lambda folder: None)
    home = settings_module.load({"EVERGREEN_HOME": str(tmp_path)})
    specs = definitions.build_definitions(settings=home).resolve_all_asset_specs()
    files: dict[str, list[tuple[str, int | None]]] = {
        spec.key.to_user_string(): [
            (each.file_path, each.line_number)
            for each in code_references.of(spec.metadata)
            if isinstance(each, dg.LocalFileCodeReference)
        ]
        for spec in specs
    }
    assert [name for name, found in files.items() if not found] == []
    for name, found in files.items():
        for file, line in found:
            assert Path(file).is_file() and Path(file).is_relative_to(ROOT), (name, file)
            assert (line or 0) <= len(Path(file).read_text().splitlines()), (name, file, line)
    lines = {name: [Path(file).read_text().splitlines()[(n or 1) - 1] for file, n in files[name]] for name in files}
    assert lines["fraud/raw/transactions"] == ["TRANSACTIONS = Source(", "    @asset("]
    assert lines["fraud/features/customer_windows"][0] == "CUSTOMER_WINDOWS = WindowFeatures("
    assert lines["fraud/training/candidate"][0] == "FRAUD = UseCase("
    models = [Path(file).name for file, _ in files["fraud/marts/labels"]]
    assert models == ["fraud__labels.sql", "_fraud_marts.yml"]


def test_a_place_is_no_part_of_the_value() -> None:
    assert TRANSACTIONS.declared_at.file == FRAUD.declared_at.file == CUSTOMER_WINDOWS.declared_at.file
    assert "declared_at" not in repr(FRAUD)


@pytest.mark.parametrize(
    ("url", "pages"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b/tree/"),
        ("https://user:secret@github.com/a/b", "https://github.com/a/b/tree/"),
        ("git@github.com:a/b.git", "https://github.com/a/b/tree/"),
        ("ssh://git@gitlab.example.org:2222/a/b/c.git", "https://gitlab.example.org/a/b/c/-/tree/"),
    ],
)
def test_a_pushed_file_is_a_link_to_its_commit(clone: Path, url: str, pages: str) -> None:
    found = repository(named(clone, url))
    assert found is not None
    link = found.link(clone.resolve() / "a b.py")
    assert link is not None and link.startswith(pages) and link.endswith("/a%20b.py") and "secret" not in link


def test_what_the_server_does_not_have_stays_a_file(clone: Path, tmp_path: Path) -> None:
    url = "https://github.com/a/b.git"
    (clone / "new.py").write_text("")
    found = repository(named(clone, url))
    assert found is not None and found.link(clone.resolve() / "new.py") is None
    assert found.link(tmp_path / "elsewhere.py") is None
    (clone / "a b.py").write_text("one = 2\n")
    changed = repository(clone)
    assert changed is not None and changed.link(clone.resolve() / "a b.py") is None
    git(clone, "commit", "-am", "two")
    assert repository(clone) is None, "the commit is not pushed"


def test_a_clone_without_such_a_server_has_files(clone: Path, tmp_path: Path) -> None:
    assert repository(clone) is None, "the remote is a folder"
    assert repository(named(clone, "https://code.example.org/a/b.git")) is None
    git(clone, "remote", "remove", "origin")
    assert repository(clone) is None
    assert repository(tmp_path / "nowhere") is None

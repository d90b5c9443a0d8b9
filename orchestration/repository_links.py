"""Links to code in the repository's web pages, for those who open the UI from another machine.

A file becomes a link only if the server is sure to have that very line: the commit is pushed to GitHub or GitLab, and
the file is not changed since. All other references stay files; so do all of a clone without a remote.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import dagster as dg

from assets import code_references

SECONDS = 10
REMOTE = re.compile(
    r"^(?:https?://|ssh://)?(?:[^/@]*@)?(?P<host>[\w.-]+)(?::\d+)?[:/]+(?P<path>[\w./~-]+?)(?:\.git)?/?$"
)
"""URL of a remote, as git writes it: the user and the password before the host are left out."""
TREES = {"github": "tree", "gitlab": "-/tree"}


@dataclass(frozen=True)
class Repository:
    """A clone whose commit a server has."""

    root: Path
    pages: str
    """URL of the commit's files."""
    changed: frozenset[str]
    """Files that are not as they are in the commit, relative to `root`."""

    def link(self, file: Path) -> str | None:
        """URL of a file; None if the server may have another one."""
        if not file.is_relative_to(self.root):
            return None
        path = file.relative_to(self.root).as_posix()
        return None if path in self.changed else f"{self.pages}/{quote(path)}"


def repository(folder: Path) -> Repository | None:
    """The clone that `folder` is in; None if no server is known to have its commit."""
    root, commit = _git(folder, "rev-parse", "--show-toplevel"), _git(folder, "rev-parse", "HEAD")
    branch = _git(folder, "for-each-ref", "--count=1", "--format=%(refname:lstrip=2)", f"--contains={commit}",
                  "refs/remotes") if commit else ""  # fmt: skip
    if not root or not branch:
        return None
    url = REMOTE.match(_git(folder, "config", "--get", f"remote.{branch.split('/')[0]}.url"))
    tree = next((t for name, t in TREES.items() if url and name in url["host"]), None)
    if url is None or tree is None:
        return None
    untouched = _git(folder, "-c", "core.quotepath=off", "status", "--porcelain=v1", "-z", "--no-renames", root)
    changed = frozenset(line[3:] for line in untouched.split("\0") if line)
    return Repository(Path(root), f"https://{url['host']}/{url['path'].strip('/')}/{tree}/{commit}", changed)


def linked(assets: Sequence[dg.AssetsDefinition], folder: Path) -> list[dg.AssetsDefinition]:
    """The same assets, whose code references are links where the server of the clone has the file."""
    clone = repository(folder)
    return list(assets) if clone is None else [each.map_asset_specs(lambda spec: _spec(spec, clone)) for each in assets]


def _spec(spec: dg.AssetSpec, clone: Repository) -> dg.AssetSpec:
    found = [_reference(each, clone) for each in code_references.of(spec.metadata)]
    if not found:
        return spec
    value = dg.CodeReferencesMetadataValue(code_references=found)
    return spec.replace_attributes(metadata={**spec.metadata, code_references.KEY: value})


def _reference(
    each: dg.LocalFileCodeReference | dg.UrlCodeReference, clone: Repository
) -> dg.LocalFileCodeReference | dg.UrlCodeReference:
    url = clone.link(Path(each.file_path).resolve()) if isinstance(each, dg.LocalFileCodeReference) else None
    if url is None or not isinstance(each, dg.LocalFileCodeReference):
        return each
    return dg.UrlCodeReference(url=f"{url}#L{each.line_number}" if each.line_number else url, label=each.label)


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; empty where there is no git, no repository or no such thing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.rstrip("\n")

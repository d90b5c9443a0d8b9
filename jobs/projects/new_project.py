"""A folder that is a project of one's own, with a use case to start from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jobs.errors import Invalid
from jobs.project_file import FILE

TEMPLATE = Path(__file__).parent / "template"
_NAME = "NAME"
_NAMES = {"gitignore": ".gitignore"}
RESERVED = ("jobs", "assets", "serving", "orchestration", "use_cases", "fraud", "returns", "evergreen")
"""Names of packages, of built-in use cases, and of dbt's project."""


def create(folder: Path, name: str, instead: Mapping[str, str] | None = None) -> list[Path]:
    """Write the folder. Returns its files.

    Args:
        instead: texts that take the place of those of the template; path in the folder -> text.

    Raises:
        Invalid: the name cannot be one of tables and modules, or the folder holds something.
    """
    refuse_place(folder, name)
    written = []
    for relative, text in (_template(name) | dict(instead or {})).items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
        written.append(target)
    assert folder / FILE in written
    return written


def refuse_place(folder: Path, name: str) -> None:
    """Raise Invalid if no project of this name can be made there."""
    if not (name.isidentifier() and name.isascii() and name == name.lower()) or name in RESERVED:
        raise Invalid(
            f"expected a name of a-z, 0-9 and _ that begins with a letter and is none of {', '.join(RESERVED)}, "
            f"found {name!r}; take another one"
        )
    if folder.exists() and any(folder.iterdir()):
        raise Invalid(f"expected a new or an empty folder, found {folder} with files; name another one")


def _template(name: str) -> dict[str, str]:
    """Path in the folder -> text."""
    found = {}
    for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        # Templates end in .txt, so that no tool takes them for code of this package.
        relative = str(source.relative_to(TEMPLATE)).removesuffix(".txt").replace(_NAME, name)
        found[_NAMES.get(relative, relative)] = source.read_text("utf-8").replace(_NAME, name)
    return found

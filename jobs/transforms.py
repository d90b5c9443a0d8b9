"""Running dbt against the shared engine session: its environment, its manifest, its leftovers. No SQL here."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from pyarrow import fs

from jobs import engine
from jobs.lakehouse import Lakehouse
from jobs.settings import Settings, exported
from jobs.use_case import UseCase

SCRATCH = "_merge"
PARSED = ("*.sql", "*.yml", "*.yaml", "*.csv", "*.md")


class DbtProjectError(RuntimeError):
    """The dbt project cannot be parsed."""


@contextlib.contextmanager
def session(lakehouse: Lakehouse, use_case: UseCase) -> Iterator[None]:
    """Inside, dbt finds the engine's shared session, with all tables registered, and the warehouse."""
    for schema in (use_case.name, f"{use_case.name}_staging"):
        lakehouse.spark.sql(f"create schema if not exists {schema}")
    with exported(SPARK_REMOTE=engine.url(lakehouse.settings), EVERGREEN_WAREHOUSE=lakehouse.warehouse):
        try:
            yield
        finally:
            _sweep(f"{lakehouse.warehouse.rstrip('/')}/{SCRATCH}")


def _sweep(folder: str) -> None:
    """Empty what `macros/merge.sql` wrote down."""
    if "://" not in folder:
        shutil.rmtree(folder, ignore_errors=True)
        return
    store, path = fs.FileSystem.from_uri(folder)
    with contextlib.suppress(FileNotFoundError):
        store.delete_dir(path)


def fingerprint(project: Path) -> str:
    """Hash of everything dbt parses in a project."""
    digest = hashlib.sha256()
    for path in sorted(p for pattern in PARSED for p in project.rglob(pattern)):
        digest.update(str(path.relative_to(project)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def manifest(settings: Settings) -> Path:
    """The manifest of the dbt project as it is now; parsed only if a file of it changed.

    Raises DbtProjectError with dbt's own message if the project does not parse.
    """
    parsed = settings.home / "dbt" / f"manifest-{fingerprint(settings.dbt_project)}.json"
    if parsed.exists():
        return parsed
    from dbt.cli.main import dbtRunner

    target = settings.home / "dbt" / "parse"
    options = ["--project-dir", settings.dbt_project, "--profiles-dir", settings.dbt_project, "--target-path", target]
    options += ["--log-path", target, "--quiet"]
    with exported(EVERGREEN_WAREHOUSE=settings.warehouse):
        result = dbtRunner().invoke(["parse", *map(str, options)])
    if not result.success:
        raise DbtProjectError(f"dbt parse failed: {result.exception or 'see ' + str(target / 'dbt.log')}")
    (target / "manifest.json").replace(parsed)
    return parsed

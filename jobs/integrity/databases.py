"""The SQLite files of a home: whether each is a whole database. Servers look after their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from jobs.error_messages import in_words
from jobs.integrity.finding import Finding, HomeDamaged
from jobs.settings import Settings

PATIENCE_SECONDS = 30.0
QUICK_BYTES = 64_000_000
"""The largest file that is looked through before every run: a tenth of a second of it."""
INDEX = "index.db"
"""Dagster's events of all runs; beside it are those of each run."""
DECISIVE = ("ledger", "registry")
PREDICTIONS, ONLINE_STORE, RUNS = "predictions", "online", "runs"


def check_databases(settings: Settings, use_case: str, deep: bool = True) -> Iterator[Finding]:
    """Findings in the databases of a home, as far as they are SQLite; not `deep`: in those that every run opens, and
    of large ones only what shows without reading all of them."""
    for name, files in database_files(settings).items():
        mend = f"evergreen repair {name}{f' --use-case {use_case}' if name in DECISIVE else ''}"
        yield from _findings(name, files, mend, deep)


def _findings(name: str, files: Sequence[Path], mend: str, deep: bool) -> Iterator[Finding]:
    for file in files:
        if not deep and _is_of_one_run(file):
            continue
        if file.exists() and (damage := _damage(name, file, deep)):
            yield Finding(f"{name}: {file}", f"expected a whole SQLite database, found {damage}", mend)


def require_whole_runs(settings: Settings) -> None:
    """Raises HomeDamaged if a database of Dagster's, which every command with a run opens, is damaged."""
    if found := list(_findings(RUNS, database_files(settings)[RUNS], f"evergreen repair {RUNS}", deep=False)):
        raise HomeDamaged(found)


def _damage(name: str, file: Path, deep: bool = True) -> str | None:
    """What is wrong; nothing about a ledger or registry without tables, whose rows are looked at anyhow."""
    if damage := damage_of(file, deep):
        return damage
    # A run makes good what is empty, and a killed one may leave its own events empty.
    may_be_empty = not deep or name in DECISIVE or _is_of_one_run(file)
    return None if may_be_empty or not is_empty(file) else "no table in it"


def _is_of_one_run(file: Path) -> bool:
    return file.parent.name == "runs" and file.name != INDEX


def damaged_files(settings: Settings, name: str) -> list[Path]:
    """The damaged ones of a database that is written from others."""
    return [file for file in database_files(settings)[name] if file.exists() and _damage(name, file)]


def database_files(settings: Settings) -> dict[str, list[Path]]:
    """What `evergreen repair` calls a database -> its SQLite files, whether they exist or not."""
    runs = settings.dagster_home
    files: dict[str, list[Path | None]] = {
        "ledger": [ledger_file(settings)],
        "registry": [tracking_file(settings)],
        PREDICTIONS: [None if settings.predictions_url else settings.serving / "predictions.sqlite"],
        ONLINE_STORE: [None if settings.online_store_url else settings.home / "feast" / "online.db"],
        RUNS: [*sorted((runs / "history").rglob("*.db")), runs / "schedules" / "schedules.db"],
    }
    return {name: [file for file in found if file is not None] for name, found in files.items()}


def ledger_file(settings: Settings) -> Path | None:
    """The ledger's SQLite file; None if the ledger is on a server."""
    return None if settings.ledger_url else settings.home / "ledger.sqlite"


def tracking_file(settings: Settings) -> Path | None:
    """MLflow's SQLite file; None if tracking is elsewhere."""
    return None if settings.tracking else settings.home / "tracking" / "mlflow.db"


def damage_of(file: Path, deep: bool = True) -> str | None:
    """What is wrong with a SQLite file; None: nothing. Raises OperationalError if another program keeps it locked.

    Not `deep`: indexes are not compared with their tables, which takes ten times as long, and of a large file only the
    header and the number of pages are looked at.
    """
    check = "integrity_check" if deep else "quick_check"
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)) as connection:
            if not deep and file.stat().st_size > QUICK_BYTES:
                connection.execute("select count(*) from sqlite_master").fetchone()
                return None
            said = connection.execute(f"pragma {check}(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise  # a repair would move a whole database away
        return in_words(error)
    return None if said == "ok" else "pages or indexes that contradict each other"


def is_empty(file: Path) -> bool:
    """Whether a whole database has no table."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)) as connection:
        return not connection.execute("select count(*) from sqlite_master").fetchone()[0]


def aside(file: Path) -> Path:
    """Rename a damaged database, with what SQLite keeps beside it; returns its new name."""
    target = next(p for n in range(1, 10_000) if not (p := file.with_name(f"{file.name}.damaged-{n}")).exists())
    for suffix in ("-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    return file.rename(target)

"""The SQLite files of a home: whether each is a whole database. Servers look after their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from jobs.error_messages import in_words
from jobs.integrity.finding import Finding
from jobs.settings import Settings

PATIENCE_SECONDS = 30.0


def check_databases(settings: Settings, use_case: str) -> Iterator[Finding]:
    """Findings in the databases of ledger and tracking, as far as they are SQLite in the home."""
    databases = {
        "ledger": ledger_file(settings),
        "registry": tracking_file(settings),
    }
    for name, file in databases.items():
        if file is not None and file.exists() and (damage := damage_of(file)):
            mend = f"evergreen repair {name} --use-case {use_case}"
            yield Finding(f"{name}: {file}", f"expected a whole SQLite database, found {damage}", mend)


def ledger_file(settings: Settings) -> Path | None:
    """The ledger's SQLite file; None if the ledger is on a server."""
    return None if settings.ledger_url else settings.home / "ledger.sqlite"


def tracking_file(settings: Settings) -> Path | None:
    """MLflow's SQLite file; None if tracking is elsewhere."""
    return None if settings.tracking else settings.home / "tracking" / "mlflow.db"


def damage_of(file: Path) -> str | None:
    """What is wrong with a SQLite file; None: nothing. Raises OperationalError if another program keeps it locked."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)) as connection:
            said = connection.execute("pragma integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise  # a repair would move a whole database away
        return in_words(error)
    return None if said == "ok" else "pages or indexes that contradict each other"

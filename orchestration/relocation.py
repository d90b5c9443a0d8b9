"""What a home stores about its own folder, written anew once the home was copied or moved.

Without it a copy would write into the home that it was copied from: events through `dagster.yaml`, models through
MLflow's database, and tables through the other home's engine. Files outside the home are where they were.
"""

import json
import re
from pathlib import Path

from jobs.settings import Settings
from jobs.state_files import file_lock, replace_bytes

HISTORY = re.compile(r'base_dir: ("?)(?P<home>.*?)(?P<place>/dagster(?:/history/runs)?)\1(?=[\s},]|$)')
"""The line of `dagster.yaml` that names the home: the last one to be written anew, so a killed run starts again."""
ARTIFACTS = (("experiments", "artifact_location"), ("runs", "artifact_uri"))
"""Columns of MLflow's database that hold the URL of a folder."""


def with_history(configuration: str, home: Path) -> str:
    """The text of a `dagster.yaml` whose files lie in `home`, unless they lie outside of any home."""

    def own(found: re.Match[str]) -> str:
        return "base_dir: " + json.dumps(f"{home}{found['place']}", ensure_ascii=False)

    return HISTORY.sub(own, configuration)


def settle(settings: Settings) -> None:
    """Make the home its own if it was copied or moved since it was last used; otherwise change nothing."""
    if _former(settings) is None:
        return
    with file_lock(settings.home / "locks" / "relocation.lock"):
        if former := _former(settings):
            (settings.home / "engine" / "server.json").unlink(missing_ok=True)
            _move_inputs(settings, former)
            _move_artifacts(settings, former)
            configuration = settings.dagster_home / "dagster.yaml"
            replace_bytes(configuration, with_history(configuration.read_text(), settings.home).encode())


def _former(settings: Settings) -> Path | None:
    """Where the home was when it was last used; None if it is still there, under this name or another."""
    configuration = settings.dagster_home / "dagster.yaml"
    recorded = HISTORY.search(configuration.read_text(errors="replace")) if configuration.exists() else None
    former = Path(recorded["home"]) if recorded else settings.home
    same = former == settings.home or (former.exists() and former.samefile(settings.home))
    return None if same else former


def _move_inputs(settings: Settings, former: Path) -> None:
    """Registered input files that lie in the home: built-in input, verdicts of reviewers."""
    before, after = (json.dumps(f"{home}/")[:-1] for home in (former, settings.home))
    for file in settings.state.glob("*/inputs.json"):
        replace_bytes(file, file.read_text().replace(before, after).encode())


def _move_artifacts(settings: Settings, former: Path) -> None:
    """Files of MLflow's experiments and runs."""
    import sqlite3
    from contextlib import closing

    database = settings.home / "tracking" / "mlflow.db"
    if not database.exists():
        return
    before, after = (f"{home.as_uri()}/" for home in (former, settings.home))
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master")}
        for table, column in ARTIFACTS:
            if table in tables:
                update = f"update {table} set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ?"
                connection.execute(update, (after, len(before) + 1, len(before), before))

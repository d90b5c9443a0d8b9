"""Verdicts that the decision service took, as inputs of the labels' source: a file for each day, like those of people.

Files are made of the table (`jobs.scoring.live_verdicts`), which has each verdict once: a death on the way, or the same
day again, makes the same file. A stream that reads the service's log brings the same rows, which count once
(`jobs.ingest.row_versions`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from jobs.actions import verdicts
from jobs.actions.verdicts import VERDICTS
from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import verdict_folder
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring import live_verdicts
from jobs.scoring.live_verdicts import MOMENT, VERDICT
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_bytes, replace_json
from jobs.use_case import UseCase


def register(lakehouse: Lakehouse, use_case: UseCase) -> int:
    """Make new verdicts input of the next run. Returns how many files were written.

    Without registered files there is nothing to join; they wait until there are some.

    Raises InputError if labels have no files of their own that verdicts could join.
    """
    settings, version = lakehouse.settings, lakehouse.version(live_verdicts.table(use_case))
    if version is None:
        return 0
    with registered_inputs.locked(settings, use_case):
        memory = settings.state / use_case.name / "live_verdicts.json"
        last = read_memory(memory, lambda kept: (int(kept["version"]), date.fromisoformat(kept["day"])))
        inputs = registered_inputs.registered(settings, use_case)
        if inputs is None or (last is not None and last[0] == version):
            return 0
        verdicts.label_source(use_case, inputs)
        found = live_verdicts.since(lakehouse, use_case, date.min if last is None else last[1])
        days = [] if found is None else pc.unique(found[PARTITION]).to_pylist()
        texts = {day: _text(use_case, inputs, found, day) for day in days}
        written = sum(_is_written(settings, use_case, day, text) for day, text in texts.items() if text is not None)
        registered_inputs.register(settings, use_case, verdicts.joined(settings, use_case, inputs))
        if days:
            replace_json(memory, {"version": version, "day": max(days)})
    return written


def _text(use_case: UseCase, inputs: registered_inputs.Inputs, found: pa.Table, day: date) -> str | None:
    """The verdicts of a day as a file; None if nobody could say anything."""
    of_day = found.filter(pc.equal(found[PARTITION], pa.scalar(day)))
    columns = (of_day[name].to_pylist() for name in (use_case.event_id, VERDICT, MOMENT))
    rows = [(str(id), VERDICTS[word], at) for id, word, at in zip(*columns, strict=True) if word in VERDICTS]
    return verdicts.as_reports(rows, use_case, verdicts.label_source(use_case, inputs), inputs) if rows else None


def _is_written(settings: Settings, use_case: UseCase, day: date, text: str) -> bool:
    """Whether the file of a day had to be written."""
    path: Path = verdict_folder(settings, use_case) / f"live-{day.isoformat()}.csv"
    if path.exists() and path.read_bytes() == text.encode():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_bytes(path, text.encode())
    return True

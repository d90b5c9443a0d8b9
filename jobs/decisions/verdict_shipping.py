"""Verdicts of reviewers on their way from the log to the table of `jobs.scoring.live_verdicts`: each once, by stamp."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa

from jobs.decisions import appended_once, log_contents
from jobs.decisions.log_contents import TOLD, UNSURE, LabelCame, Unsure
from jobs.lakehouse.tables import Lakehouse
from jobs.online.log_records import Record
from jobs.scoring import live_verdicts
from jobs.scoring.live_verdicts import MOMENT
from jobs.scoring.prediction_log import TIME
from jobs.times import MICROSECONDS_A_DAY
from jobs.use_case import UseCase

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()


class LoggedVerdict(NamedTuple):
    """A verdict in its place in the log."""

    stamp: int
    content: LabelCame | Unsure


def of(records: Iterable[Record]) -> list[LoggedVerdict]:
    """The verdicts among some records."""
    kinds = (f"{TOLD}/", f"{UNSURE}/")
    told = ((record.stamp, log_contents.decode(record.content)) for record in records if record.id.startswith(kinds))
    return [
        LoggedVerdict(stamp, content)
        for stamp, content in told
        if isinstance(content, Unsure) or (isinstance(content, LabelCame) and content.reviewer is not None)
    ]


def write(lakehouse: Lakehouse, use_case: UseCase, verdicts: Sequence[LoggedVerdict], id_type: pa.DataType) -> int:
    """Append those that are not there yet; returns how many they were."""
    wanted = live_verdicts.schema(use_case, id_type)
    stamps = pa.array([each.stamp for each in verdicts], pa.int64()).cast(TIME)
    columns = [
        [each.content.id for each in verdicts],
        stamps,
        [_word(use_case, each.content) for each in verdicts],
        [each.content.reviewer for each in verdicts],
        [_EPOCH + timedelta(days=each.stamp // MICROSECONDS_A_DAY) for each in verdicts],
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, wanted, strict=True)]
    return appended_once.append(lakehouse, live_verdicts.table(use_case), pa.table(arrays, wanted), [MOMENT])


def _word(use_case: UseCase, content: LabelCame | Unsure) -> str:
    if isinstance(content, Unsure):
        return "unsure"
    return "positive" if content.values[use_case.label] else "negative"

"""Labels kept out of the features of their own events, whatever the times that a file gives them.

A label says what became of its event, so nobody knows it at the time of the event, and no target at that time may
count it. Needs numpy and pyarrow only, see `jobs.features.window_kernel`.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Ints
from jobs.features.clock import DECIDED_AT, integers, micros, moments
from jobs.windows import WindowFeatures


def known_after_events(features: WindowFeatures, events: pa.Table, labels: pa.Table) -> pa.Table:
    """`labels` without what they would say at the time of their own events; tables as of `window_kernel.compute`.

    A label is known a microsecond after the event time that it bears at the earliest. An event that was moved, or that
    bears the moment of its decision, was decided about at another time: there the label is superseded for a
    microsecond, which takes its id to find.
    """
    labels = _known_after(labels, features.event_timestamp)
    if features.id not in labels.column_names or not labels.num_rows:
        return labels
    decided = _decided_at(features, events, labels)
    known, gone = micros(labels, "known_at"), integers(labels.column("superseded_at"))
    apart = (known <= decided) & (decided < gone)
    if not apart.any():
        return labels
    theirs, at = labels.filter(pa.array(apart)), decided[apart]
    before, after = _with_times(theirs, "superseded_at", at), _with_times(theirs, "known_at", at + 1)
    return pa.concat_tables([labels.filter(pa.array(~apart)), before, after])


def _known_after(labels: pa.Table, event_timestamp: str) -> pa.Table:
    known, earliest = micros(labels, "known_at"), micros(labels, event_timestamp) + 1
    return _with_times(labels, "known_at", np.maximum(known, earliest)) if (known < earliest).any() else labels


def _decided_at(features: WindowFeatures, events: pa.Table, labels: pa.Table) -> Ints:
    """For each label the moment for which its event is a target; of none the beginning of time."""
    columns = [features.id, features.event_timestamp, *({DECIDED_AT} & set(events.column_names))]
    targets = events.select(columns).filter(events.column("is_target"))
    place = pc.index_in(labels.column(features.id), value_set=targets.column(features.id), skip_nulls=True)
    at = moments(targets, micros(targets, features.event_timestamp))
    times = np.append(at, np.iinfo(np.int64).min)
    decided: Ints = times[place.fill_null(targets.num_rows).to_numpy()]
    return decided


def _with_times(table: pa.Table, name: str, times: Ints) -> pa.Table:
    kind = table.schema.field(name).type
    return table.set_column(
        table.column_names.index(name), name, pa.array(times).cast(pa.timestamp("us", kind.tz)).cast(kind)
    )

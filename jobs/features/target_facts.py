"""The facts from which some targets of a window table are computed: of which days, and of which entities."""

from datetime import date, timedelta
from typing import NamedTuple

from jobs.features import fact_frames
from jobs.features.fact_frames import Frame
from jobs.features.reached_targets import Targets
from jobs.features.update_inputs import FACTS, Inputs
from jobs.lakehouse.tables import of_days


class Facts(NamedTuple):
    """Frames of what one computation reads."""

    events: Frame
    """With `is_target`."""
    labels: Frame | None
    facts: Frame | None = None
    """What counts in the place of the events."""

    def counted(self) -> tuple[int, int]:
        """How many rows there are, and how many targets among them."""
        rows, targets = fact_frames.counted(self.events)
        return rows + (0 if self.facts is None else fact_frames.count(self.facts)), targets


def facts_of(inputs: Inputs, targets: Targets | None) -> Facts:
    """The facts that these targets (None: all there are) may count, and the targets themselves."""
    time, frames = inputs.features.event_timestamp, inputs.frames
    known = {kind: fact_frames.known(rows, time, inputs.as_of) for kind, rows in frames.items()}
    events, labels = known["events"], known.get("labels")
    if FACTS in known:
        return _apart(inputs, events, known[FACTS], targets)
    if targets is None:
        return Facts(fact_frames.held(inputs.features, fact_frames.marked(events, "version = 1")), labels)
    marked = _marked(inputs, events, targets)
    first, last = _span(inputs, marked, targets.days)
    if labels is not None:
        # Not by the partition: a corrected event may have moved away from its label's.
        labels = fact_frames.since(labels, time, first)
    near = fact_frames.held(inputs.features, fact_frames.between(marked, first, last))
    return Facts(near, labels) if targets.ids is None else _of_entities(inputs, near, labels)


def _apart(inputs: Inputs, events: Frame, facts: Frame, targets: Targets | None) -> Facts:
    """Targets that are no facts themselves, and the facts that they may count."""
    features = inputs.features
    if targets is None:
        marked = fact_frames.targets(fact_frames.marked(events, "version = 1"))
        return Facts(fact_frames.held(features, marked), None, fact_frames.held_facts(features, facts))
    marked = fact_frames.held(features, fact_frames.targets(_marked(inputs, events, targets)))
    first, last = _span(inputs, marked, targets.days)
    facts = fact_frames.between(facts, first, last)
    if targets.ids is not None:
        keys = list(features.keys)
        facts = fact_frames.of_entities(facts, marked.select(keys), keys)
    return Facts(marked, None, fact_frames.held_facts(features, facts))


def _marked(inputs: Inputs, events: Frame, targets: Targets) -> Frame:
    marked = fact_frames.marked(events, f"version = 1 and {of_days(targets.days)}")
    return marked if targets.ids is None else fact_frames.unmarked_but(marked, inputs.features.id, targets.ids)


def _span(inputs: Inputs, events: Frame, days: tuple[date, ...]) -> tuple[date, date]:
    """First and last day of the events that targets of these days may count, and of the targets."""
    features, before = inputs.features, inputs.features.history + timedelta(days=1)
    targets = fact_frames.targets(fact_frames.between(events, days[0], days[-1]))
    ends = fact_frames.span(targets, fact_frames.moment(targets, features.event_timestamp))
    if ends is None:
        return days[0], days[-1]
    first, last = min(days[0], ends[0].date() - before), max(days[-1], ends[1].date())
    return (_before_ratios(inputs, events, first, last) if features.ratios else first), last


def _before_ratios(inputs: Inputs, events: Frame, first: date, last: date) -> date:
    """The first day if ratios of events are counted that were decided before they happened, as a clock was fast.

    Their levels look back from the decision, and so may the levels of what these count.
    """
    time, reaches = inputs.features.event_timestamp, first
    while True:
        ahead = fact_frames.decided_ahead(fact_frames.between(events, reaches, last), time)
        wider = first - len(inputs.features.ratios) * ahead
        if wider >= reaches:
            return reaches
        reaches = wider


def _of_entities(inputs: Inputs, events: Frame, labels: Frame | None) -> Facts:
    """The facts of the entities that have targets."""
    keys = list(inputs.features.keys)
    entities = fact_frames.targets(events).select(keys)
    kept = [None if facts is None else fact_frames.of_entities(facts, entities, keys) for facts in (events, labels)]
    assert kept[0] is not None
    return Facts(kept[0], kept[1])

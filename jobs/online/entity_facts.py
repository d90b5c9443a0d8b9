"""One entity's facts and the features of its next event: what is added, what is decided, and which path answers.

The fast path holds while a decision comes after everything that is known of the entity. In every other case the batch
kernel answers, and the fast path is made anew from the facts.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from math import inf
from typing import Any

import numpy as np

from jobs.arrays import Floats
from jobs.errors import Invalid
from jobs.online import whole_history
from jobs.online.evaluation import Value
from jobs.online.fact_lines import DECIDED, ID, RATIOS, TARGET, FactLines
from jobs.online.fast_path import FastPath
from jobs.online.plan import Event, Plan
from jobs.online.scanning import prepared
from jobs.online.whole_history import Find
from jobs.times import NEVER

_NEVER_BEFORE = -(2**63)
_FEW = 256
GRACE = 3_600_000_000
"""Microseconds for which facts are kept after no new event can reach them, for `again`."""
_NOTHING: frozenset[Any] = frozenset()
"""One for all entities, most of which hold few facts."""
_MICROSECOND = timedelta(microseconds=1)


class EntityFacts:
    """What is known of one entity. Not safe for several threads."""

    __slots__ = (
        "_decided", "_early", "_events", "_is_beyond", "_knows_ratios", "_labels", "_most", "_newest", "_odd", "_plan",
        "_quick",
    )  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._events = FactLines(plan.event_layout)
        self._labels = FactLines(plan.label_layout) if plan.features.reads_labels else plan.no_labels
        self._newest = self._decided = _NEVER_BEFORE
        """When the last fact became known, or known to be wrong; when the last event was decided."""
        self._early: frozenset[Any] = _NOTHING
        """Ids of labels that were known before their events."""
        self._odd: frozenset[int] = _NOTHING
        """Event times that labels bore before they had come: at these very moments the labels do not count."""
        self._quick: FastPath | None = None
        """Made from the facts when it is first needed."""
        self._is_beyond = False
        """A ratio was so large that only the batch kernel adds up right."""
        self._knows_ratios = True
        """All events bear RATIOS."""
        self._most = _FEW
        """With more facts old ones are dropped: twice as many as were left last time, and some."""

    def __len__(self) -> int:
        return len(self._events) + len(self._labels)

    def decide(self, event: Event, moment: int) -> list[Value]:
        """The features of an event that is decided, and becomes known, at a moment, in the order of their declaration.

        moment: microseconds since 1970, later than that of every decision before. None is a null.
        Raises Invalid for values that the declared columns cannot hold; then nothing has changed.
        """
        found = self.begin(event, moment)
        return found if isinstance(found, list) else found()

    def begin(self, event: Event, moment: int, held: dict[str, Any] | None = None) -> list[Value] | Find:
        """The same in two parts: the event is entered, and its features are returned, or what finds them.

        Where the fast path does not answer, the batch kernel finds them of facts that are kept apart, so that it may
        do so in another thread while other events are decided.

        held: the columns, and perhaps others, as `jobs.online.given_columns` has them; None: they are checked here.
        """
        values = self._checked_at(event, moment, held)
        self._drop_old(moment)
        found = self._fast(event, values, moment) if self._is_fast(event, moment) else None
        begun = self._slow(event, values, moment) if found is None else found
        self._decided, self._newest = moment, max(self._newest, moment)
        return begun

    def follow(self, event: Event, moment: int, held: dict[str, Any] | None = None) -> None:
        """Enter an event that is decided elsewhere at a moment, as `decide` does, without its features."""
        values = self._checked_at(event, moment, held)
        self._drop_old(moment)
        if not self._is_followed(event, values, moment):
            self._append(event, values, moment)
        self._decided, self._newest = moment, max(self._newest, moment)

    def at(self, moment: int) -> list[Value] | Find:
        """The features of a target at a moment, or what finds them, where facts of another source are counted.

        The target is no fact itself, so nothing is entered. moment: microseconds since 1970, in any order; of one that
        is not after all that is known the batch kernel finds them.
        """
        self._drop_old(moment)
        found = None
        if moment > self._newest and self._are_ratios_added():
            found = self._scanned_at(moment)
            found = self._warm({}).at(moment) if found is None else found
        return whole_history.of_target(self._plan, self._events, moment) if found is None else found

    def again(self, id: Any) -> Find:
        """What finds the features that an event had when it was decided, whatever came since.

        Raises Invalid if no event of this id was decided here, or it has been dropped.
        """
        return whole_history.of_decided(self._plan, self._events, self._labels, id)

    def take(self, of: str, lines: FactLines) -> None:
        """Let the facts of tables be `lines`, known to the last before any decision; events first, then labels.

        Events whose ratios are among them bear RATIOS.
        """
        if of == "events":
            self._events = lines
        elif self._plan.features.reads_labels:
            self._labels = lines
            self._early = frozenset(lines.ids()).difference(self._events.ids()) or _NOTHING
            happened, known = lines.times()
            self._odd = frozenset(happened[known <= happened + 1].tolist()) or _NOTHING
        self._newest = max(self._newest, lines.newest())
        self._knows_ratios, self._quick = False, None

    def load(self, of: str, facts: Iterable[tuple[Event, int, int | None]], *, is_target: bool = True) -> None:
        """Events, then labels if any are read, of tables: each with when it became known, and when it was replaced.

        is_target: the events are first versions. Raises Invalid as `decide` does, or once something was decided.
        """
        if of == "labels" and not self._plan.features.reads_labels:
            return
        lines = self._events if of == "events" else self._labels
        for fact, known, superseded in facts:
            values = self._plan.checked(of, fact)
            self._know(known if superseded is None else superseded)
            entered = known if of == "events" else self._entered(fact, known)
            lines.append(fact.id, fact.happened, entered, values, TARGET if is_target and of == "events" else 0)
            if superseded is not None:
                lines.supersede(len(lines) - 1, superseded)
        self._early = frozenset(self._labels.ids()).difference(self._events.ids()) or _NOTHING
        self._forget_ratios()
        self._quick = None

    def add_event(self, event: Event, known: int, *, is_target: bool = False) -> None:
        """An event that was not decided here: of a file (is_target: its first version), or a correction."""
        values = self._plan.checked("events", event)
        is_new = known > self._newest
        self._know(known)
        is_new &= not self._replace(self._events, event.id, known)
        self._events.append(event.id, event.happened, known, values, TARGET if is_target else 0)
        self._forget_ratios()
        if is_new and self._quick is not None and not self._plan.features.ratios and self._quick.takes(values):
            self._quick.add_event(event, values)
        else:
            self._quick = None

    def add_label(self, label: Event, known: int) -> None:
        """A report about an event, or a further one that contradicts it; nothing to who reads no labels."""
        if not self._plan.features.reads_labels:
            return
        values = self._plan.checked("labels", label)
        is_new = known > self._newest
        self._know(known)
        is_new &= not self._replace(self._labels, label.id, known)
        if not (self._events.numbers(ID) == label.id).any():
            self._early |= {label.id}
        self._labels.append(label.id, label.happened, self._entered(label, known), values)
        if self._plan.levels_read_labels:
            self._forget_ratios()
        elif self._quick is not None and is_new and known > label.happened + 1 and self._quick.takes(values):
            self._quick.add_label(label, values)
            return
        self._quick = None

    def withdraw(self, of: str, id: Any, known: int) -> None:
        """An event or a label turned out not to be, or to be another entity's."""
        self._know(known)
        if self._replace(self.lines(of), id, known):
            self._quick = None

    def forget_ratios(self) -> None:
        """Let the batch kernel find all ratios anew: a fact came that was known before others that are here."""
        self._events.flag(RATIOS, np.arange(len(self._events)), bear=False)
        self._knows_ratios, self._quick = False, None

    def lines(self, of: str) -> FactLines:
        """The facts themselves, which are not to be changed."""
        return self._events if of == "events" else self._labels

    def counts(self) -> dict[str, int]:
        """How many versions of events and of labels are kept."""
        return {"events": len(self._events), "labels": len(self._labels)}

    def latest(self, of: str, most: int) -> list[dict[str, Any]]:
        """The events or labels that became known last, the latest first: ids, times, and the columns that are read."""
        lines = self.lines(of)
        names = [name for name, _, _ in self._plan.given[of]]
        return [lines.fact(line, names) for line in lines.latest(most)]

    @property
    def is_ready(self) -> bool:
        """Whether what is made of the facts for a quick answer is there."""
        return self._quick is not None or (self._knows_ratios and self._is_scanned())

    def make_ready(self) -> None:
        """Make what the next event finds ready, as it would itself."""
        if not self._knows_ratios:
            self._know_ratios()
        if not self.is_ready and not self._is_beyond:
            self._warm({})

    def cool(self) -> None:
        """Let go of what can be made again from the facts."""
        self._quick = None

    def _is_fast(self, event: Event, moment: int) -> bool:
        """Whether the fast path holds: a decision after everything that is known, about no label that came before."""
        is_last = moment > self._newest and moment not in self._odd and event.id not in self._early
        return is_last and self._are_ratios_added()

    def _are_ratios_added(self) -> bool:
        """Whether all ratios are known and so small that sums of them are right."""
        if not self._knows_ratios and not self._is_beyond:
            self._know_ratios()
        return not self._is_beyond

    def _fast(self, event: Event, values: dict[str, Any], moment: int) -> list[Value] | None:
        """Enter an event and find its features; None: nothing was entered, and only the kernel adds up right."""
        self._end_interim()
        if self._quick is None and (found := self._scanned(event, values, moment)) is not None:
            return found
        quick = self._warm(values)
        found = self._enter(quick, event, values, moment)
        return None if found is None else quick.complete(moment, found)

    def _scanned(self, event: Event, values: dict[str, Any], moment: int) -> list[Value] | None:
        """The same by a pass over the facts, where these are few; None: nothing was entered."""
        scan = self._plan.scan
        if scan is None or not self._is_scanned() or not scan.takes(values):
            return None
        self._events.append(event.id, event.happened, moment, values, TARGET | DECIDED)
        found = scan(self._events, self._labels, moment)
        if found is None:
            self._events.drop_last()
        return found

    def _scanned_at(self, moment: int) -> list[Value] | None:
        """The same of a target that is no fact: what stands in its place lies in the future, where nothing counts."""
        self._end_interim()
        scan, nobody = self._plan.scan, self._plan.nobody
        if self._quick is not None or scan is None or not self._is_scanned():
            return None
        self._events.append(nobody.id, moment + 1, moment, nobody.values)
        found = scan(self._events, self._labels, moment)
        self._events.drop_last()
        return found

    def _end_interim(self) -> None:
        """Let go of what was quick while facts could not be scanned yet."""
        if self._quick is not None and self._quick.is_interim and prepared.kernel() is not None:
            self._quick = None

    def _is_scanned(self) -> bool:
        """Whether facts are so few, and such, that a pass over them answers."""
        scan = self._plan.scan
        return scan is not None and scan.reaches(self._events, self._labels)

    def _is_followed(self, event: Event, values: dict[str, Any], moment: int) -> bool:
        """Whether an event was entered with what the fast path keeps of it, as it costs little."""
        if self._quick is not None:
            is_fast = self._quick.takes(values) and self._is_fast(event, moment)
            return is_fast and self._enter(self._quick, event, values, moment) is not None
        if not self._plan.features.ratios or not self._knows_ratios or not self._is_fast(event, moment):
            return False
        return self._scanned(event, values, moment) is not None

    def _enter(self, quick: FastPath, event: Event, values: dict[str, Any], moment: int) -> list[Value] | None:
        """Enter an event by what is quick, as it does; None: nothing was entered, and only the kernel adds up right."""
        if self._plan.features.ratios:
            # They are put beside columns that others may hold too.
            values = dict(values)
        found = quick.enter(event, values, moment)
        if found is None:
            self._quick, self._is_beyond = None, True
            return None
        self._events.append(event.id, event.happened, moment, values, TARGET | DECIDED | RATIOS)
        return found

    def _slow(self, event: Event, values: dict[str, Any], moment: int) -> Find:
        self._append(event, values, moment)
        return whole_history.of_decided(self._plan, self._events, self._labels, event.id)

    def _append(self, event: Event, values: dict[str, Any], moment: int) -> None:
        """Enter an event whose ratios nobody knows."""
        self._events.append(event.id, event.happened, moment, values, TARGET | DECIDED)
        self._knows_ratios, self._quick = False, None

    def _warm(self, coming: Mapping[str, Any]) -> FastPath:
        """What is quick and can take an event with these columns."""
        if self._quick is None or not self._quick.takes(coming):
            self._quick = FastPath(self._plan, self._events, self._labels, coming)
        return self._quick

    def _checked_at(self, event: Event, moment: int, held: dict[str, Any] | None = None) -> dict[str, Any]:
        """The columns of an event that is decided at a moment."""
        if moment <= self._decided:
            raise Invalid(f"expected a moment after the last decision's, {self._decided}, found {moment}")
        return self._plan.checked("events", event) if held is None else held

    def _know(self, known: int) -> None:
        if known <= self._decided:
            raise Invalid(f"expected a fact known after the last decision, {self._decided}, found {known}")
        self._newest = max(self._newest, known)

    def _entered(self, label: Event, known: int) -> int:
        """When a label counts from: nobody knows it at the time of its event, whatever its own says."""
        if known <= label.happened:
            self._odd |= {label.happened}
        return max(known, label.happened + 1)

    def _replace(self, lines: FactLines, id: Any, known: int) -> bool:
        line = lines.current(id)
        if line is not None:
            lines.supersede(line, known)
        return line is not None

    def _forget_ratios(self) -> None:
        """Levels of events that were not decided may reach what was just added."""
        self._events.flag(RATIOS, ~self._events.flagged(DECIDED), bear=False)
        self._knows_ratios = False

    def _know_ratios(self) -> None:
        if self._plan.features.ratios and not self._events.flagged(RATIOS).all():
            self.know_ratios(whole_history.ratios(self._plan, self._events, self._labels))
        self._knows_ratios = True

    def know_ratios(self, found: Sequence[Floats]) -> None:
        """Take those that are unknown from the values of all events, of each ratio; null is NaN."""
        unknown = np.flatnonzero(~self._events.flagged(RATIOS))
        for ratio, values in zip(self._plan.features.ratios, found, strict=True):
            self._events.set(ratio.name, unknown, values[unknown])
            largest = self._plan.bounds["events"].get(ratio.name, inf)
            self._is_beyond |= bool((np.abs(values[unknown]) > largest).any())
        self._events.flag(RATIOS, unknown, bear=True)

    def _drop_old(self, moment: int) -> None:
        """Now and then, facts that no later decision can reach."""
        if len(self._events) + len(self._labels) < self._most:
            return
        back = self._plan.features.history // _MICROSECOND
        for lines in (self._events, self._labels):
            happened, known = lines.times()
            # An event of the future has its ratios by what was known when it was decided.
            ahead = known[(happened > known) & bool(self._plan.features.ratios)]
            reached = min(moment - GRACE, int(ahead.min(initial=NEVER))) - back
            if (happened <= reached).any():
                lines.keep(np.flatnonzero(happened > reached))
                self._quick = None
        self._most = 2 * len(self) + _FEW
        self._odd = frozenset(happened for happened in self._odd if happened >= moment) or _NOTHING
        self._early = self._early.intersection(self._labels.ids()) or _NOTHING

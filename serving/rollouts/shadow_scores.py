"""Models that do not answer score events after the answer: in a thread, from a bounded queue that drops and counts.

Nothing that happens here reaches a caller: a model that fails, or a log that does not take it, costs shadows alone.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter as Counted
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from jobs.decisions.feature_row import Row
from jobs.decisions.log_contents import Decided, Shadow
from jobs.decisions.outcome import Outcome
from jobs.decisions.scores import Scored
from serving.decisions.scorer import Scorer
from serving.rollouts.arm_scorer import ArmScorer
from serving.telemetry.decision_metrics import SHADOWS, SHADOWS_DROPPED

MOST_WAITING = 5_000
"""Events that wait at most; what comes then is dropped."""
PAUSE_SECONDS, AT_ONCE = 0.02, 32
"""The thread lets answers go first: it takes so many events, and pauses."""
LOG = logging.getLogger("evergreen.serve")


class _Waiting(NamedTuple):
    scorer: ArmScorer
    row: Callable[[], Row]
    decided: Decided


class _Wanted(NamedTuple):
    """A shadow that is to be scored."""

    shadow: Shadow
    row: Row


class ShadowScores:
    """The shadows of one use case in one worker; safe for several threads."""

    def __init__(self, use_case: str, keep: Callable[[Sequence[Shadow]], None]) -> None:
        """keep: appends shadows to the log."""
        self._use_case, self._keep = use_case, keep
        self._queue: deque[_Waiting] = deque()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._dropped = SHADOWS_DROPPED.labels(use_case)

    @property
    def depth(self) -> int:
        """How many events wait."""
        return len(self._queue)

    def offer(self, scorer: ArmScorer, row: Callable[[], Row], decided: Decided) -> None:
        """Let an event be scored soon, or count it as dropped; row: makes its features, once it is its turn."""
        if len(self._queue) >= MOST_WAITING:
            self._dropped.inc()
            return
        self._queue.append(_Waiting(scorer, row, decided))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"shadows of {self._use_case}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Score what waits, and end."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            while self._queue:
                self.take()

    def take(self) -> None:
        """Score some of the events that wait."""
        waiting = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
        try:
            shadows = _shadows(waiting)
            self._keep(shadows)
        except Exception:  # the log may be full or out of reach
            LOG.exception("%s: %d shadows are lost", self._use_case, len(waiting))
            self._dropped.inc(len(waiting))
            return
        for (arm, failed), count in Counted((each.arm, each.failure is not None) for each in shadows).items():
            SHADOWS.labels(self._use_case, arm, "failed" if failed else "scored").inc(count)

    def _run(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            if self._queue:
                self.take()


def _shadows(waiting: Sequence[_Waiting]) -> list[Shadow]:
    """What every model beside makes of the events, each model of all of its own at once."""
    wanted: dict[Scorer, list[_Wanted]] = {}
    shadows: list[Shadow] = []
    for scorer, row, decided in waiting:
        features = row()
        for (rollout, arm), model in scorer.shadows(features):
            shadow = Shadow(decided.id, decided.decided_at, rollout, arm, Outcome(None), "")
            if isinstance(model, str):
                shadows.append(replace(shadow, failure=model))
            else:
                wanted.setdefault(model, []).append(_Wanted(shadow, features))
    return shadows + [shadow for model, some in wanted.items() for shadow in _scored(model, some)]


def _scored(model: Scorer, wanted: Sequence[_Wanted]) -> list[Shadow]:
    """The first event alone, as whoever answers would score it, so that its time can be compared; the others at once.

    What an event costs among others is less than alone, and no measure of what those would wait who wait for one.
    """
    first, *others = [each.row for each in wanted]
    scored = [*model([first]), *(one._replace(scoring=0) for one in (model(others) if others else ()))]
    return [_of(model.model.version, each.shadow, one) for each, one in zip(wanted, scored, strict=True)]


def _of(version: str, shadow: Shadow, scored: Scored) -> Shadow:
    if scored.fallback:
        return replace(shadow, model_version=version, failure=scored.reason)
    return replace(shadow, model_version=version, outcome=scored.outcome, scoring=scored.scoring)

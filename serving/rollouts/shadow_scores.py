"""Models that do not answer score events after the answer: in a thread, from a bounded queue that drops and counts.

Nothing that happens here reaches a caller: a model that fails, or a log that does not take it, costs shadows alone.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from jobs.decisions.feature_row import Row
from jobs.decisions.log_contents import Decided, Shadow
from jobs.decisions.outcome import Outcome
from serving.decisions.scorer import Scorer
from serving.rollouts.arm_scorer import ArmScorer
from serving.telemetry.decision_metrics import SHADOWS_DROPPED

MOST_WAITING = 5_000
"""Events that wait at most; what comes then is dropped."""
PAUSE_SECONDS, AT_ONCE = 0.02, 32
"""The thread lets answers go first: it takes so many events, and pauses."""
LOG = logging.getLogger("evergreen.serve")


class _Waiting(NamedTuple):
    scorer: ArmScorer
    row: Row
    decided: Decided


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

    def offer(self, scorer: ArmScorer, row: Row, decided: Decided) -> None:
        """Let an event be scored soon, or count it as dropped."""
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
            self._keep([shadow for each in waiting for shadow in _shadows(each)])
        except Exception:  # the log may be full or out of reach
            LOG.exception("%s: %d shadows are lost", self._use_case, len(waiting))
            self._dropped.inc(len(waiting))

    def _run(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            if self._queue:
                self.take()


def _shadows(waiting: _Waiting) -> list[Shadow]:
    return [_shadow(waiting, *each) for each in waiting.scorer.shadows(waiting.row)]


def _shadow(waiting: _Waiting, wanted: tuple[int, str], scorer: Scorer | str) -> Shadow:
    decided, (rollout, arm) = waiting.decided, wanted
    shadow = Shadow(decided.id, decided.decided_at, rollout, arm, Outcome(None), "")
    if isinstance(scorer, str):
        return replace(shadow, failure=scorer)
    [scored] = scorer([waiting.row])
    version = scorer.model.version
    if scored.fallback:
        return replace(shadow, model_version=version, failure=scored.reason)
    return replace(shadow, model_version=version, outcome=scored.outcome, scoring=scored.scoring)

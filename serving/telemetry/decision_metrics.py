"""What a worker counts of one use case's decisions: verdicts, fallbacks, seconds by stage, scores and features."""

from __future__ import annotations

import math
import time
from collections import Counter as Counted
from collections import defaultdict
from collections.abc import Collection, Sequence

from prometheus_client import Counter, Gauge

from jobs.decisions.log_contents import Decided
from serving.telemetry.distribution import Distribution
from serving.telemetry.registry import OWN
from serving.telemetry.request_metrics import SECONDS
from serving.telemetry.slos import LATENCY, LATENCY_SECONDS, USUAL_WAY
from serving.telemetry.stages import Stages
from serving.telemetry.tally import Tally

PROBABILITIES = (0.01, 0.02, 0.05, *(n / 10 for n in range(1, 10)), 0.95, 0.98, 0.99, 1.0)
VALUES = (-1e3, -1.0, 0.0, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e6)
WATCHED_FEATURES = 12
"""Features of a use case whose values are counted, spread evenly over those that are computed."""

DECISIONS = Counter(
    "evergreen_decisions_total", "Decisions made, fallbacks among them, by whose turn it was in which rollout.",
    ["use_case", "decision", "model", "arm"],
    registry=OWN,
)  # fmt: skip
FALLBACKS = Counter(
    "evergreen_fallbacks_total", "Decisions that a fallback made.", ["use_case", "fallback"], registry=OWN
)
WHOLE = Distribution(
    "evergreen_decision_seconds", "Seconds from an event's request to the record of its decision.", ["use_case"],
    buckets=SECONDS, registry=OWN,
)  # fmt: skip
STAGE = Distribution(
    "evergreen_stage_seconds", "Seconds of a stage, once for all events that are worked on together.",
    ["use_case", "stage"], buckets=SECONDS, registry=OWN,
)  # fmt: skip
MODEL_SECONDS = Distribution(
    "evergreen_model_seconds", "Seconds that a model took for an event that it decided.", ["use_case", "model"],
    buckets=SECONDS, registry=OWN,
)  # fmt: skip
SCORES = Distribution(
    "evergreen_score", "Probabilities that a model gave, of yes or of the likeliest class.", ["use_case", "model"],
    buckets=PROBABILITIES, registry=OWN,
)  # fmt: skip
NUMBERS = Distribution(
    "evergreen_predicted_number", "Numbers that a model predicted.", ["use_case", "model"], buckets=VALUES,
    registry=OWN,
)  # fmt: skip
FEATURES = Distribution(
    "evergreen_feature", "Values of a feature that decisions were made by.", ["use_case", "feature"], buckets=VALUES,
    registry=OWN,
)  # fmt: skip
MISSING = Counter(
    "evergreen_feature_missing", "Decisions for which a feature had no value.", ["use_case", "feature"], registry=OWN
)
UNDECIDED = Gauge(
    "evergreen_undecided", "Events in the log that nobody has decided yet.", ["use_case"],
    registry=OWN, multiprocess_mode="mostrecent",
)  # fmt: skip
SHADOWS_DROPPED = Counter(
    "evergreen_shadows_dropped_total", "Events that no shadow scored, as too many waited or the log did not take them.",
    ["use_case"], registry=OWN,
)  # fmt: skip
SHADOWS = Counter(
    "evergreen_shadows_total", "Events that a model scored besides the one that answered, or failed at.",
    ["use_case", "arm", "outcome"], registry=OWN,
)  # fmt: skip
Made = tuple[Decided, float]
"""A decision, and the seconds that it took."""


class DecisionMetrics:
    """Of one use case in one worker; safe for several threads."""

    def __init__(self, use_case: str, features: Sequence[str], texts: Collection[str] = ()) -> None:
        """features: names of what each decision holds, in order. texts: those of them that are no numbers."""
        self._use_case, self._width = use_case, len(features)
        step = max(1, math.ceil(len(features) / WATCHED_FEATURES))
        self._watched = [(place, name) for place, name in enumerate(features) if name not in texts][::step]
        self._made: Tally[Made] = Tally(self._count)
        self._stages: Tally[Stages] = Tally(self._count_stages)

    def made(self, decided: Decided, began: float) -> None:
        """Count a decision. began: `time.perf_counter` when its request came."""
        self._made.add((decided, time.perf_counter() - began))

    def undecided(self, count: int) -> None:
        """Tell how many events of the log nobody has decided."""
        UNDECIDED.labels(self._use_case).set(count)

    def passed(self, stages: Stages) -> None:
        """Count the seconds of stages that ended."""
        self._stages.add(stages)

    def _count(self, made: Sequence[Made]) -> None:
        decided = [each for each, _ in made]
        self._count_verdicts(decided)
        self._count_seconds([seconds for _, seconds in made])
        self._count_scores(decided)
        self._count_features([each.features for each in decided if len(each.features) == self._width])

    def _count_verdicts(self, decided: Sequence[Decided]) -> None:
        kinds = Counted((_verdict(each), _model(each), each.arm) for each in decided)
        for (verdict, model, arm), count in kinds.items():
            DECISIONS.labels(self._use_case, verdict, model, arm).inc(count)
        fallbacks = Counted(each.fallback for each in decided if each.fallback is not None)
        for fallback, count in fallbacks.items():
            FALLBACKS.labels(self._use_case, fallback).inc(count)
        USUAL_WAY.count(len(decided), fallbacks.total())

    def _count_seconds(self, seconds: Sequence[float]) -> None:
        WHOLE.labels(self._use_case).observe_all(seconds)
        LATENCY.count(len(seconds), sum(each > LATENCY_SECONDS for each in seconds))

    def _count_scores(self, decided: Sequence[Decided]) -> None:
        values: defaultdict[tuple[Distribution, str], list[float | None]] = defaultdict(list)
        for each in decided:
            if each.outcome.score is not None:
                kind = NUMBERS if _verdict(each) == NUMBER else SCORES
                values[kind, _model(each)].append(each.outcome.score)
            if each.scoring:
                values[MODEL_SECONDS, _model(each)].append(each.scoring / 1e6)
        for (kind, model), found in values.items():
            kind.labels(self._use_case, model).observe_all(found)

    def _count_features(self, rows: Sequence[Sequence[float | None]]) -> None:
        for place, name in self._watched if rows else ():
            known = FEATURES.labels(self._use_case, name).observe_all([row[place] for row in rows])
            MISSING.labels(self._use_case, name).inc(len(rows) - known)

    def _count_stages(self, passed: Sequence[Stages]) -> None:
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for stages in passed:
            for stage, begin, end in stages:
                seconds[stage].append(end - begin)
        for stage, found in seconds.items():
            STAGE.labels(self._use_case, stage).observe_all(found)


NUMBER = "number"


def _verdict(decided: Decided) -> str:
    """What was decided, a class that was predicted, or that it is a number."""
    return decided.outcome.decision or decided.outcome.prediction or NUMBER


def _model(decided: Decided) -> str:
    return decided.model_version or "none"

"""Decisions of one use case in one worker: the champion, the features of the last second, and what waits for them.

The way of an event is in `jobs.decisions.decider`; how requests arrive is in `serving.decisions.routes`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pybreaker

from jobs.actions.review_sampling import live_room
from jobs.decisions import opened, reasons
from jobs.decisions.decider import Decider
from jobs.decisions.event_schema import Given
from jobs.decisions.exploration import Exploration
from jobs.decisions.fallback import Fallback
from jobs.decisions.label_schema import LabelSchema
from jobs.decisions.live_reviews import LiveReviews
from jobs.decisions.log_contents import Decided, Shadow
from jobs.decisions.started import Awaited, Begun, Started
from jobs.errors import EvergreenError, Invalid
from jobs.online.log_records import Conflict, StoreDown
from jobs.online.redis_log import StoreChanged
from jobs.settings import Settings
from jobs.use_case import UseCase, problem_of, review_of
from serving.decisions.outage import Outage
from serving.decisions.scorer import Scorer
from serving.decisions.timed_pool import Busy, TimedPool
from serving.decisions.together import Together
from serving.live_models.live_model import LiveModel
from serving.live_models.live_rollouts import Arms
from serving.live_models.watch import LiveModels
from serving.rollouts.arm_scorer import ArmScorer
from serving.rollouts.shadow_scores import ShadowScores
from serving.telemetry import tracing
from serving.telemetry.decision_metrics import DecisionMetrics
from serving.telemetry.stages import Stages, TimedScore
from serving.web.refusal import Refusal, bad

SLOW_THREADS, MOST_SLOW = 2, 64
"""Threads that find features by the batch kernel, or of tables alone, and how many events may wait for them."""
FEATURE_SECONDS, TABLES_SECONDS = 1.0, 0.5
"""Features that take longer are not waited for, and in their place, those of tables alone."""
OTHER_SECONDS, POLL_SECONDS = 0.25, 0.002
"""How long another worker, which has the same event, is waited for."""
STORE_FAILURES, STORE_PAUSE_SECONDS = 2, 1.0
"""After so many failures one after another the online store is not asked for so long."""
ALIVE_SECONDS = 5.0
"""How long others of a shared store take a worker for alive that says nothing."""
SWEEP_SECONDS, ABANDONED_SECONDS = 0.5, 2.0
"""How often undecided events are looked for, and from which age on their worker is taken for dead."""
LOG = logging.getLogger("evergreen.serve")


class DecisionService:
    """Safe for several threads."""

    def __init__(self, settings: Settings, use_case: UseCase, models: LiveModels, clock: opened.Clock) -> None:
        """Open the state. Raises Invalid if there is no base, or a feature cannot be computed online."""
        self.use_case, self._models = use_case, models
        self._settings, self._clock = settings, clock
        self._outage = Outage(settings, use_case, clock)
        self._store = pybreaker.CircuitBreaker(STORE_FAILURES, STORE_PAUSE_SECONDS, exclude=[Invalid])
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._is_changed = False
        self.decider: Decider = opened.open_decider(settings, use_case, clock)
        try:
            self.fallback = Fallback(problem_of(use_case), self.decider.rows)
        except BaseException:
            self.decider.close()
            raise
        self.labels = LabelSchema.of(use_case, self.decider.rows.labels, self.decider.schema)
        self.meanings = reasons.meanings(self.decider.rows)
        self.metrics = DecisionMetrics(use_case.name, self.decider.rows.computed, self.decider.rows.texts)
        self._scorer: ArmScorer | None = None
        self._reviews: LiveReviews | None = None
        self.shadows = ShadowScores(use_case.name, self._keep)
        self._together: Together[Awaited, Started | Decided | None] = Together(self._decide_all)
        self._of_now = TimedPool(f"features of {use_case.name}", SLOW_THREADS, MOST_SLOW)
        self._of_tables = TimedPool(f"features of tables of {use_case.name}", SLOW_THREADS, MOST_SLOW)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sweep_on, name=f"decisions of {use_case.name}", daemon=True)

    def start(self) -> None:
        """Go on looking for what others appended, and for events that nobody decided."""
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._of_now.stop()
        self._of_tables.stop()
        self.shadows.stop()
        self._outage.close()
        self.decider.close()

    def accepts(self, model: LiveModel) -> None:
        """Raise Invalid if a model reads what cannot be computed online."""
        Scorer(model, self.decider.rows, self.fallback)

    @property
    def scorer(self) -> ArmScorer:
        """Of the model in service and of those beside it. Raises Refusal if there is none in service."""
        model, arms = self._models.get(self.use_case.name), self._models.rollouts[self.use_case.name].arms
        if model is None:
            raise Refusal(503, f"{self.use_case.name}: expected a model in service, found none; export one")
        known = self._scorer
        if known is None or known.champion.model is not model or known.arms is not arms:
            self._scorer = known = self._made(model, arms)
        return known

    def _made(self, model: LiveModel, arms: Arms) -> ArmScorer:
        try:
            champion = Scorer(model, self.decider.rows, self.fallback)
        except Invalid as error:
            raise Refusal(503, f"{self.use_case.name}: nothing can be decided by its model: {error}") from None
        review = problem_of(self.use_case).review
        exploration = Exploration(review, self.decider) if review and review.explored else None
        return ArmScorer(champion, self.decider.rows, arms, exploration)

    @property
    def reviews(self) -> LiveReviews:
        """Cases for reviewers. Raises Invalid where nothing is reviewed."""
        known = self._reviews
        if known is None or known.decider is not self.decider:
            room = live_room(review_of(self.use_case).capacity)
            self._reviews = known = LiveReviews(self.use_case, self.decider, room)
        return known

    @property
    def is_asked_for_reviews(self) -> bool:
        """Whether this worker was asked for cases, or told a verdict."""
        return self._reviews is not None

    def waiting(self) -> dict[str, int]:
        """How many events wait or are worked on, by queue."""
        return {
            "together": self._together.depth, "features": self._of_now.depth,
            "features_of_tables": self._of_tables.depth, "shadows": self.shadows.depth,
        }  # fmt: skip

    def breakers(self) -> dict[str, str]:
        """`closed` of what is asked, `open` or `half-open` of what is left alone after failures."""
        states = {"store": str(self._store.current_state)}
        return states if self._scorer is None else states | self._scorer.breakers

    def read(self, content: object) -> Given:
        """An event as a client sent it. Raises Refusal (400) if it is not one."""
        try:
            return self.decider.schema.read(content)
        except Invalid as error:
            raise bad(str(error)) from None

    async def decide(self, given: Given, began: float) -> Decided:
        """What is decided about an event, which stands in the log before this returns; together with others that wait.

        All requests are decided in one event loop.

        Raises:
            Refusal: a column cannot be held (400), the id came before with other content (409), or the log does not
                take it (503).
        """
        asked = Awaited(given, began, tracing.CURRENT.get())
        found = await self._together.ask(asked)
        if found is None:
            found = await self._other(given.id)
        decided = found if isinstance(found, Decided) else await self._decide_alone(asked, found)
        if asked.followed is not None:
            asked.followed.decided(self.use_case.name, decided)
        return decided

    async def _decide_alone(self, asked: Awaited, started: Started) -> Decided:
        stages = Stages()
        if started.is_slow:
            await self._find(started)
        [decided] = self.finished([started], self.scorer, stages)
        self._passed(stages, [asked])
        if isinstance(decided, Refusal):
            raise decided
        return decided

    def _decide_all(self, asked: Sequence[Awaited]) -> Sequence[Begun]:
        """Decide events; those whose features take long are left entered."""
        scorer, stages = self.scorer, Stages(len(asked))
        begun = self.begun(asked, scorer)
        stages.ended("append")
        quick = [each for each in begun if isinstance(each, Started) and not each.is_slow]
        decided = iter(self.finished(quick, scorer, stages))
        self._passed(stages, asked)
        return [next(decided) if isinstance(each, Started) and not each.is_slow else each for each in begun]

    def _passed(self, stages: Stages, asked: Sequence[Awaited]) -> None:
        """Keep the stages that events went through together."""
        self.metrics.passed(stages)
        for each in asked:
            if each.followed is not None:
                each.followed.passed(stages)

    def reasons(self, decided: Decided) -> list[reasons.Reason]:
        """Why the model that decided an event gives it its score, the largest effects first; none without a score."""
        came = self.decider.came(decided.id)
        if came is None or not decided.features or decided.outcome.score is None:
            return []
        happened = came.time(decided.decided_at)
        rows, scorer = self.decider.rows, self.scorer.by_version.get(decided.model_version or "", self.scorer.champion)
        row = rows.restored(self.decider.schema.complete(came.values), happened, decided.features)
        try:
            return reasons.reasons(rows, row, scorer.model.manifest.names, scorer.scores, self.meanings)
        except Exception:  # a model that fails gives no reasons, and the decision stands
            LOG.exception("%s: reasons of %r", self.use_case.name, decided.id)
            return []

    def begun(self, asked: Sequence[Awaited], scorer: ArmScorer) -> list[Begun]:
        """Append and enter events (see `Decider.start_all`), or decide them without the store that does not answer."""
        try:
            found = self._started(asked)
        except StoreChanged as error:
            self._is_changed = True
            found = [error] * len(asked)
        except (StoreDown, pybreaker.CircuitBreakerError):
            found = [self._without_store(each, scorer) for each in asked]
        return [
            self._refusal(each.given, one) if isinstance(one, Exception) else one
            for each, one in zip(asked, found, strict=True)
        ]

    def _started(self, asked: Sequence[Awaited]) -> list[Begun]:
        if not self.decider.log.by_entity:
            return self.decider.start_all(asked)
        if not self._outage.is_over:
            self._store.call(self._outage.deliver, self.decider)
        started: list[Begun] = self._store.call(self.decider.start_all, asked)
        self._outage.heard()
        return started

    def _without_store(self, asked: Awaited, scorer: ArmScorer) -> Begun:
        try:
            return self._told(self._outage.decide(self.decider, asked, scorer), asked.began)
        except Exception as error:
            return error

    def _refusal(self, given: Given, error: Exception) -> Exception:
        """What a client is told of an event that was not entered; what nobody foresaw stays what it is."""
        if isinstance(error, Conflict):
            return Refusal(
                409, f"{self.decider.schema.id} {given.id!r}: expected the content that came before, found other; "
                "use another id, or send a correction"
            )  # fmt: skip
        if isinstance(error, Invalid):
            return bad(str(error))
        return _unlogged(self.use_case, error) if isinstance(error, OSError) else error

    def finished(self, started: Sequence[Started], scorer: ArmScorer, stages: Stages) -> list[Decided | Refusal]:
        """Score events whose features are found, and append what is decided."""
        if not started:
            return []
        try:
            decided = self.decider.finish_all(started, TimedScore(scorer, stages))
        except StoreDown as error:
            decided = [error] * len(started)
        stages.ended("log")
        if scorer.arms.rollouts:
            self._shadowed(started, decided, scorer)
        return [
            _unlogged(self.use_case, one) if isinstance(one, OSError) else self._told(one, each.began)
            for each, one in zip(started, decided, strict=True)
        ]

    def _shadowed(self, started: Sequence[Started], decided: Sequence[Decided | OSError], scorer: ArmScorer) -> None:
        """Let models that did not answer score events too, of which features are known."""
        for each, one in zip(started, decided, strict=True):
            if isinstance(one, Decided) and one.features:
                row = partial(self.decider.rows.restored, each.values, each.event.happened, one.features)
                self.shadows.offer(scorer, row, one)

    def _keep(self, shadows: Sequence[Shadow]) -> None:
        self.decider.keep_shadows(shadows)

    def _told(self, decided: Decided, began: float) -> Decided:
        """Count a decision."""
        self.metrics.made(decided, began)
        return decided

    async def _other(self, id: Any) -> Started | Decided:
        """What another worker decides about an event, or the event, if that takes too long."""
        until = time.monotonic() + OTHER_SECONDS
        while (decided := self.decider.decided(id)) is None and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)
            self.decider.catch_up()
        resumed = decided or self.decider.resume(id)
        assert resumed is not None
        return resumed

    async def _find(self, started: Started) -> None:
        """Let the batch kernel find the features, in a thread; in place of those that it does not, those of tables."""
        try:
            await self._of_now.result(started.find, FEATURE_SECONDS)
            return
        except Busy:
            started.give_up("too many events wait for their features")
        except TimeoutError:
            started.give_up(f"features took longer than {FEATURE_SECONDS:g} seconds")
        except Exception as error:
            LOG.exception("%s: features of %r", self.use_case.name, started.event.id)
            started.give_up(f"features could not be computed: {type(error).__name__}")
        try:
            of_tables = partial(self.decider.features_of_tables, started)
            started.of_tables = await self._of_tables.result(of_tables, TABLES_SECONDS)
        except (Busy, TimeoutError):
            started.of_tables = []

    def _sweep_on(self) -> None:
        while not self._ended.wait(SWEEP_SECONDS):
            try:
                self.sweep()
            except Exception:  # the log may be unreachable for a while
                LOG.exception("%s: undecided events", self.use_case.name)

    def sweep(self) -> None:
        """Read what others appended, and decide events whose worker is taken for dead."""
        if self._is_changed:
            self._reopen()
        if self.decider.log.by_entity:
            self.decider.log.announce(self._name, ALIVE_SECONDS)  # type: ignore[attr-defined]
            if not self._outage.is_over:
                self._outage.deliver(self.decider)
        self.decider.catch_up()
        undecided = self.decider.abandoned(round(ABANDONED_SECONDS * 1e6))
        self.metrics.undecided(len(undecided))
        for id in undecided:
            resumed = self.decider.resume(id)
            if isinstance(resumed, Started):
                self.finished([resumed], self.scorer, Stages())

    def _reopen(self) -> None:
        """Stand on the tables anew, as the store was flushed or restored: what only it knew is gone."""
        opened.take_base(self._settings, self.use_case, self._clock)
        former, self.decider = self.decider, opened.open_decider(self._settings, self.use_case, self._clock)
        self._is_changed, self._scorer = False, None
        former.close()
        LOG.error("%s: the online store was flushed or restored; what it held besides is lost", self.use_case.name)


def _unlogged(use_case: UseCase, error: OSError) -> Refusal:
    LOG.error("%s: the log did not take an event: %s", use_case.name, error)
    told = str(error) if isinstance(error, EvergreenError) else "its disk refuses it"
    return Refusal(503, f"{use_case.name}: nothing was decided, as the log did not take it ({told}); try again", 5.0)

"""A replay under way: what is in production, what was decided, and what one day leads to.

Which days are replayed: see `jobs.backtesting.replay`; how a day is written down: `jobs.backtesting.replay_log`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from jobs.actions import exploration as acting
from jobs.arrays import Floats
from jobs.backtesting.replay_log import Day, Lines, decision_of, due_search_of
from jobs.backtesting.replay_models import Models, trainer
from jobs.backtesting.replay_plan import Plan
from jobs.backtesting.replay_shadow import Shadow
from jobs.datasets.history import History
from jobs.ledger.feature_searches import DueSearch
from jobs.registry.provenance import plain
from jobs.retraining import monitor, search_offer
from jobs.retraining.comparison import DOUBTED, challenge
from jobs.retraining.decisions import noted
from jobs.retraining.monitor import Adopted, DailyEvidence, Decided, MonitorState
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.retraining.nightly_evidence import open_change, settled_change
from jobs.retraining.policy import RetrainingDecision
from jobs.settings import Settings
from jobs.stats.alpha_spending import Look, following
from jobs.times import microseconds, midnight
from jobs.training import recipes
from jobs.training.recipes import LabelKnowledge, Recipe, Share
from jobs.use_case import UseCase, problem_of


class ReplayWorld:
    """A replay under way: what is in production, what was decided, the state of the monitor."""

    def __init__(self, settings: Settings, use_case: UseCase, history: History, plan: Plan, out: Path) -> None:
        self.problem = replace(problem_of(use_case), seed=plan.seed)
        self.use_case = replace(use_case, problem=self.problem)
        self.history, self.plan = history, plan
        self.full = history
        self.known = MonitoredHistory.of(history, use_case)
        self.state = MonitorState()
        self.happened: list[Adopted | Decided] = []
        """Since the last evening that was looked at."""
        self.scores: dict[date, Floats] = {}
        self.weights = np.ones(len(history))
        """How many events each one stands for; 0: blocked."""
        self.acted: dict[str, Any] = {}
        self.decisions: list[RetrainingDecision] = []
        self.due_search: DueSearch | None = None
        """The search for features that was due on the last evening."""
        self.version, self.newest, self.fits = 0, 0, 0
        self.look: Look | None = None
        """The last look at the champion in production, as the ledger counts them."""
        self.changes: dict[int, date | None] = {}
        """Version -> the change that it was trained for, if it was."""
        self.models = Models(settings, self.use_case)
        self.shadow = Shadow(len(history), history.task, self.use_case, self.models)
        declared = {"use_case": use_case.name, "training_window": use_case.training_window.days}
        self.lines = Lines(out, {"plan": plain(asdict(plan)), "versions": history.versions, **declared})

    def resumed(self) -> Iterator[Day]:
        """The days that are done, with everything they left behind."""
        for day in self.lines.whole():
            self.fits, self.due_search = day.fits, due_search_of(day)
            if (decision := decision_of(day)) is not None:
                self.decisions.append(decision)
            today = date.fromisoformat(day.date)
            if not day.champion_version:
                yield day
                continue
            if not self.version:
                self.decisions.insert(0, self.plan.first_decision())
                self._adopt(day.champion_version, today - timedelta(days=1))
            self._decided(today, self.models.model(day.champion_version).predict(self._features(today)))
            if day.restored:
                self._adopt(day.restored, today)
            if day.retrained:
                self._take_look(self.decisions[-1])
            if day.next_champion != self.version:
                self._adopt(day.next_champion, today, self.decisions[-1].episode)
            yield day

    def day(self, today: date) -> Day:
        """One day: decide on its events, look at the evidence of its evening, train if that is called for."""
        began = perf_counter()
        evening = midnight(today + timedelta(days=1))
        if today < self.plan.trained_on:
            return self.lines.append(self._collected(today, evening, began))
        if not self.version:
            self._first()
        champion = self.version
        scores = self.models.model(champion).predict(self._features(today))
        self._decided(today, scores)
        taken_back = self._take_back(evening)
        restored = self.version if taken_back else 0
        daily = self._look(evening)
        self.due_search = search_offer.due_search(
            daily.quality, self.decisions, evening, self.use_case, self.due_search
        )
        decision = noted(self.plan.decision(evening, daily, self.decisions), self.due_search)
        reason = "; ".join(filter(None, (taken_back, decision.reason)))
        if decision.retrain:
            self.fits += 1
            reason = f"{reason}; {self._train(evening, decision)}"
        self.decisions.append(decision)
        return self.lines.append(
            Day(
                date=today.isoformat(),
                rows=self._count(today, evening),
                reports_known=daily.reports,
                label_maturity=round(daily.maturity, 6),
                drift_score=round(max(daily.scores.values(), default=0.0), 6),
                drift_alarm=bool(decision.alarms),
                retrained=decision.retrain,
                reason=reason,
                champion_version=champion,
                fits=self.fits,
                seconds=round(perf_counter() - began, 3),
                scores={name: round(score, 6) for name, score in daily.scores.items()},
                decision=plain(asdict(decision)),
                next_champion=self.version,
                due_search=plain(asdict(self.due_search)) if self.due_search else None,
                restored=restored,
                **self.acted,
            )
        )

    def _collected(self, today: date, evening: datetime, began: float) -> Day:
        """A day before the first training."""
        daily = self._look(evening)
        return Day(
            today.isoformat(), self._count(today, evening), daily.reports, round(daily.maturity, 6), 0.0, False, False,
            f"collects history until {self.plan.trained_on}", 0, 0, round(perf_counter() - began, 3), {}, None, 0,
        )  # fmt: skip

    def _look(self, evening: datetime) -> DailyEvidence:
        """The evidence of an evening; what happened since the last one is part of the monitor's state from then on."""
        self.state, daily = monitor.evening(self.state, self.known, self.happened, evening)
        self.happened = []
        return daily

    def _count(self, today: date, evening: datetime) -> int:
        """Events of a day that were there by its evening."""
        return len(self._features(today)[self.known.known(today, microseconds(evening))])

    def _decided(self, today: date, scores: Any) -> None:
        """The day's decisions; once a change is old enough, the world after it is the usual one."""
        self.scores[today] = scores
        settled = settled_change(self.known, self.decisions, today, self.plan.rules)
        self.happened.append(Decided(today, scores, settled))
        self.shadow.score(self.known.rows_of(today), scores)
        self._act(today, scores)

    def _act(self, today: date, scores: Any) -> None:
        """What is blocked today gets no label on any later day."""
        policy, rows = self.plan.acting, self.known.rows_of(today)
        if policy is None:
            return
        actions = acting.act(scores, today, policy, self.history.amounts_of(rows))
        self.weights[rows] = acting.importance_weights(actions, policy)
        self.history = acting.observed(self.full, self.weights.copy())
        self.known = self.known.relabelled(self.history)
        self.acted = actions.counts()

    def _first(self) -> None:
        self.fits += 1
        first = self.plan.first_decision()
        self.decisions.append(first)
        self._promote(recipes.usual(self.use_case), first.as_of, first.reason)

    def _train(self, as_of: datetime, decision: RetrainingDecision) -> str:
        """Train and, if it is better, promote; returns the result in words."""
        if self.plan.policy != "auto":
            self._promote(recipes.usual(self.use_case), as_of, decision.reason)
            return f"version {self.version} in production"
        champion, share = self.models.champion(self.version, self._share), self._share(as_of)
        look = self._take_look(decision)
        result = challenge(
            trainer(self.history, self.use_case), champion, decision, share, self.problem.seed, lambda _: look
        )
        if not result.better:
            return "; ".join(result.reasons) or result.message
        reason = f"{decision.reason}; {result.message}"
        assert result.compared is not None
        self._promote(result.recipe, as_of, reason, decision.episode)
        self.models.compared_by(self.version, result.compared.halves[result.recipe.name])
        return f"{result.message}: version {self.version} in production"

    def _take_look(self, decision: RetrainingDecision) -> Look:
        self.look = following(self.look, 1 - self.problem.limits.level, decision.trigger in DOUBTED)
        return self.look

    def _promote(self, recipe: Recipe, as_of: datetime, reason: str, changed_on: date | None = None) -> None:
        version = self.newest + 1
        self.models.promote(self.history, recipe, LabelKnowledge(as_of, self._share(as_of)), version, reason)
        self._adopt(version, as_of.date() - timedelta(days=1), changed_on)

    def _share(self, as_of: datetime) -> Share:
        return self.known.delay(as_of).share

    def _adopt(self, version: int, today: date, changed_on: date | None = None) -> None:
        """`version` decides from tomorrow on. One that was in production before comes back for good."""
        again = version in self.changes
        self.changes[version] = open_change(self.decisions, today) if again else changed_on
        former = self.version if self.version and not again and self.plan.policy == "auto" else None
        self.shadow.follow(former, midnight(today + timedelta(days=1)))
        self.version, self.newest, self.look = version, max(self.newest, version), None
        tomorrow = today + timedelta(days=1)
        self.happened.append(Adopted(self.models.model(version), tomorrow, self.changes[version]))

    def _take_back(self, evening: datetime) -> str:
        """Restore the former champion if it would have been better by mature labels; returns the reason, if so."""
        if (former := self.shadow.former) is None or not self._comparable:
            return ""
        comparison = self.shadow.look(self.history, self.known.delay(evening), evening)
        if not comparison.worse:
            return ""
        message = f"version {self.version} rolled back: {comparison.message}"
        self.models.restore(former, self.version, evening, message)
        self._adopt(former, evening.date() - timedelta(days=1))
        return message

    @property
    def _comparable(self) -> bool:
        """Whether champions can be compared on what is known: not where the present one blocks what it doubts."""
        policy = self.plan.acting
        return policy is None or (policy.explore > 0 and policy.corrected)

    def _features(self, day: date) -> Any:
        return self.history.features[self.known.rows_of(day)]

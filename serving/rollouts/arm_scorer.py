"""Scores each event by the model of its arm; the champion stands in for a model that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.decisions.exploration import Exploration
from jobs.decisions.fallback_order import CHAMPION_INSTEAD
from jobs.decisions.feature_row import FeatureRow, Row
from jobs.decisions.scores import Scored
from jobs.errors import Invalid
from jobs.rollout_strategy import CHAMPION
from jobs.rollouts.assignment import PublishedRollout, assigned
from jobs.use_case import problem_of
from serving.decisions.scorer import Scorer
from serving.live_models.live_rollouts import Arms

Wanted = tuple[int, str]
"""A rollout, and one of its arms."""


class ArmScorer:
    """The champion's scorer and those of all arms, for what is published at one moment."""

    def __init__(self, champion: Scorer, rows: FeatureRow, arms: Arms, exploration: Exploration | None = None) -> None:
        """exploration: of events that no rollout takes part of; None: whatever is to be blocked is."""
        self.champion, self.arms, self.fallback = champion, arms, champion.fallback
        self._rollouts, self._use_case = arms.rollouts, rows.use_case.name
        self._unit, self._id = rows.place(rows.use_case.cluster_key), rows.place(rows.use_case.event_id)
        amount = problem_of(rows.use_case).amount
        self._amount = None if amount is None else rows.place(amount)
        self._exploration = exploration
        self._refused = dict(arms.refused)
        self.scorers: dict[str, Scorer] = {}
        for sha256, model in arms.models.items():
            try:
                self.scorers[sha256] = Scorer(model, rows, champion.fallback)
            except Invalid as error:  # it reads what cannot be computed online
                self._refused[sha256] = str(error)

    @property
    def by_version(self) -> Mapping[str, Scorer]:
        """The scorer of each model that may have answered."""
        scorers = (self.champion, *self.scorers.values())
        return {scorer.model.version: scorer for scorer in scorers}

    @property
    def breakers(self) -> dict[str, str]:
        """The state of the champion's breaker, and of that of each model beside it."""
        beside = {f"model {scorer.model.version}": scorer.breaker for scorer in self.scorers.values()}
        return {"model": self.champion.breaker, **beside}

    def __call__(self, rows: Sequence[Row]) -> list[Scored]:
        """What the model of its arm makes of each row, or the champion in its place."""
        scored = self._by_arms(rows) if self._rollouts else self.champion(rows)
        if self._exploration is None:
            return scored
        return [self._explored(row, one) if one.arm == CHAMPION else one for row, one in zip(rows, scored, strict=True)]

    def _explored(self, row: Row, scored: Scored) -> Scored:
        amount = 0.0 if self._amount is None else float(row[self._amount] or 0.0)
        assert self._exploration is not None
        return self._exploration.applied(scored, row[self._id], amount)

    def _by_arms(self, rows: Sequence[Row]) -> list[Scored]:
        who = [assigned(self._use_case, self._rollouts, row[self._unit]) for row in rows]
        scored: list[Scored | None] = [None] * len(rows)
        for sha256 in {None if each.arm is None else each.arm.sha256 for each in who}:
            places = [n for n, each in enumerate(who) if (each.arm and each.arm.sha256) == sha256]
            found = self._of_arm(sha256, [rows[place] for place in places])
            for place, one in zip(places, found, strict=True):
                scored[place] = one._replace(arm=who[place].name, propensity=who[place].propensity)
        return [each for each in scored if each is not None]

    def shadows(self, row: Row) -> list[tuple[Wanted, Scorer | str]]:
        """Who scores an event besides the model that answers, by rollout and arm; or why it cannot."""
        who = assigned(self._use_case, self._rollouts, row[self._unit])
        answered = None if who.arm is None else who.arm.sha256
        wanted: list[tuple[Wanted, Scorer | str]] = []
        for rollout in self._rollouts:
            if rollout.shadows and (rollout.over_all or rollout.id == who.rollout):
                wanted += self._besides(rollout, answered)
        return wanted

    def _besides(self, rollout: PublishedRollout, answered: str | None) -> list[tuple[Wanted, Scorer | str]]:
        found: list[tuple[Wanted, Scorer | str]] = []
        if answered is not None:
            found.append(((rollout.id, CHAMPION), self.champion))
        for arm in rollout.arms:
            if arm.sha256 != answered:
                scorer = self.scorers.get(arm.sha256)
                found.append(((rollout.id, arm.name), self._why(arm.sha256) if scorer is None else scorer))
        return found

    def _of_arm(self, sha256: str | None, rows: Sequence[Row]) -> list[Scored]:
        if sha256 is None:
            return self.champion(rows)
        scorer = self.scorers.get(sha256)
        if scorer is None:
            return [self._instead(row, self._why(sha256)) for row in rows]
        return [
            self._instead(row, one.reason or "") if one.fallback else one
            for row, one in zip(rows, scorer(rows), strict=True)
        ]

    def _instead(self, row: Row, reason: str) -> Scored:
        [scored] = self.champion([row])
        return scored if scored.fallback else scored._replace(fallback=CHAMPION_INSTEAD, reason=reason)

    def _why(self, sha256: str) -> str:
        return f"the model of the arm is not in service: {self._refused.get(sha256, 'it was not loaded')}"

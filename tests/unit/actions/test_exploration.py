"""What is blocked and what is let through: chances that are exact, caps that hold, labels that never come."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples
from worlds.small_history import DAY, START, world

from jobs import settings
from jobs.actions import exploration as acting
from jobs.actions.exploration import Acting
from jobs.backtesting import replay, replay_log, timeline
from jobs.backtesting.replay import Replayed
from jobs.backtesting.replay_plan import Plan
from jobs.datasets.training_rows import sampled
from jobs.problem import Family
from jobs.tasks.binary import UNKNOWN
from jobs.times import NEVER, microseconds
from jobs.training import recipes
from jobs.use_cases.fraud import FRAUD, PROBLEM
from orchestration import replay_command as job
from orchestration.cli import main

TODAY = date(2026, 3, 1)
POLICIES = st.builds(
    Acting,
    threshold=st.floats(0, 1),
    quota=st.none() | st.integers(0, 30),
    explore=st.floats(0, 1),
    cap=st.integers(0, 10),
    limit=st.none() | st.floats(0, 100),
    seed=st.integers(0, 9),
)


@with_examples(200)
@given(policy=POLICIES, seed=st.integers(0, 99), count=st.integers(0, 60))
def test_caps_hold_and_every_event_has_one_fate(policy: Acting, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores, amounts = rng.random(count).round(1), rng.random(count) * 150
    found = acting.act(scores, TODAY, policy, amounts)
    again = acting.act(scores, TODAY, policy, amounts)
    np.testing.assert_array_equal(found.explored, again.explored)
    suspected = found.blocked | found.explored
    assert not (found.blocked & found.explored).any()
    assert suspected.sum() == min((scores >= policy.threshold).sum(), count if policy.quota is None else policy.quota)
    assert not suspected.any() or scores[suspected].min() >= policy.threshold
    assert found.explored.sum() <= policy.cap
    assert (found.propensities[~suspected] == 1).all()
    assert (found.propensities[found.explored] > 0).all()
    drawn_from = suspected if policy.limit is None else suspected & (amounts <= policy.limit)
    assert found.propensities[suspected].sum() == pytest.approx(min(policy.cap, policy.explore * drawn_from.sum()))
    assert (found.propensities[suspected & ~drawn_from] == 0).all()


@pytest.mark.parametrize(("explore", "cap"), [(0.07, 50), (0.5, 3), (1.0, 50), (0.0, 5), (0.3, 0)])
def test_the_logged_chance_is_the_share_of_days_on_which_an_event_is_let_through(explore: float, cap: int) -> None:
    scores = np.linspace(0, 1, 40)
    policy = Acting(0.5, explore=explore, cap=cap)
    days = 6000
    found = [acting.act(scores, TODAY + timedelta(days=n), policy) for n in range(days)]
    share = np.mean([~actions.blocked for actions in found], axis=0)
    wanted = found[0].propensities
    deviation = np.sqrt(wanted * (1 - wanted) / days)
    # Forty events at once: 4.5 deviations are passed once in 3,000 runs of a right implementation.
    assert (np.abs(share - wanted) <= 4.5 * deviation).all()
    assert all((actions.propensities == wanted).all() for actions in found)


def test_the_quota_blocks_the_highest_scores() -> None:
    scores = np.array([0.9, 0.2, 0.7, 0.7, 0.1])
    found = acting.act(scores, TODAY, Acting(0.0, quota=2))
    assert found.blocked.tolist() == [True, False, True, False, False]


def test_a_limit_needs_amounts() -> None:
    with pytest.raises(ValueError, match="expected amounts"):
        acting.act(np.ones(3), TODAY, Acting(0.5, explore=0.1, limit=10))


def test_impossible_policies_are_refused() -> None:
    for wrong in ({"explore": 1.1}, {"cap": -1}, {"limit": -5.0}, {"clip": 0.5}, {"quota": -1}):
        with pytest.raises(ValueError, match="acting: expected"):
            Acting(0.5, **wrong)


def test_an_event_stands_for_as_many_as_its_chance_says_up_to_the_clip() -> None:
    scores = np.ones(1000)
    policy = Acting(0.5, explore=0.1, cap=10)
    actions = acting.act(scores, TODAY, policy)
    weights = acting.importance_weights(actions, policy)
    assert (weights[actions.blocked] == 0).all() and (weights[actions.explored] == policy.clip).all()
    exact = acting.importance_weights(actions, replace(policy, clip=1000))
    assert exact.sum() == pytest.approx(1000)
    naive = acting.importance_weights(actions, replace(policy, corrected=False))
    assert set(naive) == {0.0, 1.0}


def test_labels_of_blocked_events_are_never_known_and_never_taken_for_good() -> None:
    made = world()
    rng = np.random.default_rng(1)
    weights = rng.choice([0.0, 1.0, 10.0], len(made))
    seen = acting.observed(made, weights)
    blocked = weights == 0
    assert (seen.labels.at(NEVER - 1, len(made))[blocked] == UNKNOWN).all()
    as_of = START + 40 * DAY
    np.testing.assert_array_equal(seen.labels_at(as_of)[~blocked], made.labels_at(as_of)[~blocked])
    whole, left = made.training_rows(as_of, FRAUD), seen.training_rows(as_of, FRAUD)
    np.testing.assert_array_equal(left.times, whole.times[np.isin(whole.times, made.times[~blocked])])
    places = np.searchsorted(made.times, left.times)
    np.testing.assert_array_equal(left.examples.weights, weights[places].astype(np.float32))


def test_recipes_weigh_by_what_an_event_stands_for() -> None:
    made = world()
    plain = recipes.rows(made, FRAUD, recipes.usual(FRAUD), recipes.LabelKnowledge(START + 40 * DAY, np.ones_like))
    weights = np.random.default_rng(2).choice([1.0, 4.0], len(made))
    found = recipes.rows(
        acting.observed(made, weights),
        FRAUD,
        recipes.usual(FRAUD),
        recipes.LabelKnowledge(START + 40 * DAY, np.ones_like),
    )
    assert found.examples.weights is not None and plain.examples.weights is not None
    ratio = found.examples.weights / plain.examples.weights
    places = np.searchsorted(made.times, found.times)
    np.testing.assert_allclose(ratio / ratio.min(), weights[places], rtol=1e-5)


def test_what_stands_for_many_is_not_left_to_the_lot() -> None:
    rows = world().training_rows(START + 40 * DAY, FRAUD).examples
    certain = np.arange(len(rows)) % 50 == 0
    drawn = sampled(replace(rows, weights=np.where(certain, 20, 1).astype(np.float32)), 0.1, 0, certain)
    assert drawn.weights is not None
    assert (drawn.weights == 20).sum() == certain.sum()
    assert drawn.weights.sum() == pytest.approx(np.where(certain, 20, 1).sum(), rel=1e-4)


def test_features_made_of_labels_are_told_apart() -> None:
    names = ("tx_amount", "customer_tx_count_1d", "terminal_risk_7d_delay_7d", "customer_known_frauds_30d")
    made = world()
    features = np.arange(4 * len(made), dtype=np.float32).reshape(-1, 4)
    kept = acting.without_label_features(replace(made, names=names, features=features), FRAUD)
    assert kept.names == names[:2]
    np.testing.assert_array_equal(kept.features, features[:, :2])


DAYS, TRAINED = 70, 40
SMALL = replace(FRAUD, problem=replace(PROBLEM, families=(Family("boosted", fixed={"rounds": 20, "num_leaves": 7}),)))
HISTORY = world(seed=3, changed_on=50, days=DAYS)


def played(out: Path, policy: Acting | None) -> Replayed:
    own = settings.load({"EVERGREEN_HOME": str(out / "home")})
    first = START.date()
    plan = Plan("weekly", first, first + timedelta(days=DAYS - 1), first + timedelta(days=TRAINED), acting=policy)
    return replay.run(own, SMALL, HISTORY, plan, out)


def test_a_replay_that_acts_goes_on_to_the_same_result(tmp_path: Path) -> None:
    policy = Acting(0.0, quota=15, explore=0.2)
    days = played(tmp_path / "whole", policy).days
    acted = days[TRAINED:]
    assert all(day.blocked + day.explored == 15 for day in acted) and not any(day.blocked for day in days[:TRAINED])
    assert all(day.propensity == pytest.approx(0.2) and day.explored == 3 for day in acted)
    lines = (tmp_path / "whole" / replay_log.LINES).read_text().splitlines(keepends=True)
    for cut in (TRAINED + 8, DAYS - 1):
        copy = tmp_path / str(cut)
        shutil.copytree(tmp_path / "whole", copy)
        (copy / replay_log.LINES).write_text("".join(lines[:cut]))
        assert [replace(day, seconds=0) for day in played(copy, policy).days] == [
            replace(day, seconds=0) for day in days
        ]
    assert json.loads((tmp_path / "whole" / "plan.json").read_text())["plan"]["acting"]["quota"] == 15


def test_who_blocks_knows_less_and_is_judged_by_the_whole_truth(tmp_path: Path) -> None:
    free, blocking = played(tmp_path / "free", None), played(tmp_path / "blocking", Acting(0.0, quota=15))
    assert free.days[-1].reports_known > blocking.days[-1].reports_known + 50
    assert free.days[TRAINED].reports_known >= blocking.days[TRAINED].reports_known
    judged = replay.outcomes(HISTORY, blocking.decided)
    shown = timeline.frame(blocking.days, judged)
    assert shown.columns == [*timeline.COLUMNS, *timeline.ACTED] and shown["blocked"].to_list()[TRAINED:] == [15] * 30
    # Of the fifteen highest scores before the change most are frauds: who left them out would find far less.
    assert np.nanmean(judged[TRAINED:50]) > 0.8
    as_of = microseconds(START + DAYS * DAY)
    assert (HISTORY.labels.at(as_of, len(HISTORY)) == 1).sum() >= free.days[-1].reports_known


@pytest.mark.parametrize("option", ["--explore=0.1", "--cap=20", "--uncorrected", "--threshold=0.5"])
def test_what_says_how_to_act_without_acting_is_refused(option: str, tmp_path: Path) -> None:
    asked = ["replay", "--policy", "weekly", option, "--out", str(tmp_path)]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 2 and "expected --act too" in said.output


def test_the_command_blocks_from_the_use_cases_threshold_on() -> None:
    found = job.acting_on(FRAUD, None, 0.1, cap=7, corrected=False, seed=3)
    assert found == Acting(PROBLEM.threshold, explore=0.1, cap=7, corrected=False, seed=3)
    assert job.acting_on(FRAUD, 0.5, 0.1, cap=None, corrected=True, seed=0) == Acting(0.5, explore=0.1)


def test_what_was_done_about_each_event_is_kept_with_its_chance(tmp_path: Path) -> None:
    policy = Acting(0.0, quota=15, explore=0.2)
    made = played(tmp_path, policy)
    kept = pl.DataFrame(acting.table(made.scored_days(), HISTORY, np.arange(len(HISTORY)) * 10, policy))
    first = int(np.searchsorted(HISTORY.days, HISTORY.days[0] + TRAINED))
    assert kept["event_id"].to_list() == [10 * n for n in range(first, len(HISTORY))]
    counted = kept.group_by("date", maintain_order=True).agg(pl.col("blocked", "explored").sum())
    assert counted.rows() == [(date.fromisoformat(d.date), d.blocked, d.explored) for d in made.days[TRAINED:]]
    assert set(kept.filter("explored")["propensity"].round(9)) == {0.2} and set(kept.filter("blocked")["weight"]) == {0}
    assert set(kept.filter("explored")["weight"].round(9)) == {5.0}

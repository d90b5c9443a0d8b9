"""What retraining learns from: known at the moment, weighed as said, and compared on rows that were held out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.deliveries import DELAYS, of_every_kind
from worlds.examples import with_examples
from worlds.small_history import A_DAY, DAY, DAYS, START, world

from jobs.datasets.history import LabelVersions
from jobs.models.catalog import new_model
from jobs.retraining.comparison import choices_of, chosen
from jobs.retraining.policy import RetrainingDecision
from jobs.tasks.binary import UNKNOWN
from jobs.times import NEVER, microseconds
from jobs.training import recipes
from jobs.training.recipe_trainer import ComparedChampion, Comparison, RecipeTrainer, compare_recipes
from jobs.training.recipes import LabelKnowledge, Recipe
from jobs.use_cases.fraud import FRAUD


def share(ages: np.ndarray) -> np.ndarray:
    return 1 - np.exp(-np.asarray(ages) / 4.0)


MADE = world()
QUICK = RecipeTrainer(MADE, FRAUD, "boosted", {"rounds": 5})
YOUNG = Recipe("young", 2 * DAY, 7 * DAY, corrected=True)


def test_only_what_is_known_at_the_moment_is_learned_from() -> None:
    as_of = START + 20 * DAY
    for recipe in (YOUNG, recipes.usual(FRAUD)):
        found = recipes.rows(MADE, FRAUD, recipe, LabelKnowledge(as_of, share))
        assert found.times.max() <= microseconds(as_of)
        known = MADE.labels_at(as_of)
        in_it = np.isin(MADE.times, found.times)
        assert (known[in_it] == 1).sum() == found.examples.labels.sum()
        unreported = found.times[~found.examples.labels]
        assert unreported.max() <= microseconds(as_of - recipe.negative_after)
    usual = recipes.rows(MADE, FRAUD, recipes.usual(FRAUD), LabelKnowledge(as_of, share))
    np.testing.assert_array_equal(usual.examples.weights, np.ones(len(usual), np.float32))
    wanted = MADE.training_rows(as_of, FRAUD)
    np.testing.assert_array_equal(usual.times, wanted.times)


def test_reports_stand_for_those_that_will_come() -> None:
    as_of = START + DAYS * DAY
    flat = replace(YOUNG, half_life=None)
    found = recipes.rows(MADE, FRAUD, flat, LabelKnowledge(as_of, share))
    weights, ages = found.examples.weights, (microseconds(as_of) - found.times) / A_DAY
    assert weights is not None
    recent = (ages > 2) & (ages < 8)
    counted = weights[recent & found.examples.labels].sum() / weights[recent & ~found.examples.labels].mean()
    truth = np.isin(MADE.times, found.times[recent]) & (MADE.labels.at(NEVER - 1, len(MADE)) == 1)
    assert counted == pytest.approx(truth.sum(), rel=0.2)
    assert found.examples.labels[recent].sum() < 0.8 * truth.sum()


def test_where_every_report_takes_a_week_the_last_week_is_nobodys_negative() -> None:
    as_of = START + DAYS * DAY

    def after_a_week(ages: np.ndarray) -> np.ndarray:
        return (np.asarray(ages) >= 7).astype(float)

    assert recipes.silent(after_a_week) == 7 * DAY and recipes.negative_after(YOUNG, share) == YOUNG.negative_after
    found = recipes.rows(MADE, FRAUD, YOUNG, LabelKnowledge(as_of, after_a_week))
    assert found.times[~found.examples.labels].max() <= microseconds(as_of - 7 * DAY)
    champion = new_model("boosted", {"rounds": 5})
    champion.fit(MADE.training_rows(START + 20 * DAY, FRAUD).examples, None, seed=0, device="cpu")
    judged = ComparedChampion(champion, recipes.usual(FRAUD), LabelKnowledge(START + 20 * DAY, share))
    compared = compare_recipes(QUICK, (YOUNG,), judged, LabelKnowledge(as_of, after_a_week), START + 25 * DAY)
    assert compared.rows.times[~compared.labels].max() <= microseconds(as_of - 7 * DAY)
    assert compared.rows.times[compared.labels].max() > microseconds(as_of - 7 * DAY)


def test_a_row_weighs_half_after_each_half_life() -> None:
    found = recipes.rows(MADE, FRAUD, replace(YOUNG, corrected=False), LabelKnowledge(START + DAYS * DAY, share))
    assert found.examples.weights is not None
    ages = (microseconds(START + DAYS * DAY) - found.times) / A_DAY
    newest = found.examples.weights[np.argmin(ages)] / 0.5 ** (ages.min() / 7)
    np.testing.assert_allclose(found.examples.weights, newest * 0.5 ** (ages / 7), rtol=1e-4)


def test_after_a_change_the_recipe_that_weighs_recent_rows_wins() -> None:
    changed = world(seed=1, changed_on=30)
    as_of, since = START + 36 * DAY, START + 30 * DAY
    champion = new_model("boosted", {"rounds": 30})
    champion.fit(changed.training_rows(START + 30 * DAY, FRAUD).examples, None, seed=0, device="cpu")
    usual = recipes.usual(FRAUD)
    trainer = RecipeTrainer(changed, FRAUD, "boosted", {"rounds": 30})
    compared = ComparedChampion(champion, usual, LabelKnowledge(since, share))
    found = compare_recipes(trainer, (usual, YOUNG), compared, LabelKnowledge(as_of, share), since)
    values = {name: found.value(name) for name in found.scores}
    assert values["young"] > values[usual.name] > 2 * values["champion"]
    assert found.positives == (changed.labels_at(as_of)[changed.times > microseconds(since)] == 1).sum()


def test_nobody_is_compared_on_rows_that_were_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    as_of, since = START + 20 * DAY, START + 15 * DAY
    held_out: list[np.ndarray] = []
    fit = RecipeTrainer.fit

    def spy(*arguments: Any, **named: Any) -> Any:
        held_out.append(named["without"])
        return fit(*arguments, **named)

    monkeypatch.setattr(RecipeTrainer, "fit", spy)
    champion = new_model("boosted", {"rounds": 5})
    champion.fit(MADE.training_rows(as_of, FRAUD).examples, None, seed=0, device="cpu")
    # The champion learned from half of the events too: its recipe is cross-fitted like the others.
    knowing = ComparedChampion(champion, recipes.usual(FRAUD), LabelKnowledge(since + 2 * DAY, share))
    found = compare_recipes(QUICK, (YOUNG,), knowing, LabelKnowledge(as_of, share), since)
    # Threads fit in any order: each half is left out twice, by the recipe and by the champion's.
    one, two = (np.frombuffer(half, np.bool_) for half in {mask.tobytes() for mask in held_out})
    assert not (one & two).any() and [sum((mask == half).all() for mask in held_out) for half in (one, two)] == [2, 2]
    assert ((one | two) == (MADE.times > microseconds(since))).all()
    assert len(found.labels) == len(found.scores["young"]) == len(found.scores["champion"])
    assert not set(MADE.blocks[one]) & set(MADE.blocks[two])


def test_a_champion_is_compared_by_the_halves_it_was_chosen_by() -> None:
    since, then, now = START + 15 * DAY, START + 21 * DAY, START + 26 * DAY
    before = new_model("boosted", {"rounds": 5})
    before.fit(MADE.training_rows(since, FRAUD).examples, None, seed=0, device="cpu")

    def quicker(ages: np.ndarray) -> np.ndarray:
        return 1 - np.exp(-np.asarray(ages) / 3.0)

    former = ComparedChampion(before, recipes.usual(FRAUD), LabelKnowledge(since, share))
    first = compare_recipes(QUICK, (YOUNG,), former, LabelKnowledge(then, quicker), since)
    # Of a champion that comes from elsewhere the same two models are fitted again, as the delay was known then.
    promoted = ComparedChampion(before, YOUNG, LabelKnowledge(then, quicker))
    seen = [
        compare_recipes(QUICK, (YOUNG,), champion, LabelKnowledge(now, share), since)
        for champion in (promoted, replace(promoted, halves=first.halves["young"]))
    ]
    np.testing.assert_array_equal(seen[0].scores["champion"], seen[1].scores["champion"])
    assert (seen[0].scores["champion"] != seen[0].scores["young"]).any()


def test_a_mean_of_recipes_predicts_between_them_and_is_compared_as_it_would_be_fitted() -> None:
    as_of, since = START + 30 * DAY, START + 20 * DAY
    parts = (YOUNG, replace(YOUNG, name="younger", half_life=2 * DAY))
    together = recipes.mean(parts)
    assert together.name == "mean of young, younger"
    knowledge = LabelKnowledge(as_of, share)
    single = [QUICK.fit(part, knowledge) for part in parts]
    made = QUICK.fit(together, knowledge)
    chances = np.array([model.predict(MADE.features) for model in (made, *single)])
    logits = np.log(chances / (1 - chances))
    np.testing.assert_allclose(logits[0], logits[1:].mean(axis=0), atol=1e-9)
    champion = ComparedChampion(single[0], YOUNG, LabelKnowledge(since, share))
    both = compare_recipes(QUICK, (together, *parts), champion, knowledge, since)
    alone = compare_recipes(QUICK, (together,), champion, knowledge, since)
    np.testing.assert_array_equal(both.scores[together.name], alone.scores[together.name])
    assert list(alone.scores) == ["champion", together.name]
    held, now = MADE.times > microseconds(since), both.halves[together.name].models
    fitted = [QUICK.fit(together, knowledge, held & (MADE.blocks % 2 == half)) for half in range(2)]
    for one, other in zip(now, fitted, strict=True):
        np.testing.assert_array_equal(one.predict(MADE.features), other.predict(MADE.features))


def test_a_single_recipe_is_taken_where_it_is_better_beyond_noise_only() -> None:
    labels = MADE.labels.at(NEVER - 1, len(MADE)) == 1
    rows = MADE.rows(np.ones(len(MADE), np.bool_), labels)
    rng = np.random.default_rng(0)
    single, together = YOUNG, recipes.mean((YOUNG, replace(YOUNG, name="younger")))
    lucky = 0
    for better, noise in ((0.0, 0.1),) * 8 + ((2.0, 0.0), (-2.0, 0.0)):
        base = rng.normal(size=len(labels)) + 2 * labels
        other = base + better * labels + noise * rng.normal(size=len(labels))
        found = Comparison(rows, {together.name: base, single.name: other})
        values = {name: found.value(name) for name in found.scores}
        lucky += better == 0 and values[single.name] > values[together.name]
        assert chosen(found, (single, together), values, 0) == (single if better > 0 else together)
    assert lucky


def test_every_recipe_that_a_model_may_name_is_found_again() -> None:
    decision = RetrainingDecision(START, True, "alarm", "", START.date(), 0)
    for asked in (decision, replace(decision, episode=None)):
        for recipe in choices_of(FRAUD, asked, "boosted"):
            assert recipes.recipe_named(FRAUD, recipe.name) == recipe
    assert not any(recipe.parts for recipe in choices_of(FRAUD, decision, "tabular_mlp"))
    assert not any(recipe.parts for recipe in choices_of(of_every_kind(DELAYS), decision, "boosted")), "it reads a text"


@with_examples(50)
@given(moment=st.integers(0, 60), seed=st.integers(0, 5))
def test_labels_at_a_moment_are_the_versions_that_hold(moment: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 30
    starts = np.sort(rng.integers(0, 60, (count, 2)), axis=1)
    versions = [(row, bool(rng.random() < 0.5), a, b) for row, (a, b) in enumerate(starts.tolist()) if a < b]
    versions += [(row, not value, end, NEVER) for row, value, _, end in versions[::2]]
    order = rng.permutation(len(versions))
    rows, values, known, until = (np.array(column) for column in zip(*(versions[n] for n in order), strict=True))
    found = LabelVersions(rows, values, known, until).at(moment, count)
    for row in range(count):
        holds = [value for r, value, a, b in versions if r == row and a <= moment < b]
        assert found[row] == (int(holds[0]) if holds else UNKNOWN)

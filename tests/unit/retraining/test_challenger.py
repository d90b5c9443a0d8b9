"""After a change a challenger is trained on young labels and judged by its comparison; a mistake is taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import write_deltalake
from worlds.small_history import START, world, write

from jobs import settings
from jobs.backtesting import reproduce
from jobs.backtesting.replay import instantly
from jobs.datasets.history import History, LabelVersions, table
from jobs.evaluation.evaluate import ContenderVersion, evaluate
from jobs.ground_truth import held_out_scores
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import challenges, promotions
from jobs.ledger.promotions import DecisionKind
from jobs.limits import Limits
from jobs.models.catalog import new_model
from jobs.models.features import values_of
from jobs.models.protocol import Model
from jobs.models.runtime import score
from jobs.problem import Family, Rule
from jobs.promotion import promote
from jobs.registry import bundle, model_versions
from jobs.registry.bundle import Bundle, Manifest
from jobs.registry.champion_bundles import Champions
from jobs.retraining import challenger, rollback
from jobs.retraining.comparison import Challenge, challenge
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.retraining.policy import RetrainingDecision
from jobs.settings import Settings
from jobs.times import NEVER, microseconds
from jobs.training import recipes
from jobs.training.recipe_trainer import ComparedChampion, RecipeTrainer
from jobs.training.recipes import LabelKnowledge
from jobs.use_cases.fraud import FRAUD, PROBLEM

DAY = timedelta(days=1)
CHANGED, NOW = 60, datetime(2026, 11, 22, tzinfo=UTC)
PARAMETERS = {"rounds": 40, "num_leaves": 7}
SMALL = replace(
    FRAUD,
    problem=replace(
        PROBLEM,
        families=(Family("boosted", fixed=PARAMETERS),),
        inputs=(),
        slices=(),
        rules=(),
        limits=Limits(latency_ms=1000.0),
    ),
)
CHAMPION = 100
"""Not a version of MLflow's, which counts from 1."""


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


def fitted(home: Settings, history: History, until: datetime, version: int, noise: float = 0.0) -> Bundle:
    """A model of what was known at a moment, or one that hardly listens to it."""
    examples = history.training_rows(until, SMALL).examples
    known = values_of(examples.features)
    features = known + noise * np.random.default_rng(0).normal(size=known.shape)
    model = new_model("boosted", PARAMETERS)
    model.fit(replace(examples, features=features.astype(np.float32)), None, seed=0, device="cpu")
    names = tuple((name, "float32") for name in history.names)
    manifest = Manifest("fraud", "boosted", names, 0.5, until.isoformat(), {"parameters": PARAMETERS, "steps": 40})
    return bundle.write(model_versions.bundle_folder(home, SMALL, version), model, manifest)


class Registry:
    """MLflow's registry, which does not know the champions of these tests: aliases are nobody's business here."""

    fetch = staticmethod(model_versions.fetch)
    latest_candidate = staticmethod(model_versions.latest_candidate)
    register_baseline = staticmethod(model_versions.register_baseline)

    def set_aliases(self, *arguments: object) -> None:
        """Nobody asks for them."""


REGISTRY = Registry()


def promoted(
    home: Settings, made: Bundle, version: int, against: int | None, at: datetime, kind: DecisionKind = "promotion"
) -> None:
    row = promotions.PromotionDecision(
        "fraud", NOW, at, kind, "promoted", "better", "evergreen", True, version, made.sha256, against, f"{version}"
    )
    assert promotions.decide(home, row).outcome == "promoted"


def changed(home: Settings, days_after: int) -> tuple[Lakehouse, Champions, RetrainingDecision]:
    """A world that changed so many days ago, its champion, and the decision to learn it."""
    history = world(seed=2, changed_on=CHANGED, days=CHANGED + days_after)
    as_of, began = START + (CHANGED + days_after) * DAY, START + CHANGED * DAY
    promoted(home, fitted(home, history, began - 10 * DAY, CHAMPION), CHAMPION, None, began - 10 * DAY)
    decision = RetrainingDecision(as_of, True, "alarm", "change", began.date(), 40, ("drift",))
    return write(home, history, SMALL, as_of), Champions(home), decision


def test_a_challenger_learns_the_change_and_is_promoted(home: Settings) -> None:
    lakehouse, champions, decision = changed(home, 7)
    made = challenger.make(lakehouse, SMALL, champions, decision)
    assert made.version is not None and "half-life" in made.reason and made.trained is not None
    manifest = model_versions.fetch(home, SMALL, made.version).manifest
    assert "comparison" not in manifest.training and manifest.training["recipe"] in made.reason
    record = challenges.of_bundle(home, SMALL, made.trained.bundle.sha256)
    assert record is not None and (record.champion_version, record.as_of) == (CHAMPION, decision.as_of)
    assert manifest.training["versions"]["fraud.labels"] == 0
    judged, said = promote.promote(lakehouse, SMALL, REGISTRY, decision.as_of, NOW)
    assert said is not None and said.outcome == "promoted", judged
    assert "better beyond noise since the change" in said.reason and said.evidence["positives"] > 0
    standing = promotions.champion(home, SMALL)
    assert standing is not None and standing.version == made.version and standing.since == decision.as_of
    assert "half-life" in made.card
    again = reproduce.reproduce(lakehouse, SMALL, made.version)
    assert [each.name for each in again] == ["steps", "sha256 of model.onnx"] and all(each.equal for each in again)


def test_a_challenger_without_evidence_in_the_ledger_is_refused_whatever_its_manifest_claims(home: Settings) -> None:
    lakehouse, champions, decision = changed(home, 7)
    made = challenger.make(lakehouse, SMALL, champions, decision)
    assert made.trained is not None
    record = challenges.of_bundle(home, SMALL, made.trained.bundle.sha256)
    claims = {"comparison": {"better": True, "lower": 0.5, "champion": CHAMPION}, "recipe": "half-life 7 days"}
    manifest = replace(made.trained.bundle.manifest, training=claims, files={})
    liar = bundle.write(home.home / "liar", made.trained.bundle.model(), manifest)
    incumbent = ContenderVersion(CHAMPION, bundle.open_bundle(model_versions.bundle_folder(home, SMALL, CHAMPION)))
    assert challenges.of_bundle(home, SMALL, liar.sha256) is None
    verdict = evaluate(lakehouse, SMALL, ContenderVersion(7, liar), incumbent, decision.as_of)
    assert not verdict.promoted and "the ledger holds no challenge of it; train again" in verdict.reasons[0]
    # The same bundle with its evidence is judged by that, and by nothing that it says of itself.
    assert record is not None
    assert evaluate(lakehouse, SMALL, ContenderVersion(7, liar), incumbent, decision.as_of, record).promoted
    better, *others = record.evidence["checks"]
    lost = {**record.evidence, "checks": [{**better, "outcome": "failed", "said": "not better"}, *others]}
    measured = replace(record, evidence=lost)
    verdict = evaluate(lakehouse, SMALL, ContenderVersion(7, liar), incumbent, decision.as_of, measured)
    assert verdict.reasons == ("not better",)


def test_a_challenger_that_does_not_beat_a_rule_is_refused(home: Settings) -> None:
    lakehouse, champions, decision = changed(home, 7)
    assert SMALL.problem is not None
    # After the change frauds are the rows with a high second feature, which this rule happens to rank by.
    lucky = replace(SMALL, problem=replace(SMALL.problem, rules=(Rule("lucky", ("b",)),)))
    challenger.make(lakehouse, lucky, champions, decision)
    _, said = promote.promote(lakehouse, lucky, REGISTRY, decision.as_of, NOW)
    assert said is not None and said.outcome == "refused" and "of rule lucky" in said.reason
    assert said.evidence["checks"]["better_than_champion"]["outcome"] == "passed"


def test_a_challenger_that_breaks_a_guard_slice_is_refused() -> None:
    history = world(seed=2, changed_on=CHANGED, days=CHANGED + 20)
    began, as_of = START + CHANGED * DAY, START + (CHANGED + 20) * DAY
    share = MonitoredHistory.of(history, SMALL).delay(as_of).share
    decision = RetrainingDecision(as_of, True, "alarm", "change", began.date(), 90)
    # In the slice nothing changed: frauds there are still the rows with a high first feature.
    after = history.times >= microseconds(began)
    old = (np.arange(len(history)) % 4 == 0) & after
    fraud = np.where(after & ~old, values_of(history.features)[:, 1], values_of(history.features)[:, 0]) > 1.5
    rows = np.flatnonzero(fraud)
    labels = LabelVersions(rows, np.ones(len(rows), bool), history.times[rows], np.full(len(rows), NEVER))
    features = np.where(old[:, None], values_of(history.features) * [1, 0, 1], values_of(history.features)).astype(
        np.float32
    )
    guarded = replace(history, labels=labels, features=features, slices={"unchanged": old})
    trainer = RecipeTrainer(guarded, SMALL, "boosted", PARAMETERS)
    model = trainer.fit(recipes.usual(SMALL), LabelKnowledge(began, share))
    # A champion that is perfect where nothing changed, and worthless elsewhere.
    careful: Any = Careful(model, guarded, old)
    champion = ComparedChampion(careful, recipes.usual(SMALL), LabelKnowledge(began - DAY, share))
    found = challenge(trainer, champion, decision, share, 0)
    outcomes = {check.name: check.outcome for check in found.checks}
    assert outcomes["better_than_champion"] == "passed" and outcomes["slice:unchanged"] == "failed"
    assert not found.better and "slice unchanged is worse beyond noise" in found.reasons[0]


class Careful:
    """Knows every fraud of some rows, which it recognises by their features, and guesses at all others."""

    def __init__(self, model: object, history: History, known: np.ndarray) -> None:
        self.truth = {values_of(history.features)[row].tobytes(): True for row in history.labels.rows if known[row]}

    def predict(self, features: np.ndarray) -> np.ndarray:
        return np.array([0.9 if row.tobytes() in self.truth else 0.1 for row in features])


def test_a_challenge_is_made_once(home: Settings) -> None:
    lakehouse, champions, decision = changed(home, 7)
    first = challenger.make(lakehouse, SMALL, champions, decision)
    again = challenger.make(lakehouse, SMALL, champions, decision)
    assert again.version == first.version and "registered before" in again.reason


def test_a_champion_that_knows_the_world_stays(home: Settings) -> None:
    history = world(seed=9, days=80)
    blur = np.random.default_rng(9).normal(size=values_of(history.features).shape)
    history = replace(history, features=(values_of(history.features) + 0.5 * blur).astype(np.float32))
    as_of = START + 80 * DAY
    # It learned from every label of the days before, those that nobody had reported yet too.
    omniscient = fitted(home, instantly(history), as_of - 10 * DAY, CHAMPION)
    promoted(home, omniscient, CHAMPION, None, as_of - 10 * DAY)
    lakehouse = write(home, history, SMALL, as_of)
    false_alarm = RetrainingDecision(as_of, True, "alarm", "change", (as_of - 10 * DAY).date(), 40, ("drift",))
    made = challenger.make(lakehouse, SMALL, Champions(home), false_alarm)
    _, said = promote.promote(lakehouse, SMALL, REGISTRY, as_of, NOW)
    assert made.version is not None and said is not None and said.outcome == "refused"
    assert "not better beyond noise" in said.reason


def test_a_champion_of_the_same_change_stays_only_if_it_is_better() -> None:
    history = world(seed=2, changed_on=CHANGED, days=CHANGED + 10)
    began, as_of = START + CHANGED * DAY, START + (CHANGED + 10) * DAY
    share, recipe = MonitoredHistory.of(history, SMALL).delay(as_of).share, recipes.recent()[1]
    decision = RetrainingDecision(as_of, True, "growth", "change", began.date(), 90)

    trainer = RecipeTrainer(history, SMALL, "boosted", PARAMETERS)

    def against(model: Model, until: datetime) -> Challenge:
        champion = ComparedChampion(model, recipe, LabelKnowledge(until, share))
        return challenge(trainer, champion, decision, share, 0)

    earlier = trainer.fit(recipe, LabelKnowledge(began + 6 * DAY, share))
    follows = against(earlier, began + 6 * DAY)
    assert follows.better == (follows.numbers["upper"] > 0) and follows.better
    stranger = against(earlier, began - DAY)
    assert stranger.better == (stranger.numbers["lower"] > 0)


def test_a_challenger_of_a_former_champion_is_refused(home: Settings) -> None:
    lakehouse, champions, decision = changed(home, 7)
    challenger.make(lakehouse, SMALL, champions, decision)
    other = fitted(home, world(seed=5), START + 30 * DAY, CHAMPION + 1)
    promoted(home, other, CHAMPION + 1, CHAMPION, decision.as_of - DAY)
    _, said = promote.promote(lakehouse, SMALL, REGISTRY, decision.as_of, NOW)
    assert said is not None and said.outcome == "refused"
    assert f"compared with version {CHAMPION}, but version {CHAMPION + 1} is in production now" in said.reason


def test_without_a_champion_there_is_nobody_to_challenge(home: Settings) -> None:
    history = world(seed=2)
    lakehouse = write(home, history, SMALL, START + 40 * DAY)
    decision = RetrainingDecision(START + 40 * DAY, True, "alarm", "change", START.date(), 40)
    with pytest.raises(ValueError, match="expected a champion to challenge, found none"):
        challenger.make(lakehouse, SMALL, Champions(home), decision)


def two_champions(home: Settings, noise: float, kind: DecisionKind = "promotion") -> tuple[Lakehouse, datetime]:
    """A stable world in which a second champion took over on day 50, listening as badly as `noise`."""
    history = world(seed=4, days=85, delay_days=2.0)
    since, as_of = START + 50 * DAY, START + 85 * DAY
    promoted(home, fitted(home, history, START + 35 * DAY, CHAMPION), CHAMPION, None, START + 35 * DAY)
    promoted(home, fitted(home, history, since, CHAMPION + 1, noise), CHAMPION + 1, CHAMPION, since, kind)
    return write(home, history, SMALL, as_of), as_of


def test_a_promotion_that_was_a_mistake_is_taken_back(home: Settings) -> None:
    lakehouse, as_of = two_champions(home, noise=3.0)
    found, decision = rollback.check(lakehouse, SMALL, REGISTRY, Champions(home), as_of, NOW)
    assert found.worse and decision is not None
    assert (decision.kind, decision.by, decision.model_version) == ("rollback", "evergreen", CHAMPION)
    assert "the former champion would have had" in decision.reason
    standing = promotions.champion(home, SMALL)
    assert standing is not None and standing.version == CHAMPION
    again, nothing = rollback.check(lakehouse, SMALL, REGISTRY, Champions(home), as_of, NOW)
    assert nothing is None and not again.worse


def test_a_promotion_that_held_stays(home: Settings) -> None:
    lakehouse, as_of = two_champions(home, noise=0.0)
    found, decision = rollback.check(lakehouse, SMALL, REGISTRY, Champions(home), as_of, NOW)
    assert decision is None and found.positives > 50 and not found.worse


def test_what_a_person_chose_stays(home: Settings) -> None:
    lakehouse, as_of = two_champions(home, noise=3.0, kind="approval")
    found, decision = rollback.check(lakehouse, SMALL, REGISTRY, Champions(home), as_of, NOW)
    assert decision is None and "by approval" in found.message


def test_too_few_mature_labels_say_nothing(home: Settings) -> None:
    lakehouse, _ = two_champions(home, noise=3.0)
    soon = START + 52 * DAY
    found, decision = rollback.check(lakehouse, SMALL, REGISTRY, Champions(home), soon, NOW)
    assert decision is None and "mature positives are known" in found.message


def test_a_challenger_is_not_calibrated_on_what_it_learned_from(home: Settings) -> None:
    as_of, until = START + 70 * DAY, START + 80 * DAY
    history = world(days=90)
    lakehouse = write(home, history, SMALL, START + 90 * DAY)
    made = fitted(home, history, as_of, CHAMPION)
    for training in ({"recipe": "half-life 7 days"}, {}):
        model = replace(made, manifest=replace(made.manifest, training=training))
        found = held_out_scores.held_out(lakehouse, SMALL, model, START, until)
        times = history.times[found.ids]
        assert len(times) > 1000 and (times > microseconds(as_of)).all() and (times <= microseconds(until)).all()


def test_held_out_events_are_scored_once_until_one_of_their_days_is_written_again(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_of, until = START + 50 * DAY, START + 60 * DAY
    history = world(days=70)
    lakehouse = write(home, history, SMALL, START + 70 * DAY)
    model = fitted(home, history, as_of, CHAMPION)
    rows: list[int] = []

    def counted(runtime: Any, features: Any) -> Any:
        rows.append(len(features))
        return score(runtime, features)

    monkeypatch.setattr(held_out_scores, "score", counted)
    first = held_out_scores.held_out(lakehouse, SMALL, model, START, until)
    again = held_out_scores.held_out(lakehouse, SMALL, model, START, until)
    assert rows == [len(first.ids)] and np.array_equal(first.ids, again.ids)
    assert np.array_equal(first.scores, again.scores)
    assert len(held_out_scores.held_out(lakehouse, SMALL, model, START, until - DAY).ids) < len(first.ids)
    held_out_scores.held_out(lakehouse, SMALL, model, START, until)
    rows.clear()
    name, day = table(SMALL), (START + 55 * DAY).date()
    of_day = lakehouse.to_arrow(name, filters=[("event_date", "=", day)])
    write_deltalake(lakehouse.path(name), of_day.slice(1), mode="overwrite", predicate=f"event_date = '{day}'")
    fewer = held_out_scores.held_out(lakehouse, SMALL, model, START, until)
    assert rows == [len(fewer.ids)] == [len(first.ids) - 1]

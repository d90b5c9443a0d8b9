"""Texts in models: words with weights, in the model and in its graph alike."""

import gc
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from jobs.errors import Invalid
from jobs.models import words
from jobs.models.catalog import load_model, new_model
from jobs.models.features import concatenated, texts_of, values_of
from jobs.models.graphs import category_names, feature_names
from jobs.models.label_shares import with_label_shares
from jobs.models.parity import check_parity
from jobs.models.protocol import Examples, Model
from jobs.models.runtime import score, session
from jobs.models.tables import examples_of, features_of
from jobs.models.texts import BUCKETS, MOST_CHARACTERS, compared, compared_names, words_of
from jobs.objective import LOG_LOSS, MEAN_ABSOLUTE_ERROR
from jobs.simulate import text_world
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression

NAMES, OTHERS = ("one", "note[words]", "kind", "two"), ("one", "kind", "two")
FAMILIES: dict[str, dict[str, Any]] = {
    "logistic": {},
    "boosted": {"rounds": 60, "min_data_in_leaf": 20, "learning_rate": 0.1},
    "tabular_mlp": {"members": 2, "width": 16, "bins": 8, "epochs": 5, "batch_size": 128, "learning_rate": 5e-3},
}
TRAIN, TEST = (text_world.rows(seed, 3000)[0] for seed in (1, 2))
EXAMPLES, HELD_OUT = (examples_of(table, NAMES, "label") for table in (TRAIN, TEST))
HOSTILE = [
    "", " ", "!?", None, "Ünknown wörds", "日本", "\0 word1", "WORD1, Word1; word1", "x" * 5000, "word1 " * 300,
    "wOrD1", "“word2”", "word1\u200bword2",
]  # fmt: skip
every_family = pytest.mark.parametrize("family", list(FAMILIES))


def fitted(family: str, train: Examples = EXAMPLES) -> Model:
    model = new_model(family, FAMILIES.get(family), train.names)
    model.fit(train, None, seed=3, device="cpu")
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {family: fitted(family) for family in FAMILIES}


def precision(model: Model, rows: Examples) -> float:
    return float(average_precision_score(rows.labels, model.predict(rows.features)))


def with_notes(notes: list[str | None], table: pa.Table = TEST) -> pa.Table:
    place = table.column_names.index("note")
    return table.slice(0, len(notes)).set_column(place, "note", pa.array(notes, pa.string()))


def usual_precision() -> float:
    """Of scikit-learn's tf-idf and logistic regression, which see the words alone, on the same rows."""
    vectorizer = TfidfVectorizer(min_df=words.FEWEST_ROWS)
    train, test = (table["note"].to_pylist() for table in (TRAIN, TEST))
    regression = LogisticRegression(max_iter=500).fit(vectorizer.fit_transform(train), EXAMPLES.labels)
    scores = regression.decision_function(vectorizer.transform(test))
    return float(average_precision_score(HELD_OUT.labels, scores))


@every_family
def test_a_text_lifts_every_family_to_where_words_alone_reach(models: dict[str, Model], family: str) -> None:
    """Without the words the average precision is about .25; the truth has .81."""
    without = fitted("logistic", examples_of(TRAIN, OTHERS, "label"))
    alone = precision(without, examples_of(TEST, OTHERS, "label"))
    assert precision(models[family], HELD_OUT) > max(usual_precision() - 0.02, alone + 0.3), (usual_precision(), alone)


@every_family
def test_graph_and_stored_model_say_the_same_of_known_unknown_and_missing_words(
    models: dict[str, Model], family: str, tmp_path: Path
) -> None:
    model = models[family]
    rows = concatenated([HELD_OUT.features[:300], features_of(with_notes(HOSTILE), NAMES)])
    graph = model.to_onnx()
    assert max(check_parity(graph, model.predict, rows).values()) < 1e-5
    assert (feature_names(graph), category_names(graph)) == (NAMES, ("note[words]", "kind"))
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").predict(rows), model.predict(rows))


def test_a_missing_text_is_told_from_one_without_known_words(models: dict[str, Model]) -> None:
    encoded = models["logistic"]._words.numbered(features_of(with_notes([None, "", "!", "never seen"]), NAMES))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(values_of(encoded)[:, 1], [np.nan, np.nan, 0.0, 0.0])


@pytest.mark.parametrize("family", ["logistic", "boosted"])
def test_what_a_text_added_is_one_feature_and_adds_up_to_the_score(models: dict[str, Model], family: str) -> None:
    model, rows = models[family], HELD_OUT.features[:200]
    added = model.contributions(rows, rows)  # type: ignore[attr-defined]
    assert added.shape == (200, len(NAMES) + 1)
    np.testing.assert_allclose(1 / (1 + np.exp(-added.sum(axis=1))), model.predict(rows), atol=1e-6)
    assert np.abs(added[:, :-1]).mean(axis=0).argmax() == 1


def test_words_are_weighed_as_by_scikit_learn_where_none_repeats() -> None:
    notes = [f"A{n % 7} b{n % 3} c{n % 5}." for n in range(400)]
    labels = np.random.default_rng(0).random(400) < np.array([n % 7 / 7 for n in range(400)])
    train = examples_of(pa.table({"note": notes, "label": labels}), ["note[words]"], "label")
    learned, _ = words.learned(train)
    design = TfidfVectorizer().fit_transform(notes)
    expected = design @ LogisticRegression(max_iter=500).fit(design, labels).coef_[0]
    np.testing.assert_allclose(values_of(learned.numbered(train.features))[:, 0], expected, atol=1e-3)


def test_words_that_say_nothing_seem_to_say_nothing_to_the_rows_they_were_learned_from() -> None:
    """With weights that saw the rows' own labels, noise would tell them: the correlation would be about .5."""
    random = np.random.default_rng(0)
    notes = [" ".join(f"w{n}" for n in random.integers(0, 200, 4)) for _ in range(3000)]
    table = pa.table({"note": notes, "label": random.random(3000) < 0.3})
    _, numbered = words.learned(examples_of(table, ["note[words]"], "label"))
    assert abs(np.corrcoef(values_of(numbered.features)[:, 0], numbered.labels)[0, 1]) < 0.05


def test_words_of_the_same_rows_are_learned_once_and_forgotten_with_them() -> None:
    train = EXAMPLES.rows(slice(0, 300))
    first = words.learned(train)
    assert words.learned(train) is first and words.learned(EXAMPLES.rows(slice(0, 300))) is not first
    known = len(words._known)
    del train
    gc.collect()
    assert len(words._known) < known


def test_several_classes_have_a_number_each_and_numbers_one(tmp_path: Path) -> None:
    topics = np.random.default_rng(1).integers(0, 3, 900)
    said = [f"about thing{topic} and thing{n % 4}" for n, topic in enumerate(topics.tolist())]
    table = pa.table({"note": said, "one": np.zeros(900), "label": [f"topic {n}" for n in topics.tolist()]})
    task = Multiclass(LOG_LOSS)
    train = examples_of(table, ["note[words]", "one"], "label", task=task)
    model = fitted("boosted", train)
    assert (model.predict(train.features).argmax(axis=1) == train.labels).mean() > 0.7
    check_parity(model.to_onnx(), model.predict, train.features[:200])
    assert model.contributions(train.features[:5], train.features).shape == (5, 3, 3)  # type: ignore[attr-defined]
    numbers = table.set_column(2, "label", pa.array(topics.astype(float)))
    train = examples_of(numbers, ["note[words]", "one"], "label", task=Regression(MEAN_ABSOLUTE_ERROR))
    model = new_model("linear", {}, train.names)
    model.fit(train, None, seed=0, device="cpu")
    assert np.corrcoef(model.predict(train.features), train.labels)[0, 1] > 0.5
    model.save(tmp_path / "model")
    rows, again = train.features[:50], load_model(tmp_path / "model")
    np.testing.assert_allclose(score(session(model.to_onnx()), rows), again.predict(rows), rtol=1e-5)


@pytest.mark.parametrize("notes", [[None] * 100, [""] * 100, ["?"] * 100, [f"once{n}" for n in range(100)]])
def test_texts_of_which_no_word_is_known_are_learned_around(notes: list[str | None]) -> None:
    model = fitted("boosted", examples_of(with_notes(notes, TRAIN), NAMES, "label"))
    check_parity(model.to_onnx(), model.predict, HELD_OUT.features[:50])


def test_only_the_beginning_of_a_text_is_read() -> None:
    rows = features_of(with_notes(["ä" * 5000]), NAMES)
    assert len(texts_of(rows)[1][0].as_py()) == MOST_CHARACTERS


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_words_are_what_punctuation_and_spaces_part(text: str) -> None:
    apart = r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xbf\u2000-\u206f\u3000-\u303f]+"
    assert words_of(pa.array([text], pa.string()))[0].to_pylist() == [word for word in re.split(apart, text) if word]


def test_a_model_that_was_not_told_of_texts_refuses_them() -> None:
    with pytest.raises(Invalid, match=r"expected no texts, found \['note\[words\]'\]"):
        new_model("boosted").fit(EXAMPLES, None, seed=0, device="cpu")


def test_texts_are_compared_by_how_many_words_they_have_of_each_kind() -> None:
    rows = features_of(with_notes(["Word1 word1 word2.", None, "?"]), NAMES)
    numbers, names = compared(rows, NAMES), compared_names(NAMES)
    assert numbers.shape == (3, len(names)) == (3, 3 + 1 + BUCKETS)
    note = numbers[:, [name.startswith("note[") for name in names]]
    assert sorted(note[0].tolist()) == [0.0] * (BUCKETS - 2) + [1.0, 2.0, 3.0]
    assert note[0, 0] == 3 and np.isnan(note[1]).all() and (note[2] == 0).all()
    np.testing.assert_array_equal(numbers[:, 0], values_of(rows)[:, 0])


def test_a_word_that_is_the_label_in_disguise_shows_as_one() -> None:
    random = np.random.default_rng(0)
    labels = random.random(1000) < 0.2
    notes = [f"{'chargeback' if yes else 'settled'} {n % 13}" for n, yes in enumerate(labels.tolist())]
    rows = features_of(pa.table({"note": notes}), ["note[words]"])
    shares = with_label_shares(rows, labels, ["note[words]"])
    assert average_precision_score(labels, shares[:, 0]) > 0.9999

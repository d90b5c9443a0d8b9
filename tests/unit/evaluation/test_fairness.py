"""Group metrics against counts by hand: planted differences are found, and noise of few rows is not called one."""

import math

import numpy as np

from jobs.evaluation import fairness


def many(**counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and decisions with so many true positives, false negatives, false positives and true negatives."""
    kinds = {"tp": (1, 1), "fn": (1, 0), "fp": (0, 1), "tn": (0, 0)}
    pairs = np.array([kinds[kind] for kind, count in counts.items() for _ in range(count)], dtype=bool)
    return pairs[:, 0], pairs[:, 1]


def two_groups() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    north, south = many(tp=40, fn=10, fp=10, tn=90), many(tp=20, fn=30, fp=40, tn=160)
    labels, decisions = (np.concatenate(parts) for parts in zip(north, south, strict=True))
    inside = np.arange(len(labels)) < len(north[0])
    return labels, decisions, {"region:north": inside, "region:south": ~inside}


def test_every_rate_by_hand() -> None:
    labels, decisions, masks = two_groups()
    [found] = fairness.report(labels, decisions, masks)
    assert found.name == "region" and list(found.groups) == ["north", "south"]
    assert found.groups["north"] == {
        "rows": 150, "positives": 50, "selection_rate": 50 / 150, "recall": 0.8, "false_positive_rate": 0.1,
        "precision": 0.8,
    }  # fmt: skip
    assert found.groups["south"]["recall"] == 0.4 and found.overall["recall"] == 0.6
    assert math.isclose(found.differences["recall"], 0.4)
    assert math.isclose(found.differences["false_positive_rate"], 0.1)


def test_a_group_that_is_a_coin_shows_no_difference() -> None:
    rng = np.random.default_rng(0)
    labels, decisions = rng.random(20_000) < 0.3, rng.random(20_000) < 0.2
    group = rng.random(20_000) < 0.5
    [found] = fairness.report(labels, decisions, {"g:a": group, "g:b": ~group})
    assert all(difference < 0.03 for difference in found.differences.values())


def test_few_rows_are_shown_but_make_no_difference() -> None:
    labels, decisions, masks = two_groups()
    few = many(tp=2, fn=0, fp=3, tn=0)
    both = [np.concatenate(parts) for parts in zip((labels, decisions), few, strict=True)]
    padded = {name: np.append(mask, np.zeros(5, bool)) for name, mask in masks.items()}
    padded["region:island"] = ~(padded["region:north"] | padded["region:south"])
    [found] = fairness.report(both[0], both[1], padded)
    assert found.groups["island"]["recall"] == 1.0
    assert math.isclose(found.differences["recall"], 0.4)


def test_what_cannot_be_divided_is_no_number() -> None:
    labels, decisions = many(fp=40, tn=40)
    [found] = fairness.report(labels, decisions, {"g:all": np.ones(80, bool)})
    assert math.isnan(found.groups["all"]["recall"]) and math.isnan(found.differences["recall"])
    assert found.groups["all"]["precision"] == 0


def test_rows_of_no_group_and_declarations_without_rows() -> None:
    labels, decisions, masks = two_groups()
    nobody = np.zeros(len(labels), bool)
    half = masks["region:north"]
    found = fairness.report(labels, decisions, {"region:north": half, "tier:gold": nobody})
    assert [r.name for r in found] == ["region", "tier"]
    assert found[0].overall["rows"] == 150 and found[1].groups == {}


def test_counting_alike_rows_first_is_dividing_all_of_them() -> None:
    rng = np.random.default_rng(1)
    labels, decisions, group = rng.random(5_000) < 0.1, rng.random(5_000) < 0.2, rng.integers(0, 6, 5_000)
    [found] = fairness.report(labels, decisions, {f"g:{name}": group == name for name in range(5)})
    for name in range(5):
        of, decided = labels[group == name], decisions[group == name]
        rates = {
            "selection_rate": decided.mean(), "recall": decided[of].mean(), "false_positive_rate": decided[~of].mean(),
            "precision": of[decided].mean(),
        }  # fmt: skip
        assert found.groups[str(name)] == {"rows": len(of), "positives": of.sum(), **rates}

"""The world of a category has the truth that it says, and the same one for every seed."""

from __future__ import annotations

import numpy as np

from jobs.simulate import category_world


def test_labels_are_drawn_from_the_chances_and_kinds_mean_the_same_in_every_sample() -> None:
    (one, chances), (other, others) = (category_world.rows(seed, 60_000) for seed in (1, 2))
    assert one.equals(category_world.rows(1, 60_000)[0]) and not one.equals(other)
    labels = one["label"].to_numpy()
    order = np.argsort(chances)
    for part in np.array_split(order, 5):  # as often as the chances say, within five deviations of a share
        expected = chances[part].mean()
        assert abs(labels[part].mean() - expected) < 5 * (expected * (1 - expected) / len(part)) ** 0.5
    means = [
        table.append_column("chance", [values]).group_by("kind").aggregate([("chance", "mean"), ("chance", "count")])
        for table, values in ((one, chances), (other, others))
    ]
    frequent = [
        {row["kind"]: row["chance_mean"] for row in each.to_pylist() if row["chance_count"] > 1000} for each in means
    ]
    assert len(frequent[0]) > 5 and frequent[0].keys() == frequent[1].keys()
    assert np.corrcoef([[each[kind] for kind in frequent[0]] for each in frequent])[0, 1] > 0.99

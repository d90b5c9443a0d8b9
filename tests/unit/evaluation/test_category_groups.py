"""Groups and slices by a declared category: fairness and the gate come to what is counted by hand."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds.judged_world import AS_OF, USE_CASE

from jobs.datasets.slices import masks
from jobs.evaluation import fairness
from jobs.evaluation.gate import judge
from jobs.evaluation.paired_comparison import ComparedRows, Contender
from jobs.lakehouse.tables import Lakehouse
from jobs.limits import Limits
from jobs.problem import Groups, Slice
from jobs.settings import Settings

KINDS = Groups("kinds", "kind")
TIMES = 40
"""Every pattern is repeated so often, each time by another card, so that it is enough to judge."""


def rows(*patterns: tuple[str | None, list[tuple[int, float]]]) -> tuple[Any, Any, list[str | None]]:
    """Labels, scores and kinds: of each kind its labels with their scores, `TIMES` times."""
    each = [(kind, label, score) for kind, pattern in patterns for label, score in pattern for _ in range(TIMES)]
    kinds, labels, scores = zip(*each, strict=True)
    return np.array(labels, bool), np.array(scores), list(kinds)


def groups_of(home: Settings, kinds: list[str | None], *declared: Groups | Slice) -> dict[str, Any]:
    return masks(Lakehouse(home), USE_CASE, declared, pa.table({"kind": kinds}), AS_OF)[0]


def test_rates_of_each_value_of_a_category(home: Settings) -> None:
    """Of the shop 2 of 3 frauds are found and 1 of 4 others blocked, of the web all 2 and none of 3; an empty text and
    a missing value are in no group, and in no rate."""
    shop = [(1, 0.9), (1, 0.8), (1, 0.1), (0, 0.7), (0, 0.2), (0, 0.1), (0, 0.3)]
    web = [(1, 0.6), (1, 0.9), (0, 0.1), (0, 0.2), (0, 0.4)]
    labels, scores, kinds = rows(("shop", shop), ("web", web), ("", [(1, 0.0)]), (None, [(0, 1.0)]))
    [found] = fairness.report(labels, scores >= 0.5, groups_of(home, kinds, KINDS))
    assert list(found.groups) == ["shop", "web"]
    assert found.groups["shop"] == pytest.approx(
        {"rows": 7 * TIMES, "positives": 3 * TIMES, "selection_rate": 3 / 7, "recall": 2 / 3,
         "false_positive_rate": 1 / 4, "precision": 2 / 3}
    )  # fmt: skip
    assert found.groups["web"] == pytest.approx(
        {"rows": 5 * TIMES, "positives": 2 * TIMES, "selection_rate": 2 / 5, "recall": 1, "false_positive_rate": 0,
         "precision": 1}
    )  # fmt: skip
    assert found.overall["rows"] == 12 * TIMES and found.overall["recall"] == pytest.approx(4 / 5)
    assert found.differences == pytest.approx(
        {"selection_rate": 1 / 35, "recall": 1 / 3, "false_positive_rate": 1 / 4, "precision": 1 / 3}
    )


def test_the_gate_measures_each_value_of_a_category_by_itself(home: Settings) -> None:
    """The candidate has the order right in the shop (average precision 1), and wrong on the web: below a row that is no
    fraud, (1/2 + 2/3) / 2. The champion has the shop wrong, (1/2 + 2/4) / 2, and the web right."""
    right, wrong = [(1, 0.9), (1, 0.8), (0, 0.2)], [(1, 0.8), (1, 0.7), (0, 0.9)]
    labels, mine, kinds = rows(("shop", [(1, 0.9), (1, 0.8), (0, 0.2), (0, 0.1)]), ("web", wrong))
    _, theirs, _ = rows(("shop", [(1, 0.6), (1, 0.3), (0, 0.9), (0, 0.5)]), ("web", right))
    guards = groups_of(home, kinds, KINDS, Slice("either", "kind", values=("web", "phone")))
    verdict = judge(
        Contender("candidate", mine, latency_ms=1.0, size_bytes=1.0, parity_error=0.0), Contender("champion", theirs),
        [Contender("prevalence", np.zeros(len(labels)))], ComparedRows(labels, np.arange(len(labels)) % TIMES, guards),
        Limits(latency_ms=5.0, training_noise=0.0, resamples=200, rows=100),
    )  # fmt: skip
    measured = verdict.evidence["checks"]
    assert measured["slice:kinds:shop"]["alone_candidate"] == pytest.approx(1.0)
    assert measured["slice:kinds:shop"]["alone_champion"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    for name in ("slice:kinds:web", "slice:either"):
        assert measured[name]["alone_candidate"] == pytest.approx((1 / 2 + 2 / 3) / 2)
        assert measured[name]["alone_champion"] == pytest.approx(1.0) and measured[name]["outcome"] == "failed"
    assert not verdict.promoted and "slice kinds:web is worse beyond noise" in " ".join(verdict.reasons)

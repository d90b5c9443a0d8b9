"""Models as they take part in a comparison: scored on the judged rows, a candidate measured too.

Baselines are in `jobs.evaluation.baselines`; who is better is decided by the gate.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.arrays import Floats
from jobs.errors import EvergreenError
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.evaluation.paired_comparison import Contender
from jobs.models import parity, runtime
from jobs.models.tables import features_of
from jobs.registry.bundle import GRAPH, Bundle

if TYPE_CHECKING:
    import onnxruntime

CHUNK = 100_000
"""Rows scored in one call."""
WARM_UP, CALLS, ROUNDS = 50, 300, 3


class Incomparable(EvergreenError, ValueError):
    """A model that cannot be scored on these rows."""


def scored(name: str, bundle: Bundle, rows: EvaluationRows) -> Contender:
    """The model of `bundle` on the judged rows, its own features picked by name.

    Raises:
        Incomparable: the rows lack a feature of the model.
    """
    return Contender(name, aligned(bundle, rows, _scores(bundle.session(), features(bundle, rows))))


def measured(name: str, bundle: Bundle, rows: EvaluationRows) -> Contender:
    """As `scored`, with what limits are set on: latency, size, parity of graph and model on real rows.

    Raises:
        Incomparable: the rows lack a feature of the model, or its graph and the model itself disagree wildly.
    """
    import onnx

    given, session = features(bundle, rows), bundle.session()
    graph = onnx.load_model_from_string(bundle.read(GRAPH))
    try:
        bounded = bundle.manifest.learned.name != "regression"
        compared = given[: max(parity.BATCH_SIZES)]
        result = parity.check_parity(graph, bundle.model().predict, compared, tolerance=1, bounded=bounded)
    except parity.ParityError as error:
        raise Incomparable(str(error)) from error
    scores, milliseconds = aligned(bundle, rows, _scores(session, given)), latency_ms(session, given)
    return Contender(name, scores, milliseconds, bundle.size_bytes, max(result.values()))


def latency_ms(session: onnxruntime.InferenceSession, features: Any) -> float:
    """Milliseconds of one request at the 99th percentile, over real rows one by one.

    The best of some rounds: another process's work is no property of the model.
    """
    singles = [features[n % len(features) :][:1] for n in range(CALLS)]
    for row in singles[:WARM_UP]:
        runtime.score(session, row)
    return min(_percentile_99(session, singles) for _ in range(ROUNDS))


def _percentile_99(session: onnxruntime.InferenceSession, singles: Sequence[Any]) -> float:
    seconds = np.empty(len(singles))
    for n, row in enumerate(singles):
        start = time.perf_counter()
        runtime.score(session, row)
        seconds[n] = time.perf_counter() - start
    return float(np.quantile(seconds, 0.99) * 1000)


def aligned(bundle: Bundle, rows: EvaluationRows, scores: Any) -> Floats:
    """Scores with a column for each class of the rows."""
    aligned: Floats = rows.task.aligned(scores, bundle.manifest.learned.classes)
    return aligned


def features(bundle: Bundle, rows: EvaluationRows) -> Any:
    """The features of the model, of the judged rows.

    Raises:
        Incomparable: the model learned another task, or the rows lack a feature of it.
    """
    names, learned = bundle.manifest.names, bundle.manifest.learned
    if learned.name != rows.task.name:
        raise Incomparable(f"it learned a {learned.name} task, and {rows.task.name} is declared now")
    if missing := sorted(bundle.manifest.columns.keys() - set(rows.table.column_names)):
        raise Incomparable(f"its features {missing} are not in version {rows.version} of the training set any more")
    return features_of(rows.table, names)


def _scores(session: onnxruntime.InferenceSession, features: Any) -> Floats:
    parts = [runtime.score(session, features[start : start + CHUNK]) for start in range(0, len(features), CHUNK)]
    return np.concatenate(parts).astype(np.float64)

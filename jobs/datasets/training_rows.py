"""The rows of a training set as arrays: read at a pinned version without an engine, in an order that never changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools, Floats, first_known, ranks
from jobs.datasets.ages import feature_columns
from jobs.datasets.row_weights import counted
from jobs.datasets.time_split import LabelledTimes
from jobs.display import listed
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.models.cases import CaseModel, parameters_of
from jobs.models.features import numbers_of
from jobs.models.protocol import Examples, weights_of
from jobs.models.tables import examples_of, is_category, is_number
from jobs.models.texts import text_feature
from jobs.models.vectors import columns_of, element_names
from jobs.problem import Problem, Rule
from jobs.tasks.catalog import task_of
from jobs.tasks.task import RowValues
from jobs.times import MICROSECONDS_A_DAY, Times
from jobs.use_case import UseCase, problem_of


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Labelled rows by event time, rows of one moment by event id; every array has one value per row."""

    examples: Examples
    times: Times
    blocks: npt.NDArray[np.int64]
    """Code of the entity whose rows share their noise."""
    amounts: npt.NDArray[np.float64] | None
    """None: no amount is declared."""
    version: int
    """Of the training set."""
    entities: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    """Name of an entity -> code of each row's."""

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """Days since 1970, UTC."""
        days: npt.NDArray[np.int64] = self.times // MICROSECONDS_A_DAY
        return days

    @property
    def labelled_times(self) -> LabelledTimes:
        """What says whether a window of these rows is enough to judge a model on."""
        return LabelledTimes(self.times, self.examples.labels, self.blocks, self.examples.task)

    @property
    def values(self) -> RowValues:
        """What metrics ask of these rows, besides labels and scores."""
        return RowValues(self.blocks, self.days, self.amounts, weights_of(self.examples))

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, mask: Bools) -> TrainingRows:
        entities = {name: codes[mask] for name, codes in self.entities.items()}
        amounts = None if self.amounts is None else self.amounts[mask]
        return TrainingRows(
            self.examples.rows(mask), self.times[mask], self.blocks[mask], amounts, self.version, entities
        )


def feature_names(lakehouse: Lakehouse, use_case: UseCase, version: int, served: Sequence[str]) -> tuple[str, ...]:
    """Names of the features: the inputs of the problem, then those `served` by the feature service.

    Raises:
        ValueError: a feature is not a column of the training set, or as `features_in`.
    """
    schema = lakehouse.schema(use_case.training_set, version)
    names = [*feature_columns(schema, problem_of(use_case).inputs), *served]
    if missing := [name for name in names if name not in schema.names]:
        raise Invalid(
            f"{use_case.training_set}: expected the columns {listed(missing)}, found {listed(schema.names)}; "
            "build the training set again, or correct the problem's inputs"
        )
    return features_in(use_case, use_case.training_set, schema, served)


def features_in(use_case: UseCase, table: str, schema: pa.Schema, served: Sequence[str]) -> tuple[str, ...]:
    """Names of the features in a table of rows of events: those of the problem's inputs (of a moment, its age; of a
    vector, its elements, of a text, its words), then the `served` ones, each once.

    Raises:
        ValueError: a column is of a type that no model takes.
    """
    types = {name: schema.field(name).type for name in [*feature_columns(schema, use_case.inputs), *served]}
    if wrong := {name: str(kind) for name, kind in types.items() if not (is_number(kind) or is_category(kind))}:
        raise Invalid(
            f"{table}: expected features that are numbers, booleans or texts, found {wrong}; "
            "encode them in a feature definition, or leave them out of the problem's inputs and the feature service"
        )
    return tuple(one for name in types for one in _features_of(use_case, name))


def _features_of(use_case: UseCase, column: str) -> list[str]:
    """The features that a column becomes."""
    if column in use_case.vector_lengths:
        return element_names(column, use_case.vector_lengths[column])
    return [text_feature(column) if column in use_case.texts else column]


def read(lakehouse: Lakehouse, use_case: UseCase, version: int, names: Sequence[str]) -> TrainingRows:
    """The training set at `version` with the features `names`.

    Raises:
        ValueError: a feature holds an infinity or is of a type that no model takes, or a label is missing or not of the
        task's type.
    """
    problem, time, event_id = problem_of(use_case), use_case.event_timestamp, use_case.event_id
    held = lakehouse.schema(use_case.training_set, version).names
    entities = [name for name in use_case.entities if name in held]
    declared = (problem.cluster_key, problem.amount, problem.weight)
    others = (use_case.label, time, event_id, *(name for name in declared if name), *entities)
    columns = dict.fromkeys([*columns_of(names), *others])
    table = lakehouse.to_arrow(use_case.training_set, version, list(columns))
    # Files come in any order, also after a rebuild of the same rows: the same rows have to give the same model.
    table = table.take(pc.sort_indices(table, sort_keys=[(time, "ascending"), (event_id, "ascending")]))
    table = counted(table, problem)
    return TrainingRows(
        examples_of(table, names, use_case.label, problem.weight, task_of(problem)),
        event_times(table[time]),
        blocks_of(table, problem),
        amounts_of(table, problem),
        version,
        {name: codes(table[name]) for name in entities},
    )


def blocks_of(table: pa.Table, problem: Problem) -> npt.NDArray[np.int64]:
    """A number per row for the entity that it shares its noise with; its own where none is declared."""
    return np.arange(table.num_rows) if problem.cluster_key is None else codes(table[problem.cluster_key])


def amounts_of(table: pa.Table, problem: Problem) -> npt.NDArray[np.float64] | None:
    """Money at stake in each row; None: no amount is declared."""
    return None if problem.amount is None else table[problem.amount].cast(pa.float64()).to_numpy()


def event_times(column: pa.ChunkedArray) -> Times:
    """Moments of a column of timestamps without nulls."""
    times: Times = pc.cast(column.cast(pa.timestamp("us", "UTC")), pa.int64()).to_numpy()
    return times


def sampled(examples: Examples, rate: float, seed: int, certain: Bools | None = None) -> Examples:
    """All positives and a share `rate` of the negatives, which take over the weight of those left out; none of the
    rows that are `certain` is.

    The chance of a negative is in proportion to its weight, so that those drawn weigh about alike: of what hardly
    counts few are drawn, and of what counts as many as may be (importance sampling; Owen, Monte Carlo theory, chapter
    9.1, for the least variance).
    """
    if rate >= 1:
        return examples
    kept_anyway = examples.labels if certain is None else examples.labels | certain
    weights = np.ones(len(examples)) if examples.weights is None else examples.weights.astype(np.float64)
    lots = ~kept_anyway
    whole = weights[lots].sum()
    chances = np.ones(len(examples))
    chances[lots] = np.minimum(1, rate * weights[lots] * lots.sum() / max(whole, 1e-300))
    is_drawn = kept_anyway | (np.random.default_rng(seed).random(len(examples)) < chances)
    weights[lots] /= np.maximum(chances[lots], 1e-300)
    weights[lots] *= whole / max(weights[lots & is_drawn].sum(), 1e-300)
    return replace(examples.rows(is_drawn), weights=weights[is_drawn].astype(np.float32))


def rule_scores(rule: Rule, train: Examples, rows: Examples) -> Floats:
    """Scores of the rows by a rule; of one with cases, with the probabilities that its answers have in `train`.

    Raises:
        ValueError: its features are not among those of the rows, or it answers what is no class.
    """
    if not rule.cases:
        return _ranks_or_values(rows, rule.features)
    model = CaseModel(parameters_of(rule))
    model.fit(_with_features(train, rule.features), None, seed=0, device="cpu")
    scores: Floats = rows.task.aligned(model.predict(_with_features(rows, rule.features).features), train.task.classes)
    return scores


def _with_features(rows: Examples, names: Sequence[str]) -> Examples:
    picked = rows.features[:, [rows.names.index(name) for name in names]]
    return replace(rows, features=picked, names=tuple(names))


def _ranks_or_values(rows: Examples, features: Sequence[str]) -> Floats:
    """Ranks of the rows in [0, n): the first feature ranks, the next ones break its ties, missing values come last.

    Of a regression the first feature that is there is the prediction; the median of these predictions without any.
    """
    chosen = numbers_of(rows.features[:, [rows.names.index(name) for name in features]], "rule")
    if rows.task.name != "regression":
        return ranks(chosen)
    predictions = first_known(chosen)
    known = predictions[~np.isnan(predictions)]
    return np.where(np.isnan(predictions), np.median(known) if len(known) else 0.0, predictions)


def codes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A number per distinct value, in order of appearance; nulls are one."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    numbers: npt.NDArray[np.int64] = encoded.indices.to_numpy().astype(np.int64)
    return numbers

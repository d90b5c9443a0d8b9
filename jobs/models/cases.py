"""A rule of cases that a person wrote, as a model: the first case whose conditions hold gives the class, or the number.

Of a number the answer is the prediction. Of classes only the probabilities are learned: how often each class was true
where the rule gives that answer. See `jobs.problem.Rule`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.arrays import Bools, Float32s, Floats, Ints
from jobs.conditions import ORDERED, Condition, conditions
from jobs.errors import Invalid
from jobs.models.array_model import ArrayModel
from jobs.models.category_graph import with_vocabulary
from jobs.models.features import FeatureRows, texts_of
from jobs.models.graphs import Graph
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable, weights_of
from jobs.models.runtime import INPUT, OUTPUT
from jobs.models.vocabulary import FIRST, MISSING, Vocabulary
from jobs.problem import Rule

if TYPE_CHECKING:
    import onnx

DEFAULTS: Mapping[str, Any] = {
    "cases": [],  # of conditions [[column, comparison, value], ...] and an answer each
    "otherwise": None,  # the answer where no case holds
}
STRENGTH = 10.0
"""Rows that the shares of all rows count among those of an answer."""
_COMPARED: Mapping[str, tuple[Callable[[Any, Any], Any], str]] = {
    "<": (operator.lt, "Less"),
    "<=": (operator.le, "LessOrEqual"),
    ">": (operator.gt, "Greater"),
    ">=": (operator.ge, "GreaterOrEqual"),
}
"""Comparison -> as numpy does it, and the operator of a graph."""


def parameters_of(rule: Rule) -> dict[str, Any]:
    """What makes the model of a rule with cases, as JSON holds it."""
    cases = [([list(one) for one in conditions(where)], answer) for where, answer in rule.cases]
    return {"cases": [[_plain(held), answer] for held, answer in cases], "otherwise": rule.otherwise}


class CaseModel(ArrayModel):
    """The answer of the first case that holds; a missing value meets no condition."""

    family = "cases"
    defaults = DEFAULTS

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. Neither seed, device nor validation rows change the result."""
        check_trainable(train, valid)
        self._vocabulary = self._texts(train)
        self._learned(train, {})
        self._state = {"scores": self._scores(self._place(train.features), train)}

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`."""
        check_features(features, self.names)
        scores: Probabilities = self._state["scores"][self._place(features)]
        return scores

    @property
    def _cases(self) -> list[tuple[Condition, ...]]:
        return [conditions(tuple(_tupled(one) for one in held)) for held, _ in self.parameters["cases"]]

    @property
    def _answers(self) -> list[Any]:
        """Of each case, and where none holds."""
        return [*(answer for _, answer in self.parameters["cases"]), self.parameters["otherwise"]]

    def _texts(self, train: Examples) -> Vocabulary:
        """The texts that conditions name. Raises ValueError unless they compare numbers with numbers."""
        known: dict[int, list[str]] = {column: [] for column in texts_of(train.features)}
        for one in (one for held in self._cases for one in held):
            column, values = train.names.index(one.column), _values(one)
            if column in known and one.comparison not in ORDERED and all(isinstance(value, str) for value in values):
                known[column] += [value for value in values if value not in known[column]]
            elif column in known or any(isinstance(value, str) for value in values):
                kind = "texts" if column in known else "numbers"
                raise Invalid(
                    f"rule: expected {one.column} to be compared with {kind}, found {one.value!r}; correct it"
                )
        return Vocabulary({column: tuple(texts) for column, texts in known.items()})

    def _scores(self, place: Ints, train: Examples) -> Floats:
        """Of each case and of none: the number, or the probability of each class; shape (cases + 1, ...)."""
        answers, classes = self._answers, train.task.classes
        if not classes:
            return np.array(answers, dtype=np.float64)
        if wrong := [answer for answer in answers if answer not in classes]:
            raise Invalid(f"rule: expected classes among {list(classes)}, found {wrong[0]!r}; correct the rule")
        declared = weights_of(train)
        weights = np.ones(len(train)) if declared is None else declared
        answered = np.array([classes.index(answer) for answer in answers])
        usual = np.bincount(train.labels, weights, len(classes)) / np.sum(weights)
        counts = np.zeros((len(classes), len(classes)))
        np.add.at(counts, (answered[place], train.labels), weights)
        shares = (counts + STRENGTH * usual) / (counts.sum(axis=1, keepdims=True) + STRENGTH)
        scores: Floats = shares[answered]
        return scores

    def _place(self, features: FeatureRows) -> Ints:
        """The first case that holds of each row; the number of cases where none does."""
        encoded = self._vocabulary.encode(features)
        place = np.full(len(encoded), len(self._cases))
        for n, held in reversed(list(enumerate(self._cases))):
            place[np.logical_and.reduce([self._holds(one, encoded) for one in held])] = n
        return place

    def _holds(self, one: Condition, encoded: Float32s) -> Bools:
        column = self.names.index(one.column)
        values, numbers = encoded[:, column], self._numbers(one, column)
        if one.comparison in ORDERED:
            ordered: Bools = _COMPARED[one.comparison][0](values, numbers[0])
            return ordered
        equal = np.isin(values, numbers)
        return ~equal & ~self._is_missing(values, column) if one.comparison == "!=" else equal

    def _is_missing(self, values: Float32s, column: int) -> Bools:
        missing: Bools = values == MISSING if column in self._vocabulary.known else np.isnan(values)
        return missing

    def _numbers(self, one: Condition, column: int) -> Float32s:
        """What a column's numbers, or codes of texts, are compared with."""
        if column not in self._vocabulary.known:
            return np.array(_values(one), np.float32)
        known = self._vocabulary.known[column]
        return np.array([FIRST + known.index(value) for value in _values(one)], np.float32)

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`."""
        graph, names = Graph(), self.names
        place = graph.constant("none", len(self._cases), np.int64)
        for n, held in reversed(list(enumerate(self._cases))):
            holds = [self._condition_nodes(graph, one, f"{n}_{m}") for m, one in enumerate(held)]
            every = holds[0]
            for other in holds[1:]:
                every = graph.node("And", every, other)
            place = graph.node("Where", every, graph.constant(f"case_{n}", n, np.int64), place)
        scores = graph.constant("scores", self._state["scores"], np.float32)
        graph.node("Gather", scores, place, name=OUTPUT, axis=0)
        return with_vocabulary(graph.model(names, max(1, len(self._task.classes))), self._vocabulary)

    def _condition_nodes(self, graph: Graph, one: Condition, name: str) -> str:
        column = self.names.index(one.column)
        values = graph.node("Gather", INPUT, graph.constant(f"column_{name}", column, np.int64), axis=1)
        compared = [
            graph.constant(f"value_{name}_{m}", number, np.float32)
            for m, number in enumerate(self._numbers(one, column))
        ]
        if one.comparison in ORDERED:
            return graph.node(_COMPARED[one.comparison][1], values, compared[0])
        equal = graph.node("Equal", values, compared[0])
        for other in compared[1:]:
            equal = graph.node("Or", equal, graph.node("Equal", values, other))
        if one.comparison != "!=":
            return equal
        if column in self._vocabulary.known:
            missing = graph.node("Equal", values, graph.constant(f"missing_{name}", MISSING, np.float32))
        else:
            missing = graph.node("IsNaN", values)
        return graph.node("Not", graph.node("Or", equal, missing))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        classes = self._task.classes
        return {"scores": (len(self._answers), *((len(classes),) if classes else ()))}


def _values(one: Condition) -> tuple[Any, ...]:
    return one.value if one.comparison == "in" else (one.value,)


def _plain(held: list[list[Any]]) -> list[list[Any]]:
    """Conditions as JSON holds them: lists for tuples."""
    return [[list(part) if isinstance(part, tuple) else part for part in one] for one in held]


def _tupled(one: list[Any]) -> Any:
    return tuple(tuple(part) if isinstance(part, list) else part for part in one)

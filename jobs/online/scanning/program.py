"""A plan as a program of words, as `jobs.online.scanning.layout` says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import accumulate
from math import inf, nan
from struct import pack, unpack

import numpy as np

from jobs.arrays import Ints
from jobs.conditions import Condition
from jobs.errors import Invalid
from jobs.online.column_type import ColumnType
from jobs.online.fact_lines import Layout
from jobs.online.scanning import layout
from jobs.online.selections import Selection, selection
from jobs.online.series import Contents
from jobs.window_lengths import Last, Trend, reach
from jobs.windows import Aggregate, Feature, WindowFeatures

_MICROSECOND = timedelta(microseconds=1)
_KINDS = {"int64": layout.INTEGER, "float64": layout.DOUBLE, "bool": layout.BOOLEAN}
_COMPARISONS = {
    "==": layout.EQUAL, "!=": layout.UNEQUAL, "<": layout.LESS, "<=": layout.AT_MOST, ">": layout.MORE,
    ">=": layout.AT_LEAST, "in": layout.AMONG,
}  # fmt: skip
_FUNCTIONS = {
    "count": layout.COUNT, "sum": layout.SUM, "mean": layout.MEAN, "std": layout.STD, "min": layout.MIN,
    "max": layout.MAX, "distinct": layout.DISTINCT, "percentile": layout.PERCENTILE, "last_age": layout.LAST_AGE,
    "first_age": layout.FIRST_AGE, "rate": layout.RATE, "streak": layout.STREAK, "streak_age": layout.STREAK_AGE,
}  # fmt: skip
_INTERPOLATIONS = {
    "linear": layout.LINEAR, "lower": layout.LOWER, "higher": layout.HIGHER, "nearest": layout.NEAREST,
}  # fmt: skip
_WORDS = 2**63


@dataclass(frozen=True)
class Source:
    """What a program is written from; see `jobs.online.plan.Plan`."""

    features: WindowFeatures
    types: Mapping[str, Mapping[str, ColumnType]]
    """By kind of fact."""
    layouts: Mapping[str, Layout]
    selections: tuple[Selection, ...]
    contents: tuple[Contents, ...]
    takers: tuple[tuple[int, ...], ...]
    bounds: Mapping[str, float]
    """The largest magnitude of ratios."""

    def word(self, of: str, column: str) -> int:
        if column not in self.layouts[of].word:
            raise Invalid(f"column {column}: expected numbers, found texts, which no program reads")
        return self.layouts[of].word[column]

    def kind(self, of: str, column: str) -> int:
        return _KINDS[self.types[of][column].kind]

    def column(self, of: str, column: str) -> list[int]:
        return [self.word(of, column), self.kind(of, column)]

    def read(self, aggregate: Aggregate) -> list[int]:
        """The selections that an aggregate reads."""
        types = self.types[aggregate.of]
        read = [selection(aggregate, types)]
        if aggregate.function == "rate":
            read.append(Selection("events"))
        if aggregate.function in ("streak", "streak_age"):
            read.append(selection(aggregate, types, False))
        return [self.selections.index(one) for one in read]


@dataclass
class Program:
    """The entries of a program; places in other sections are counted in entries, until it is written."""

    source: Source
    selections: list[list[int]] = field(default_factory=list)
    conditions: list[list[int]] = field(default_factory=list)
    constants: list[int] = field(default_factory=list)
    stores: list[list[int]] = field(default_factory=list)
    totals: list[list[int]] = field(default_factory=list)
    operations: list[list[int]] = field(default_factory=list)
    empties: list[int] = field(default_factory=list)
    ratios: list[list[int]] = field(default_factory=list)

    @classmethod
    def of(cls, source: Source) -> "Program":
        """Raises Invalid for what no program says: a text, or a number that is none of its column's kind."""
        program, features = cls(source), source.features
        backs = _backs(source)
        for number in range(len(source.selections)):
            program._select(number, backs[number])
        for number, ratio in enumerate(features.ratios):
            phase = 0 if ratio.to.delay else 1 + number
            level = program._operate(Feature("", ratio.to, ratio.to.windows[0]), phase, -1)
            largest = program._constant(source.bounds.get(ratio.name, inf))
            made = source.word("events", ratio.name)
            program.ratios.append([*source.column("events", ratio.column), level, made, largest])
        for place, feature in enumerate(features.features):
            program._operate(feature, 0 if feature.aggregate.delay else 1 + len(features.ratios), place)
        return program

    def _select(self, number: int, back: int) -> None:
        chosen, source = self.source.selections[number], self.source
        where, summed = len(self.conditions), len(self.totals)
        for condition in chosen.where:
            self._compare(chosen.of, condition)
        for column, is_squared in _totals(source.contents[number]):
            self.totals.append([*source.column(chosen.of, column), int(is_squared)])
        for column in source.contents[number].values:
            self.stores.append([number, *source.column(chosen.of, column)])
        null = [-1, 0] if chosen.column is None else source.column(chosen.of, chosen.column)
        stage = next((stage for stage, takers in enumerate(source.takers) if number in takers), 0)
        ends = [where, len(self.conditions), summed, len(self.totals)]
        self.selections.append([int(chosen.of == "labels"), *null, *ends, stage, back])

    def _compare(self, of: str, condition: Condition) -> None:
        word, kind = self.source.column(of, condition.column)
        values = condition.value if condition.comparison == "in" else (condition.value,)
        if kind == layout.INTEGER and any(isinstance(value, float) for value in values):
            kind = layout.OF_DOUBLES
        first = len(self.constants)
        for value in values:
            is_double = kind in (layout.DOUBLE, layout.OF_DOUBLES)
            if (float(value) != value) if is_double else not -_WORDS <= value < _WORDS:
                raise Invalid(
                    f"column {condition.column}: expected a number of its kind, found {value!r} to compare with"
                )
            self.constants.append(_bits(value) if is_double else int(value))
        self.conditions.append([word, kind, _COMPARISONS[condition.comparison], first, len(self.constants)])

    def _operate(self, feature: Feature, phase: int, place: int) -> int:
        aggregate, window = feature.aggregate, feature.window
        entry = [0] * layout.OPERATION
        entry[layout.PHASE], entry[layout.PLACE], entry[layout.OF_SHARE] = phase, place, 1
        if isinstance(window, Trend):
            whole = replace(aggregate, empty=None)
            parts = [self._operate(Feature("", whole, part), phase, -1) for part in (window.short, window.long)]
            entry[layout.FUNCTION] = layout.TREND
            entry[layout.SELECTED], entry[layout.OTHER] = parts
        else:
            entry[layout.FUNCTION] = _FUNCTIONS[aggregate.function]
            entry[layout.SELECTED], entry[layout.OTHER] = (*self.source.read(aggregate), 0)[:2]
            entry[layout.COLUMN], entry[layout.SQUARES] = self._kept(aggregate, entry[layout.SELECTED])
            entry[layout.DELAY] = aggregate.delay // _MICROSECOND
            entry[layout.REACH] = (aggregate.delay + reach(window)) // _MICROSECOND
            entry[layout.LAST] = window.facts if isinstance(window, Last) else 0
        if aggregate.function == "percentile":
            entry[layout.SHARE], entry[layout.OF_SHARE] = aggregate.share.as_integer_ratio()
            entry[layout.HOW] = _INTERPOLATIONS[aggregate.interpolation]
        self.operations.append(entry)
        self.empties.append(_bits(nan if feature.empty is None else feature.empty))
        return len(self.operations) - 1

    def _kept(self, aggregate: Aggregate, number: int) -> tuple[int, int]:
        """The place of the store or totals of a function's column, and of the totals of its squares."""
        chosen, column = self.source.selections[number], str(aggregate.column)
        if aggregate.function in ("sum", "mean", "std"):
            first = self.selections[number][layout.SUMMED]
            kept = _totals(self.source.contents[number])
            squares = kept.index((column, True)) if aggregate.function == "std" else 0
            return first + kept.index((column, False)), first + squares
        if aggregate.function in ("min", "max", "distinct", "percentile"):
            return self.stores.index([number, *self.source.column(chosen.of, column)]), 0
        return 0, 0

    def _constant(self, value: float) -> int:
        self.constants.append(_bits(value))
        return len(self.constants) - 1

    def written(self) -> Ints:
        """The program in words."""
        sections = (self.selections, self.conditions, self.stores, self.totals, self.operations)
        sizes = [sum(map(len, entries)) for entries in sections]
        sizes += [len(self.empties), sum(map(len, self.ratios)), len(self.constants)]
        at = list(accumulate(sizes, initial=layout.HEADER))
        selections, conditions, stores, totals, operations, empties, ratios, constants, _ = at
        self._move(conditions, totals, constants)
        words = [self.source.layouts[of].line.size // 8 for of in ("events", "labels")]
        header = [
            selections, conditions, conditions, stores, totals, totals, operations, empties, empties, ratios, constants,
            *words, self._needs(), *self._rooms(),
        ]  # fmt: skip
        entries = [word for section in sections for entry in section for word in entry]
        ratio_words = [word for entry in self.ratios for word in entry]
        return np.array([*header, *entries, *self.empties, *ratio_words, *self.constants], np.int64)

    def _move(self, conditions: int, totals: int, constants: int) -> None:
        """Let entries say where others begin in the program."""
        for entry in self.selections:
            for at, first, size in (
                (layout.WHERE, conditions, layout.CONDITION), (layout.WHERE_END, conditions, layout.CONDITION),
                (layout.SUMMED, totals, layout.TOTAL), (layout.SUMMED_END, totals, layout.TOTAL),
            ):  # fmt: skip
                entry[at] = first + entry[at] * size
        for entry in self.conditions:
            entry[layout.CONSTANTS] += constants
            entry[layout.CONSTANTS_END] += constants
        for entry in self.ratios:
            entry[layout.LARGEST] += constants

    def _needs(self) -> int:
        windows = [window for aggregate in self.source.features.read for window in aggregate.windows]
        is_of_last = any(isinstance(window, Last) for window in windows)
        return (layout.RATIOS_KNOWN if self.ratios else 0) | (layout.ONE_BY_ONE if is_of_last else 0)

    def _rooms(self) -> Iterable[int]:
        """Where the parts of the state begin, and where it ends."""
        row, selections, totals = layout.ROW, len(self.selections), len(self.totals)
        of_facts = [selections, selections * row, len(self.stores) * row, totals * layout.ROWS * row]
        others = [totals * layout.ROWS, totals, len(self.operations), row, 2 * row, row]
        return accumulate([1, *of_facts, *others, layout.BUCKETS, layout.BUCKETS])


def _totals(contents: Contents) -> list[tuple[str, bool]]:
    """The columns that are added up, and those of them whose squares are."""
    return [(name, False) for name in sorted(contents.sums)] + [(name, True) for name in sorted(contents.squares)]


def _backs(source: Source) -> dict[int, int]:
    """How far the windows of each selection look back, in microseconds."""
    backs: dict[int, int] = {}
    for aggregate in source.features.read:
        back = max(aggregate.delay + reach(window) for window in aggregate.windows) // _MICROSECOND
        for number in source.read(aggregate):
            backs[number] = max(back, backs.get(number, 0))
    return backs


def _bits(value: float) -> int:
    word: int = unpack("<q", pack("<d", value))[0]
    return word

"""What a window feature is, as a sentence made of its declaration: function, column, unit, entity, window and delay.

`Aggregate.description` replaces the words for what is computed; window, delay and unit are always told.
"""

from collections.abc import Mapping
from datetime import timedelta

from jobs.conditions import Where, conditions
from jobs.data_dictionary.event_columns import column_meaning
from jobs.data_dictionary.meaning import Meaning
from jobs.use_case import UseCase
from jobs.window_lengths import BEFORE, Last, Trend, reach
from jobs.windows import Aggregate, Feature, Ratio, WindowFeatures

SECONDS = "seconds"
VALUES: Mapping[str, str] = {
    "sum": "Sum of {column} over {facts}",
    "mean": "Mean {column} of {facts}",
    "std": "Standard deviation of {column} over {facts}",
    "min": "Smallest {column} of {facts}",
    "max": "Largest {column} of {facts}",
    "percentile": "Percentile {percent} of {column} over {facts}",
}
"""Functions whose value has the unit of its column."""
OTHERS: Mapping[str, str] = {
    "count": "Number of {facts}",
    "distinct": "Number of different {column} values of {facts}",
    "rate": "Share (0 to 1) of {facts} known to have {column} true",
    "last_age": "Age in seconds of the latest of {facts}",
    "first_age": "Age in seconds of the earliest of {facts}",
    "streak": "Number of {facts} known to have {column} true after the latest one known to have it false,",
    "streak_age": "Age in seconds of the earliest of {facts} known to have {column} true after the latest one known to "
    "have it false,",
}
BETWEEN: Mapping[str, str] = {"lower": "the lower", "higher": "the higher", "nearest": "the nearer"}
"""Which of two values a percentile is that falls between them, where it is not a part of each."""
COMPARED: Mapping[str, str] = {
    "==": "", "!=": "other than ", "<": "below ", "<=": "of at most ", ">": "above ", ">=": "of at least ", "in": "",
}  # fmt: skip
UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)),
         ("second", timedelta(seconds=1)), ("millisecond", timedelta(milliseconds=1)),
         ("microsecond", timedelta(microseconds=1)))  # fmt: skip


def window_features(use_case: UseCase) -> dict[str, Meaning]:
    """The meaning of each window feature of a use case, by name."""
    return {f.name: window_feature(use_case, windows, f) for windows in use_case.windows for f in windows.features}


def window_feature(use_case: UseCase, windows: WindowFeatures, feature: Feature) -> Meaning:
    """The meaning of one feature of `windows`."""
    aggregate = feature.aggregate
    what = aggregate.description.strip().rstrip(".") or _computed(aggregate, _facts(use_case, windows, aggregate))
    parts = [f"{what}{_window(windows, feature)}", *_empty(feature)]
    if aggregate.interpolation in BETWEEN and aggregate.percentile:
        parts.append(f"{BETWEEN[aggregate.interpolation]} one of two values that it falls between")
    parts += [_ratio(use_case, windows, ratio) for ratio in windows.ratios if ratio.name in aggregate.columns]
    unit = "" if isinstance(feature.window, Trend) else _unit(use_case, windows, aggregate)
    if unit and unit not in parts[0]:
        parts[0] = f"{parts[0]}, in {unit}"
    return Meaning(f"{'; '.join(parts)}.", unit)


def in_words(length: timedelta) -> str:
    """A duration in its largest whole unit.

    >>> in_words(timedelta(days=7)), in_words(timedelta(minutes=90)), in_words(timedelta(seconds=1))
    ('7 days', '90 minutes', '1 second')
    """
    name, size = next((name, size) for name, size in UNITS if length % size == timedelta(0))
    count = length // size
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _computed(aggregate: Aggregate, facts: str) -> str:
    if aggregate.function == "count" and aggregate.column:
        return f"Number of {facts} that have a {aggregate.column}"
    texts, percent = {**VALUES, **OTHERS}, f"{(aggregate.percentile or 0) * 100:.6g}"
    return texts[aggregate.function].format(column=aggregate.column, facts=facts, percent=percent)


def _facts(use_case: UseCase, windows: WindowFeatures, aggregate: Aggregate, same: bool = False) -> str:
    """Whose facts: the customer's payments; the payments of this customer and terminal."""
    names = [key.removesuffix("_id").replace("_", " ") for key in windows.keys]
    facts = _chosen(use_case, windows, aggregate)
    if len(names) > 1:
        return f"the {facts} of {'the same' if same else 'this'} {' and '.join(names)}"
    return f"the {'same ' if same else ''}{names[0]}'s {facts}"


def _chosen(use_case: UseCase, windows: WindowFeatures, aggregate: Aggregate) -> str:
    events = (windows.facts or use_case.events.split(".")[-1]).replace("_", " ")
    if aggregate.of == "labels" and aggregate.function not in ("rate", "streak", "streak_age"):
        return f"{events} known to have {_condition(aggregate.where)}" if aggregate.where else f"labelled {events}"
    return f"{events} with {_condition(aggregate.where)}" if aggregate.where else events


def _condition(where: Where | None) -> str:
    return " and ".join(f"{one.column} {COMPARED[one.comparison]}{_value(one.value)}" for one in conditions(where))


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return " or ".join(_value(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _window(windows: WindowFeatures, feature: Feature) -> str:
    window, delay = feature.window, feature.aggregate.delay
    length = in_words(reach(window)).removeprefix("1 ")
    if isinstance(window, Trend):
        length = f"{in_words(window.short).removeprefix('1 ')} over that in the {length}"
    last = f", only the last {window.facts:,}," if isinstance(window, Last) else ""
    if delay == BEFORE:
        return f"{last} in the {length} before this one, as known at its time"
    if delay:
        return f"{last} in the {length} ending {in_words(delay)} before this one, as known at its time"
    if windows.facts is not None:
        return f"{last} in the {length} up to the target, as known at its time"
    own = " (included)" if feature.aggregate.of == "events" else ""
    return f"{last} in the {length} up to this one{own}, as known at its time"


def _empty(feature: Feature) -> list[str]:
    if isinstance(feature.window, Trend):
        value = "null" if feature.empty is None else f"{feature.empty:g}"
        return [f"{value} if either is undefined or the longer one is 0"]
    if feature.empty is None:
        return ["null if there are fewer than two" if feature.aggregate.function == "std" else "null if there is none"]
    return [] if feature.aggregate.empty is None else [f"{feature.aggregate.empty:g} if there is none"]


def _unit(use_case: UseCase, windows: WindowFeatures, aggregate: Aggregate) -> str:
    if aggregate.function.endswith("_age"):
        return SECONDS
    if aggregate.function not in VALUES or any(ratio.name == aggregate.column for ratio in windows.ratios):
        return ""
    return column_meaning(use_case, aggregate.column or "").unit


def _ratio(use_case: UseCase, windows: WindowFeatures, ratio: Ratio) -> str:
    [level] = windows.level(ratio).features
    facts, delay = _facts(use_case, windows, ratio.to, same=True), ratio.to.delay
    late = "before" if delay == BEFORE else f"ending {in_words(delay)} before" if delay else "up to"
    last = f", only the last {level.window.facts:,}," if isinstance(level.window, Last) else ""
    over = f"{_lowered(_computed(ratio.to, facts))}{last} in the {in_words(reach(level.window))} {late} its time"
    return f"{ratio.name} is {ratio.column} over the {over}"


def _lowered(text: str) -> str:
    return text[0].lower() + text[1:]

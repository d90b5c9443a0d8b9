"""The `UseCase` value: everything that makes one use case differ from another.

Factories turn it into assets, checks, jobs and endpoints; no code here does any work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

from jobs.declared_place import Place, place_of_caller
from jobs.declared_types import check
from jobs.errors import Invalid
from jobs.objective import LABEL_KINDS, TaskName
from jobs.problem import Groups, Problem, Review
from jobs.profiles import ProfileFeatures
from jobs.targets import HorizonLabel, Schedule
from jobs.use_case_checks import column_misfits, source_misfits, use_case_misfits
from jobs.use_case_defaults import FRESH, left_out
from jobs.windows import FactMart, WindowFeatures

Kind = Literal["identifier", "timestamp", "number", "integer", "boolean", "string", "category", "vector", "text"]
"""What a column holds; an identifier is an integer or a string, whichever the first load brings, a category is a string
whatever it is in files, so that numbers that are codes are not taken for amounts, a vector is a list of floats, of
which tables hold the JSON as text, and a text is a string that is read word by word."""

_WITHOUT_BOUNDS = ("string", "category", "vector", "text", "timestamp")
_WITHOUT_VALUES = ("vector", "text")
"""Kinds whose values no slice, group or case names."""


def age_name(column: str) -> str:
    """Name of the feature that an input of kind timestamp becomes: its age at the event, in days."""
    return f"{column}_age"


Progress = Callable[[int, int], None]
"""Called with (done, total) by long work."""


@dataclass(frozen=True)
class Column:
    """A declared column of a source. In files it bears `name` in upper case, unless a columns file says otherwise."""

    name: str
    kind: Kind
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False
    """The file may lack the column; its values are then null."""
    in_file: str | None = None
    """Name in files, where it is not the upper-case name."""
    also_in_file: tuple[str, ...] = ()
    """Other names that files have for it, where they lack that one."""
    formats: tuple[str, ...] = ()
    """Of a timestamp: formats of strftime that text has, besides ISO 8601, in files as they are published."""
    made_of: tuple[str, ...] = ()
    """Columns of which it is made where files lack it: the key of rows that come without one
    (`jobs.ingest.made_keys`)."""
    description: str = ""
    """A sentence; without one, kind and place in the source say what it is."""
    unit: str = ""
    """Unit of its values as a noun ("pounds"), which features of the column have too; times are in UTC anyway."""
    length: int | None = None
    """Of a vector: how many floats each one has."""

    def __post_init__(self) -> None:
        check(self, column_misfits)

    @property
    def file_name(self) -> str:
        return self.in_file or self.name.upper()

    @property
    def file_names(self) -> tuple[str, ...]:
        """All names that it may have in a file, of which the first that is there counts."""
        return (self.file_name, *self.also_in_file)


@dataclass(frozen=True)
class Source:
    """One raw table and the files that fill it: `{use_case}_raw.{name}`."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    event_time: str
    """Column whose date is the row's `event_date`."""
    daily: bool = True
    """Partitioned by that date. Not for a few rows a day over years, which would each be a file of their own."""
    known_at: str | None = None
    """Column that says when our world could first know the row; else event time plus `latency`."""
    latency: timedelta = timedelta(0)
    references: Mapping[str, str] = field(default_factory=dict)
    """Column -> `source.column` it must be found in; rows that are not go to quarantine until it is."""
    option: str = ""
    """Name of the input (`--transactions FILE`); empty: the source's own name."""
    required: bool = True
    usual_quarantine: float = 0.05
    """Share of the rows of its files that may be in quarantine before a check warns."""
    plausible_age: timedelta = timedelta(days=10_957)
    """An event, or an arrival, of longer ago (30 years) is taken for a mistake and goes to quarantine."""
    carried_by: str | None = None
    """Source whose file holds these columns too, when this source has no file of its own."""
    carried_delay: timedelta | None = None
    """If the carrying file lacks the `known_at` column: known this long after the carrier's event time."""
    deletions: bool = False
    """Rows may be deleted over a topic: SQL leaves deletions out of staging and lets them end versions
    (`dbt_project/macros/deletions.sql`). Without it they are refused."""
    description: str = ""
    declared_at: ClassVar[Place]
    """Where it was made; no part of the value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared_at", place_of_caller(__file__))
        check(self, source_misfits)

    @property
    def input(self) -> str:
        return self.option or self.name


@dataclass(frozen=True)
class RowFunction:
    """Columns made of others by one function, for one event and for arrays of events with the same bits
    (`jobs.elementwise`)."""

    name: str
    function: Callable[..., Mapping[str, Any]]
    """Of the inputs, in their order, to the outputs by name."""
    inputs: tuple[str, ...]
    """Columns of the event, window features, or outputs of a function before it."""
    outputs: Mapping[str, str]
    """What it returns, in this order: name -> a sentence that says what it is."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReportedLabels:
    """How reports are labels, each about one event: what SQL makes of them, for streams, which have no SQL."""

    source: str
    """Source of the reports; the id of the event is its key."""
    function: RowFunction
    """Of columns of a report to columns of the label."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """A use case: its sources, its facts and labels after dbt, its features, its training set.

    What is left out and follows from the rest is filled in (`jobs.use_case_defaults`).
    """

    name: str
    description: str
    owners: tuple[str, ...]
    sources: tuple[Source, ...]
    first_day: date
    last_day: date
    """First and last daily partition of the default input; a registered input brings its own."""
    events: str = ""
    """dbt mart of event versions: id, version (1 is the first known), known_at, superseded_at, event time, entities,
    values, loaded_in, event_date."""
    labels: str = ""
    """dbt mart of label versions: id, entities, event time, label, known_at, superseded_at, loaded_in, and event_date:
    the day of the event's first version. Both marts are partitioned by event_date."""
    event_id: str = ""
    event_timestamp: str = ""
    entities: tuple[str, ...] = ()
    label: str
    """Column of the labels mart, of a kind that the problem's task knows (`jobs.objective.LABEL_KINDS`)."""
    label_maturity: timedelta
    """An event older than this without a label counts as negative in a binary task, and as `Problem.unlabelled` in
    others."""
    windows: tuple[WindowFeatures, ...]
    feature_service: str = ""
    training_window: timedelta
    profiles: tuple[ProfileFeatures, ...] = ()
    """Columns of entities that are features of their events, as known at each one's time."""
    schedule: Schedule | None = None
    """Who is decided about, and when, if no event asks for it; SQL makes the mart of events of it. Its id is a text."""
    horizon_label: HorizonLabel | None = None
    """The rule that the label follows from, if nobody reports it; SQL makes the mart of labels of it."""
    computed: tuple[Column, ...] = ()
    """Columns that SQL adds to the events or labels and that a source does not have, for what is said about them."""
    computed_online: tuple[RowFunction, ...] = ()
    """What SQL makes of the columns of an event, once more as functions, for the decision service, which has no SQL; a
    null is None. A computed column that no function makes is asked of the client."""
    reported_labels: ReportedLabels | None = None
    """How labels come over a topic; without it windows of labels are not computed there."""
    request_features: tuple[RowFunction, ...] = ()
    """What the feature service computes on demand, for the decision service, which has no Feast. Numbers are floats, a
    null is NaN; times are integers, microseconds since 1970."""
    problem: Problem | None = None
    """What is learned from the training set; without one, the lineage ends there."""
    ends_at_training_set: bool = False
    """The lineage ends there although a problem is declared, as backtests and replays go on by themselves."""
    features_fresh: timedelta = FRESH
    """Age of the newest day in a feature table, counted from its end, from which features are stale. Left out, it is
    longer by the longest pause of a schedule."""
    default_input: Callable[[Path, Progress | None], Mapping[str, Path]] | None = None
    """Writes the built-in input into a folder and says which file fills which input."""
    columns_file: Mapping[str, Any] = field(default_factory=dict)
    """What a columns file says of its files, where none is given (docs/data/your-own-data.md): formats of times, words
    for yes and no. All values are texts."""
    declared_at: ClassVar[Place]
    """Where it was made; no part of the value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared_at", place_of_caller(__file__))
        check(self)
        for name, value in left_out(self).items():
            object.__setattr__(self, name, value)
        check(self, use_case_misfits)
        self._check_label()
        self._check_inputs()
        self._check_guards()

    def _check_label(self) -> None:
        """Raises Invalid if the label is declared as a column of a kind that the task cannot learn."""
        label = self.kinds.get(self.label)
        if self.problem is None or label is None or label in LABEL_KINDS[self.problem.task]:
            return
        raise Invalid(
            f"{self.name}: expected the label {self.label} to be of kind {' or '.join(LABEL_KINDS[self.problem.task])} "
            f"for a {self.problem.task} task, found {label}; correct the column, or Problem.task"
        )

    def _check_inputs(self) -> None:
        """Raises Invalid if an input, or a feature that a rule ranks by, is a column of a kind that cannot be one."""
        kinds, problem = self.kinds, self.problem
        if problem is None:
            return
        rules = {name: f"rule {rule.name}" for rule in problem.rules if not rule.cases for name in rule.features}
        if self.event_timestamp in problem.inputs:
            raise Invalid(
                f"{self.name}: expected inputs that differ from event to event, found {self.event_timestamp}, whose "
                "age is 0 at its own event; make numbers of it in SQL, such as the hour, or leave it out"
            )
        cases = {name: f"rule {rule.name}" for rule in problem.rules if rule.cases for name in rule.features}
        for name, what in cases.items():
            if (kind := kinds.get(name)) in _WITHOUT_VALUES:
                raise Invalid(
                    f"{self.name}: expected cases of {what} to compare numbers or categories, found {name} of kind "
                    f"{kind}; compare a number that SQL makes of it, such as whether a word occurs"
                )
        for name, what in rules.items():
            if (kind := kinds.get(name)) in ("string", "category", "timestamp", "vector", "text"):
                raise Invalid(
                    f"{self.name}: expected {what} to rank by numbers, found {name} of kind {kind}; rank by "
                    f"{f'{age_name(name)}, or ' if kind == 'timestamp' else ''}a number that SQL makes of it"
                )

    def _check_guards(self) -> None:
        """Raises Invalid if a slice, or groups, cut a column at bounds that has none."""
        problem = self.problem
        for guard in (*problem.slices, *problem.fairness) if problem else ():
            columns = {} if guard.source is None else {c.name: c.kind for c in self.source(guard.source).columns}
            kind = columns.get(guard.column, self.kinds.get(guard.column))
            bounded = bool(guard.edges) if isinstance(guard, Groups) else (guard.minimum, guard.maximum) != (None, None)
            if kind in _WITHOUT_BOUNDS and (bounded or kind in _WITHOUT_VALUES):
                raise Invalid(
                    f"{self.name}: expected slice {guard.name} to cut numbers, found bounds of {guard.column} of kind "
                    f"{kind}; name values of it, or make a number of it in SQL"
                )

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Kinds of the columns that are declared; of one declared twice, that of the computed column."""
        return {column.name: column.kind for column in self._declared}

    @property
    def vector_lengths(self) -> Mapping[str, int]:
        """Lengths of the vectors that are declared."""
        return {column.name: column.length for column in self._declared if column.length is not None}

    @property
    def texts(self) -> frozenset[str]:
        """Columns that are read word by word."""
        return frozenset(name for name, kind in self.kinds.items() if kind == "text")

    @property
    def without_categories(self) -> frozenset[str]:
        """Columns that tables hold as texts and that are no categories."""
        return self.texts | self.vector_lengths.keys()

    @property
    def _declared(self) -> tuple[Column, ...]:
        return (*(column for source in self.sources for column in source.columns), *self.computed)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns of the events that are features themselves; none without a problem."""
        return self.problem.inputs if self.problem else ()

    @property
    def task(self) -> TaskName:
        """The task that labels are of; without a problem they say yes or no."""
        return self.problem.task if self.problem else "binary"

    @property
    def raw_schema(self) -> str:
        return f"{self.name}_raw"

    @property
    def stream_schema(self) -> str:
        return f"{self.name}_stream"

    @property
    def features_schema(self) -> str:
        return f"{self.name}_features"

    @property
    def schemas(self) -> frozenset[str]:
        """Schemas of its tables: marts are in the one of its name."""
        parts = ("raw", "staging", "features", "serving", "monitoring", "stream")
        return frozenset((self.name, *(f"{self.name}_{part}" for part in parts)))

    @property
    def training_set(self) -> str:
        return f"{self.features_schema}.training_set"

    @property
    def learned(self) -> Problem | None:
        """The problem that the lineage goes on to solve; None: it ends at the training set."""
        return None if self.ends_at_training_set else self.problem

    @property
    def cluster_key(self) -> str:
        """Column of the entity whose rows share their noise; that of the event where none is declared."""
        declared = self.problem.cluster_key if self.problem else None
        return declared or self.event_id

    @property
    def label_features(self) -> frozenset[str]:
        """Features that are made of labels."""
        return frozenset(f.name for windows in self.windows for f in windows.features if f.aggregate.of == "labels")

    def source(self, name: str) -> Source:
        """The source of this name. Raises Invalid if there is none."""
        if found := next((source for source in self.sources if source.name == name), None):
            return found
        names = ", ".join(source.name for source in self.sources)
        raise Invalid(f"{self.name}: expected one of the sources {names}, found {name!r}")

    @property
    def event_source(self) -> Source | None:
        """The source whose rows are the events: it has their id as its key, and their time."""
        same = (source for source in self.sources if source.key == (self.event_id,))
        return next((source for source in same if source.event_time == self.event_timestamp), None)

    def mart(self, source: str) -> str:
        """The table of versions of a source's rows."""
        return f"{self.name}.{source}"

    def fact_mart(self, windows: WindowFeatures) -> FactMart | None:
        """The facts that window features count; None: the events themselves."""
        if windows.facts is None:
            return None
        source = self.source(windows.facts)
        return FactMart(self.mart(source.name), source.key[0], source.event_time)

    @property
    def fact_sources(self) -> tuple[Source, ...]:
        """Sources of facts that are no events, each once: of windows, of the schedule, of the rule for labels."""
        named = [windows.facts for windows in self.windows]
        named += [self.schedule.entities_of] if self.schedule else []
        named += [self.horizon_label.facts] if self.horizon_label else []
        return tuple(self.source(name) for name in dict.fromkeys(named) if name is not None)

    @property
    def report_source(self) -> Source | None:
        """The source of reports, where labels come over a topic."""
        return None if self.reported_labels is None else self.source(self.reported_labels.source)

    @property
    def raw_events(self) -> str | None:
        """The raw table of the events, where a source has them as they are."""
        return None if self.event_source is None else self.raw_table(self.event_source)

    def owns(self, table: str) -> bool:
        """Whether a table `schema.name` is of this use case."""
        return table.split(".")[0] in self.schemas

    def raw_table(self, source: Source) -> str:
        return f"{self.raw_schema}.{source.name}"

    def window_table(self, windows: WindowFeatures) -> str:
        return f"{self.features_schema}.{windows.name}"

    def profile_table(self, profile: ProfileFeatures) -> str:
        """dbt mart of the versions of a profile: key, columns, event time, known_at, superseded_at, loaded_in."""
        return self.mart(profile.source)

    def profile_columns(self, profile: ProfileFeatures) -> tuple[Column, ...]:
        """The columns of a profile that are features, as its source declares them."""
        declared = {column.name: column for column in self.source(profile.source).columns}
        return tuple(declared[name] for name in profile.columns if name in declared)

    def profile_features(self, profile: ProfileFeatures) -> tuple[str, ...]:
        """Names of the features of a profile: its columns, of a timestamp its age."""
        columns = self.profile_columns(profile)
        return tuple(age_name(each.name) if each.kind == "timestamp" else each.name for each in columns)

    def stream_table(self, windows: WindowFeatures) -> str:
        """Window features of events that came over a topic, computed as they came."""
        return f"{self.stream_schema}.{windows.name}"


def capacity_of(use_case: "UseCase") -> int:
    """Events that people are asked about a day. Raises Invalid if neither a review nor a queue is declared."""
    queue = problem_of(use_case).queue
    return queue.capacity if queue else review_of(use_case).capacity


def review_of(use_case: "UseCase") -> Review:
    """How scores are reviewed. Raises Invalid if that is not declared, as of a task without highest scores."""
    problem = problem_of(use_case)
    if problem.review is None:
        raise Invalid(
            f"{use_case.name}: expected a problem that declares a review (threshold, capacity, cost), found a "
            f"{problem.task} one without; nothing is reviewed, blocked or counted in money there"
        )
    return problem.review


def problem_of(use_case: "UseCase") -> Problem:
    """The use case's problem. Raises ValueError if it declares none."""
    if use_case.problem is None:
        raise Invalid(f"{use_case.name}: expected a use case with a problem, found one without; declare it")
    return use_case.problem

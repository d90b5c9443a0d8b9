"""What the columns of sources and of events are, as declared, or as follows from what they are declared for."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobs.data_dictionary.meaning import Meaning
from jobs.use_case import Column, Source, UseCase, age_name

UTC = "UTC"
KINDS: Mapping[str, str] = {
    "identifier": "an identifier",
    "timestamp": "a moment",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a text",
    "text": "a text of words",
    "category": "a category",
    "vector": "a list of floats",
}
BOOKKEEPING: Mapping[str, Meaning] = {
    "known_at": Meaning("When our world could first know this version of the row.", UTC),
    "superseded_at": Meaning("When the next version of the row became known; null for the current one.", UTC),
    "version": Meaning("1 for the row as first known, then 2, 3 and so on."),
    "loaded_in": Meaning("Number of the last load that brought or changed the row."),
    "event_date": Meaning("Day (UTC) of the event; the daily partition."),
    "first_event_date": Meaning("Day (UTC) of the first version of the row."),
    "decided_at": Meaning("When the event was decided online; null for those that were not.", UTC),
    "event_timestamp": Meaning("The moment that features are of: when the event was decided online, or happened.", UTC),
    "created_timestamp": Meaning(
        "When all of the row was known: the later of that moment and of when the event was known.", UTC
    ),
    "stream_topic": Meaning("Topic that the row came over; null for rows of files."),
    "stream_partition": Meaning("Partition of that topic."),
    "stream_offset": Meaning("Place of the message in that partition."),
    "stream_schema": Meaning("Version of the schema that the message was written with; null without a registry."),
    "row_deleted": Meaning("Whether the row says that the row of its key is no more; null for other rows."),
    "event_known_at": Meaning("When our world first knew the event, in microseconds since 1970 UTC.", "microseconds"),
}
"""Columns that Evergreen adds, under the same name in every table."""


def source_column(source: Source, column: Column) -> Meaning:
    """The meaning of a declared column: its description, or what its kind and its place in the source say."""
    unit = column.unit or (UTC if column.kind == "timestamp" else "")
    text = column.description or ", ".join(_derived(source, column))
    return Meaning(text, unit, column.kind == "identifier" or column.name in source.key)


def column_meaning(use_case: UseCase, name: str) -> Meaning:
    """The meaning of a column of the events or the labels of a use case, also of one that nothing declares."""
    computed_text = f"{_spaced(name)}, as the SQL of {use_case.name} computes it."
    meaning = declared_column(use_case, name) or Meaning(computed_text)
    is_identifier = meaning.is_identifier or name == use_case.event_id or name in use_case.entities
    return replace(meaning, is_identifier=is_identifier)


def declared_column(use_case: UseCase, name: str) -> Meaning | None:
    """The meaning of a column of the events or the labels that the use case declares, or every use case has."""
    if name == use_case.label:
        return _label(use_case)
    declared = [source_column(*found) for found in _of_sources(use_case, name)]
    declared += [computed(use_case, column) for column in use_case.computed if column.name == name]
    declared += [_age(column) for column in _aged(use_case) if age_name(column) == name]
    return declared[0] if declared else BOOKKEEPING.get(name)


def computed(use_case: UseCase, column: Column) -> Meaning:
    """The meaning of a column that SQL adds to the events."""
    text = column.description or f"{_spaced(column.name)}, as the SQL of {use_case.name} computes it"
    return Meaning(text, column.unit or (UTC if column.kind == "timestamp" else ""), column.kind == "identifier")


def _of_sources(use_case: UseCase, name: str) -> list[tuple[Source, Column]]:
    """Sources that declare the column; those whose rows it identifies first, those that only refer to it last."""
    found = [(s, c) for s in use_case.sources for c in s.columns if c.name == name]
    return sorted(found, key=lambda each: (name in each[0].references, name not in each[0].key))


def _aged(use_case: UseCase) -> list[str]:
    """Inputs whose ages are features."""
    return [name for name in use_case.inputs if use_case.kinds.get(name) == "timestamp"]


def _age(column: str) -> Meaning:
    return Meaning(f"Age of {column} at the time of the event; null where it is missing or later", "days")


def _label(use_case: UseCase) -> Meaning:
    declared = next((column.description for column in use_case.computed if column.name == use_case.label), "")
    text = declared.rstrip(".") or f"The label that is learned: whether {_spaced(use_case.label).lower()} is known"
    days = use_case.label_maturity.days
    late = f"; what nothing is known of {days} days after the event counts as false" if days else ""
    return Meaning(f"{text}{late}.")


def _derived(source: Source, column: Column) -> Iterator[str]:
    name = source.name.replace("_", " ")
    if column.name in source.references:
        yield f"Refers to {source.references[column.name]}"
    elif source.key == (column.name,):
        yield f"Identifies a row of {name}"
    elif column.name == source.known_at:
        yield f"When a row of {name} became known"
    elif column.name == source.event_time:
        yield f"When a row of {name} happened"
    else:
        yield f"{_spaced(column.name)} of {name}: {KINDS[column.kind]}"
    if column.minimum is not None or column.maximum is not None:
        yield _limits(column)


def _limits(column: Column) -> str:
    low = "" if column.minimum is None else f"at least {column.minimum:,g}"
    high = "" if column.maximum is None else f"at most {column.maximum:,g}"
    return " and ".join(filter(None, (low, high)))


def _spaced(name: str) -> str:
    return name.replace("_", " ").capitalize()

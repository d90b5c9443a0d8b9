"""Topics and the tables that a stream writes, as external assets: a process of its own makes them, and no run."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from assets.checks import results, specs
from assets.declare import readable
from assets.keys import Keys
from assets.metadata import column_schema
from jobs.checks import streams as stream_checks
from jobs.checks.check import Check, Outcome
from jobs.data_dictionary.tables import DataDictionary
from jobs.ingest.parsing import table_schema
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.connection import is_kafka
from jobs.messages.topics import Topics, topics_of
from jobs.settings import Settings
from jobs.streams import control
from jobs.streams.refused import refused
from jobs.use_case import Source, UseCase
from jobs.windows import WindowFeatures

Judge = Callable[[Lakehouse, datetime], list[Outcome]]


def build(settings: Settings, use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The topics of a use case, the tables of streamed features, and the checks of both."""
    topics, url = topics_of(settings, use_case), settings.stream_url
    kind = "kafka" if url is None or is_kafka(url) else "file"
    own = [_topic(topics, source, kind) for source in use_case.sources]
    tables = [_table(use_case, windows) for windows in use_case.windows] if _facts(use_case) else []
    checks = [_topic_checks(topics, source) for source in use_case.sources]
    checks += [_table_checks(use_case, spec.key) for spec in tables]
    if tables and use_case.learned is not None:
        checks.append(_champion_check(use_case))
    return [dg.AssetsDefinition(specs=[*own, *tables]), *checks]


def fed(use_case: UseCase, raw_tables: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The raw tables, each downstream of its topic."""
    keys = Keys(use_case)
    topics = {keys.raw[name]: topic for name, topic in keys.topics.items()}
    return [each.map_asset_specs(lambda spec: spec.merge_attributes(deps=[topics[spec.key]])) for each in raw_tables]


def _topic(topics: Topics, source: Source, kind: str) -> dg.AssetSpec:
    use_case, topic = topics.use_case, topics.topic(source)
    dictionary = DataDictionary(use_case, source=source)
    declared = [table_schema(source, {}).field(column.name) for column in source.columns]
    about = source.description or f"rows of {source.input} files."
    return dg.AssetSpec(
        Keys(use_case).topics[source.name],
        description=f"Topic {topic}: {about} A process reads it (`evergreen stream run`).",
        kinds={kind},
        metadata={"topic": topic, "dagster/column_schema": column_schema(declared, dictionary)},
        **_common(use_case, "topics"),
    )


def _table(use_case: UseCase, windows: WindowFeatures) -> dg.AssetSpec:
    keys, table = Keys(use_case), use_case.stream_table(windows)
    return dg.AssetSpec(
        keys.stream_tables[windows.name],
        deps=[keys.raw[name] for name in _facts(use_case)],
        description=f"Window features of {' and '.join(windows.keys)} of events that came over the topic, computed as "
        "they came: a row per event.",
        kinds={"delta", "polars"},
        metadata={
            "dagster/table_name": table,
            "dagster/column_schema": column_schema(windows.schema(), DataDictionary(use_case)),
        },
        **_common(use_case, "stream"),
    )


def _common(use_case: UseCase, group: str) -> dict[str, Any]:
    return {"group_name": group, "owners": list(use_case.owners), "tags": {"use_case": use_case.name}}


def _facts(use_case: UseCase) -> list[str]:
    """The sources whose rows features are made of; none where no source has the events as they are."""
    if use_case.event_source is None:
        return []
    labels = use_case.reported_labels
    return list(dict.fromkeys([use_case.event_source.name, *([labels.source] if labels else [])]))


def _checks(key: dg.AssetKey, checks: Sequence[Check], judge: Judge) -> dg.AssetsDefinition:
    @dg.multi_asset_check(name=f"{key.to_python_identifier()}_stream", specs=specs(key, checks))
    @readable
    def judged(
        lakehouse: dg.ResourceParam[Lakehouse], now: dg.ResourceParam[datetime]
    ) -> Iterator[dg.AssetCheckResult]:
        yield from results(judge(lakehouse, now))

    return judged


def _topic_checks(topics: Topics, source: Source) -> dg.AssetsDefinition:
    def judge(lakehouse: Lakehouse, now: datetime) -> list[Outcome]:
        said = control.heartbeat(lakehouse.settings, topics.use_case)
        reasons = refused(lakehouse, topics, source, now)
        return stream_checks.of_topic(said, topics.topic(source), reasons, now)

    return _checks(Keys(topics.use_case).topics[source.name], stream_checks.OF_TOPIC, judge)


def _table_checks(use_case: UseCase, key: dg.AssetKey) -> dg.AssetsDefinition:
    def judge(lakehouse: Lakehouse, now: datetime) -> list[Outcome]:
        return [stream_checks.computed(control.heartbeat(lakehouse.settings, use_case))]

    return _checks(key, [stream_checks.COMPUTED], judge)


def _champion_check(use_case: UseCase) -> dg.AssetsDefinition:
    def judge(lakehouse: Lakehouse, now: datetime) -> list[Outcome]:
        return [stream_checks.judged(lakehouse, use_case)]

    return _checks(Keys(use_case).champion, [stream_checks.EQUALS_BATCH], judge)

"""Which topic fills which source: `use_case.source`, unless EVERGREEN_STREAM names another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.errors import Invalid
from jobs.messages.connection import own_options
from jobs.settings import Settings
from jobs.use_case import Source, UseCase


def topic_of(use_case: UseCase, source: Source) -> str:
    """The topic of a source, unless another is named."""
    return f"{use_case.name}.{source.name}"


@dataclass(frozen=True)
class Topics:
    """The topics of one use case."""

    use_case: UseCase
    named: Mapping[str, str] = field(default_factory=dict)
    """Topic of `topic_of` -> the one that is in its place."""

    @classmethod
    def of(cls, use_case: UseCase, own: Mapping[str, str]) -> Topics:
        """own: options of EVERGREEN_STREAM, such as `topics=fraud.transactions:payments,fraud.fraud_reports:frauds`.

        Raises Invalid if two sources would have one topic, or a name is empty.
        """
        named = dict(_pair(each) for each in own["topics"].split(",")) if "topics" in own else {}
        made = cls(use_case, named)
        if len(set(made.names)) < len(use_case.sources):
            raise Invalid(
                f"EVERGREEN_STREAM: expected a topic of its own for each source of {use_case.name}, found "
                f"{', '.join(made.names)}; correct the option `topics`"
            )
        return made

    def topic(self, source: Source) -> str:
        """The topic of a source."""
        usual = topic_of(self.use_case, source)
        return self.named.get(usual, usual)

    @property
    def names(self) -> list[str]:
        """The topics of all sources, in their order."""
        return [self.topic(source) for source in self.use_case.sources]

    @property
    def sources(self) -> dict[str, Source]:
        """The source of each topic."""
        return {self.topic(source): source for source in self.use_case.sources}


def topics_of(settings: Settings, use_case: UseCase) -> Topics:
    """The topics that EVERGREEN_STREAM names for a use case; those of `topic_of` where it is not set."""
    return Topics(use_case) if settings.stream_url is None else Topics.of(use_case, own_options(settings.stream_url))


def _pair(text: str) -> tuple[str, str]:
    usual, separator, topic = text.partition(":")
    if not (usual and separator and topic):
        raise Invalid(
            f"EVERGREEN_STREAM: expected topics as USE_CASE.SOURCE:TOPIC, separated by commas, found {text!r}; correct "
            "the option `topics`"
        )
    return usual, topic

"""Messages of a topic, made of their values alone."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.messages.message import Decoded, Decoder, Message


def made_of(values: Sequence[bytes | None]) -> list[Message]:
    """Messages of one partition in this order."""
    return [Message("fraud.transactions", 0, offset, -1, None, value) for offset, value in enumerate(values)]


def decoded(decoder: Decoder, *values: bytes | None) -> Decoded:
    """What the messages of these values say, once it is as long as they are and in their order."""
    found = decoder(made_of(values))
    assert found.records["_line"].to_list() == list(range(1, len(values) + 1))
    assert len(found.schemas) == len(found.changes) == len(values)
    return found


def faults(found: Decoded) -> list[str | None]:
    """Why each message is no record."""
    return found.records["_malformed"].to_list()

"""The formats that a topic may have, and the decoder of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.errors import Invalid
from jobs.messages import json_values
from jobs.messages.message import Decoded, Decoder, Message, ValueDecoder

FORMATS: Mapping[str, ValueDecoder] = {"json": json_values.rows}


def decoder(form: str = "json") -> Decoder:
    """A decoder of messages in a format. Raises Invalid if there is no such format."""
    if form not in FORMATS:
        raise Invalid(f"format: expected one of {', '.join(FORMATS)}, found {form!r}; correct EVERGREEN_STREAM")
    of_values = FORMATS[form]

    def decode(messages: Sequence[Message]) -> Decoded:
        return of_values([message.value for message in messages])

    return decode

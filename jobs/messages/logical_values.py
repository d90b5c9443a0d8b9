"""Numbers and bytes that stand for times, dates and decimals, as the texts that `jobs.ingest` reads back exactly.

What they stand for is said by a logical type of Avro or by a name of Kafka Connect, of which Debezium has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from jobs.errors import Invalid

OfNumber: TypeAlias = Callable[[int], str]
_EPOCH = datetime(1970, 1, 1)
_UNITS = {3: "ms", 6: "us", 9: "ns"}
"""Digits of a fraction of a second -> its unit."""


def _moment(digits: int, zone: str) -> OfNumber:
    """Times since 1970; outside of the years 1 to 9999 a text that is no time."""

    def text(value: int) -> str:
        seconds, fraction = divmod(value, 10**digits)
        try:
            moment = _EPOCH + timedelta(seconds=seconds)
        except OverflowError:
            return f"{value} {_UNITS[digits]} since 1970"
        return f"{moment.isoformat()}.{fraction:0{digits}}{zone}"

    return text


def _time(digits: int) -> OfNumber:
    """Times of a day."""

    def text(value: int) -> str:
        seconds, fraction = divmod(value, 10**digits)
        if not 0 <= seconds < 86_400:
            return f"{value} {_UNITS[digits]} of a day"
        return f"{(_EPOCH + timedelta(seconds=seconds)).time().isoformat()}.{fraction:0{digits}}"

    return text


def _date(days: int) -> str:
    try:
        return date.fromordinal(_EPOCH.toordinal() + days).isoformat()
    except (ValueError, OverflowError):
        return f"{days} days since 1970"


_UTC, _LOCAL = "+00:00", ""
TIMES: Mapping[str, OfNumber] = {
    "date": _date,
    "time-millis": _time(3),
    "time-micros": _time(6),
    "timestamp-millis": _moment(3, _UTC),
    "timestamp-micros": _moment(6, _UTC),
    "timestamp-nanos": _moment(9, _UTC),
    "local-timestamp-millis": _moment(3, _LOCAL),
    "local-timestamp-micros": _moment(6, _LOCAL),
    "local-timestamp-nanos": _moment(9, _LOCAL),
    "org.apache.kafka.connect.data.Date": _date,
    "org.apache.kafka.connect.data.Time": _time(3),
    "org.apache.kafka.connect.data.Timestamp": _moment(3, _UTC),
    "io.debezium.time.Date": _date,
    "io.debezium.time.Time": _time(3),
    "io.debezium.time.MicroTime": _time(6),
    "io.debezium.time.NanoTime": _time(9),
    # Debezium has these of columns without a zone: their times are the database's own.
    "io.debezium.time.Timestamp": _moment(3, _LOCAL),
    "io.debezium.time.MicroTimestamp": _moment(6, _LOCAL),
    "io.debezium.time.NanoTimestamp": _moment(9, _LOCAL),
}
"""What integers stand for, by logical type of Avro and by name of Connect."""
DECIMALS = ("decimal", "org.apache.kafka.connect.data.Decimal")
"""Bytes whose scale is in the schema."""
SCALED_DECIMAL = "io.debezium.data.VariableScaleDecimal"
"""An object of `scale` and `value`, which are those bytes."""

LONGEST_DECIMAL = 1_000
"""Bytes; the time it takes grows with their square, to a minute for a message of a megabyte."""


def decimal(unscaled: bytes, scale: int) -> str:
    """A number of two's complement, with the point moved by `scale` digits.

    Raises Invalid (a ValueError) or ArithmeticError if it is longer than numbers are.
    """
    if len(unscaled) > LONGEST_DECIMAL:
        raise Invalid(
            f"expected a decimal of at most {LONGEST_DECIMAL} bytes, found {len(unscaled)}; send a shorter one"
        )
    sign, digits, _ = Decimal(int.from_bytes(unscaled, "big", signed=True)).as_tuple()
    return str(Decimal((sign, digits, -scale)))

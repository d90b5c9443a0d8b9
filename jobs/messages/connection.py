"""Where messages come from: what EVERGREEN_STREAM says, of a Kafka in the words of librdkafka, and what is raised if
nobody answers there.

Options of librdkafka have a dot in their names and go to it as they are (`?ssl.ca.location=/etc/ca.pem`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from jobs.errors import EvergreenError, Invalid
from jobs.settings import STREAM_VARIABLE

if TYPE_CHECKING:
    from confluent_kafka import Producer

    from jobs.secret import ClusterUrl
    from jobs.settings import Settings

PORT = 9092
ANSWER_SECONDS = 10.0
_SOON_BACK = {
    "reconnect.backoff.max.ms": 1000, "topic.metadata.refresh.interval.ms": 5000,
    "socket.connection.setup.timeout.ms": 3000,
}  # fmt: skip
"""Options by which a client finds a broker that died and came back within seconds; the defaults wait for minutes."""
ADVICE = (
    "; start it (`evergreen kafka` runs a broker on this machine), or correct the address, the user or the password"
)
DECISIONS = "decisions"
"""Scheme of the log of the decision service."""
OWN = ("format", "reader", "registry", "topics")
"""Options that say how messages are read (`jobs.messages.formats`), from where (`jobs.messages.topics`), and by whom
(`jobs.spark_streams.opening`)."""


class StreamUnreachable(EvergreenError, ConnectionError):
    """Brokers, a store or a folder do not answer, or let nobody in by this name."""


def unreachable(
    error: Any, expected: str = "a Kafka that answers", where: str = STREAM_VARIABLE, advice: str = ""
) -> StreamUnreachable:
    """What is raised for an error of brokers (KafkaException)."""
    return StreamUnreachable(f"{where}: expected {expected}, found: {error.args[0].str()}{advice}")


def stream_of(settings: Settings) -> ClusterUrl:
    """What EVERGREEN_STREAM names. Raises Invalid if it is not set."""
    if settings.stream_url is None:
        raise Invalid(
            f"{STREAM_VARIABLE}: expected where topics are, as kafka://host:port or files:///folder, found nothing; "
            "set it (`evergreen kafka` runs a broker on this machine)"
        )
    return settings.stream_url


def is_kafka(url: ClusterUrl) -> bool:
    """Whether brokers are meant."""
    return url.parts.scheme in ("kafka", "kafkas")


def client_options(url: ClusterUrl) -> dict[str, Any]:
    """Options of any client of librdkafka: brokers, security and who one is, and what the URL says itself.

    Raises Invalid if it is the URL of something else.
    """
    if not is_kafka(url):
        raise Invalid(
            f"{STREAM_VARIABLE}: expected the address of a Kafka, as kafka://host:port, which alone takes messages, "
            f"found {url}; set it (`evergreen kafka` runs a broker on this machine)"
        )
    parts, named = url.parts, parse_qsl(url.parts.query, keep_blank_values=True)
    tls, user = parts.scheme == "kafkas", parts.username
    return {
        "bootstrap.servers": ",".join(_address(host, port) for host, port in url.hosts),
        "security.protocol": ("SASL_" if user else "") + ("SSL" if tls else "PLAINTEXT"),
        **(_login(user, parts.password) if user else {}),
        # What goes wrong is told by what it does: librdkafka writes a line for each attempt besides.
        "log_level": 0,
        **_SOON_BACK,
        **{name: value for name, value in named if "." in name},
    }


def own_options(url: ClusterUrl) -> dict[str, str]:
    """What the URL says of messages and topics. Raises Invalid for any other word without a dot."""
    own = {name: value for name, value in parse_qsl(url.parts.query, keep_blank_values=True) if "." not in name}
    if unknown := own.keys() - set(OWN):
        raise Invalid(
            f"{STREAM_VARIABLE}: expected {' or '.join(OWN)}, or options of librdkafka, which have a dot, found "
            f"{min(unknown)!r}; correct it"
        )
    return own


def _address(host: str, port: int | None) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port or PORT}"


def _login(user: str, password: str | None) -> dict[str, str]:
    return {"sasl.mechanism": "PLAIN", "sasl.username": unquote(user), "sasl.password": unquote(password or "")}


def producer(url: ClusterUrl) -> Producer:
    """A producer that brokers answer: each message is written once, one key to one partition, as Java's clients do it.

    It calls back about messages that could not be delivered only. Raises Invalid, StreamUnreachable.
    """
    from confluent_kafka import KafkaException, Producer

    own = {"enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 20, "compression.type": "lz4"}
    try:
        made = Producer({**own, "delivery.report.only.error": True, **client_options(url)})
    except KafkaException as error:
        raise Invalid(f"{STREAM_VARIABLE}: expected options of librdkafka, found: {error.args[0].str()}") from error
    try:
        made.list_topics(timeout=ANSWER_SECONDS)
    except KafkaException as error:
        raise unreachable(error, where=f"{STREAM_VARIABLE}={url}", advice=ADVICE) from error
    return made

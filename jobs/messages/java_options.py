"""Options of Kafka's client of Java, for clusters that read topics: what options of librdkafka say, in its words."""

from __future__ import annotations

from collections.abc import Mapping

OF_LIBRDKAFKA = ("log_level", "topic.metadata.refresh.interval.ms")
"""Options that Java does not have. Of others that it does not know it warns."""
MODULES = "org.apache.kafka.common.security"


def java_options(options: Mapping[str, object]) -> dict[str, str]:
    """The same brokers, security and user.

    Names of files are those of machines of the cluster, as certificates in the format PEM.
    """
    told = {name: str(value) for name, value in options.items() if name not in OF_LIBRDKAFKA}
    if "ssl.ca.location" in told:
        told |= {"ssl.truststore.location": told.pop("ssl.ca.location"), "ssl.truststore.type": "PEM"}
    if "sasl.username" in told:
        told["sasl.jaas.config"] = _login(told["sasl.mechanism"], told.pop("sasl.username"), told.pop("sasl.password"))
    return told


def _login(mechanism: str, user: str, password: str) -> str:
    module = "scram.ScramLoginModule" if mechanism.startswith("SCRAM") else "plain.PlainLoginModule"
    return f"{MODULES}.{module} required username={_quoted(user)} password={_quoted(password)};"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

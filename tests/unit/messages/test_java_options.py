"""Options of Kafka's client of Java, from what EVERGREEN_STREAM says."""

from __future__ import annotations

import pytest

from jobs.messages.connection import client_options
from jobs.messages.java_options import java_options
from jobs.secret import ClusterUrl

PEM = {"ssl.truststore.location": "/etc/ca.pem", "ssl.truststore.type": "PEM"}
MODULE = "org.apache.kafka.common.security"
CASES = {
    "kafka://a,b:1": {"bootstrap.servers": "a:9092,b:1", "security.protocol": "PLAINTEXT"},
    "kafkas://a:1?ssl.ca.location=/etc/ca.pem&reader=spark": {
        "bootstrap.servers": "a:1", "security.protocol": "SSL", **PEM,
    },
    "kafkas://eve:p%22s%5C@a:1": {
        "bootstrap.servers": "a:1", "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
        "sasl.jaas.config":
            MODULE + r'.plain.PlainLoginModule required username="eve" password="p\"s\\";',
    },
    "kafka://eve:x@a:1?sasl.mechanism=SCRAM-SHA-512": {
        "bootstrap.servers": "a:1", "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": MODULE + '.scram.ScramLoginModule required username="eve" password="x";',
    },
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_brokers_security_and_user_are_the_same(text: str) -> None:
    told = java_options(client_options(ClusterUrl(text)))
    assert {name: value for name, value in told.items() if not name.endswith(".ms")} == CASES[text]

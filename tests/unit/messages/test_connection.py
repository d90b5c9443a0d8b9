"""What EVERGREEN_STREAM says of a Kafka, in the words of its client."""

from pathlib import Path

import pytest

from jobs.errors import Invalid
from jobs.messages.connection import StreamUnreachable, client_options, producer, stream_of
from jobs.secret import ClusterUrl
from jobs.settings import Settings

CASES = {
    "kafka://127.0.0.1:9092": {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "PLAINTEXT"},
    "kafka://a,[::1]:1": {"bootstrap.servers": "a:9092,[::1]:1", "security.protocol": "PLAINTEXT"},
    "kafkas://a:1?ssl.ca.location=/etc/my%20ca.pem&format=json": {
        "bootstrap.servers": "a:1", "security.protocol": "SSL", "ssl.ca.location": "/etc/my ca.pem",
    },
    "kafkas://eve:p%40ss@a:1": {
        "bootstrap.servers": "a:1", "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
        "sasl.username": "eve", "sasl.password": "p@ss",
    },
    "kafka://eve:x@a:1?sasl.mechanism=SCRAM-SHA-512": {
        "bootstrap.servers": "a:1", "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "eve", "sasl.password": "x",
    },
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_a_url_says_brokers_security_and_options(text: str) -> None:
    options = client_options(ClusterUrl(text))
    told = {name: value for name, value in options.items() if name != "log_level" and not name.endswith(".ms")}
    assert told == CASES[text]


def test_without_a_setting_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="EVERGREEN_STREAM: expected where topics are"):
        stream_of(Settings(tmp_path))


def test_a_folder_takes_no_messages() -> None:
    with pytest.raises(Invalid, match=r"expected the address of a Kafka, .* found files:///data/topics"):
        producer(ClusterUrl("files:///data/topics"))


def test_an_option_that_there_is_not_is_named() -> None:
    with pytest.raises(Invalid, match=r"EVERGREEN_STREAM: expected options of librdkafka, found: .*no\.such"):
        producer(ClusterUrl("kafka://127.0.0.1:1?no.such=1"))


def test_brokers_that_do_not_answer_are_named_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.messages.connection.ANSWER_SECONDS", 0.1)
    with pytest.raises(StreamUnreachable, match=r"EVERGREEN_STREAM=kafka://\*\*\*@127\.0\.0\.1:1: expected a Kafka"):
        producer(ClusterUrl("kafka://eve:c4n4ry@127.0.0.1:1"))

"""Who reads topics, as EVERGREEN_STREAM says."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import Invalid
from jobs.messages.topics import Topics
from jobs.secret import ClusterUrl, Url
from jobs.settings import Settings
from jobs.spark_streams.opening import reader_of
from jobs.use_cases.fraud import FRAUD


@pytest.mark.parametrize(
    ("stream", "remote"),
    [("kafka://127.0.0.1:1?reader=spark", None), ("kafka://127.0.0.1:1?reader=flink", Url("sc://127.0.0.1:1")),
     ("files:///data/topics?reader=spark", Url("sc://127.0.0.1:1")),
     ("decisions://?reader=spark", Url("sc://127.0.0.1:1"))],
)  # fmt: skip
def test_spark_reads_only_a_kafka_and_only_where_it_is(stream: str, remote: Url | None, tmp_path: Path) -> None:
    own = Settings(home=tmp_path, spark_remote=remote, stream_url=ClusterUrl(stream))
    with pytest.raises(Invalid, match="expected reader=spark only of a Kafka, and with SPARK_REMOTE set"):
        reader_of(own, Topics(FRAUD), [])

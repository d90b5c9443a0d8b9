"""What a stream says of itself stands in a file that Prometheus reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobs.settings import Settings
from jobs.streams import control, textfile
from jobs.streams.control import Heartbeat
from jobs.use_cases.fraud import FRAUD

SAID = Heartbeat(
    1_800_000_000.5, "1@0.00", "running", counts={"messages": 9, "bad": 2}, lag={'a "b"\\c\nd': 7, "e": 0},
    stamp=1_800_000_000_000_001,
)  # fmt: skip


def test_a_heartbeat_is_there_as_prometheus_reads_it(tmp_path: Path) -> None:
    own = Settings(home=tmp_path)
    control.beat(own, FRAUD, SAID)
    families = text_string_to_metric_families(textfile.path(own, FRAUD).read_text())
    found = {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}
    ours = ("use_case", "fraud")
    assert found == {
        ("evergreen_stream_heartbeat_seconds", ("condition", "running"), ours): SAID.at,
        ("evergreen_stream_lag", ("topic", 'a "b"\\c\nd'), ours): 7,
        ("evergreen_stream_lag", ("topic", "e"), ours): 0,
        ("evergreen_stream_rows_total", ("outcome", "messages"), ours): 9,
        ("evergreen_stream_rows_total", ("outcome", "bad"), ours): 2,
        ("evergreen_stream_last_message_seconds", ours): SAID.stamp / 1e6,
    }


@pytest.mark.servers
def test_promtool_finds_nothing_to_say_about_it() -> None:
    text = textfile.text(FRAUD, SAID)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")

"""What the process of a stream says of itself when it cannot even begin."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from jobs.messages.connection import StreamUnreachable
from jobs.processes import this_process
from jobs.settings import Settings
from jobs.streams import control
from jobs.streams.control import Heartbeat
from jobs.streams.process import Process
from jobs.streams.stream import Stream
from jobs.use_cases.fraud import FRAUD


def unreachable(_: object) -> Stream:
    raise StreamUnreachable("nothing answers at 127.0.0.1:9092")


def test_one_that_cannot_be_opened_says_why_and_keeps_what_the_one_before_said(tmp_path: Path) -> None:
    own = Settings(home=tmp_path)
    for positions in ({}, {"fraud.transactions": {"0": 7}}):
        if positions:
            control.beat(own, FRAUD, Heartbeat(0.0, "1@0.00", "running", positions=positions))
        with pytest.raises(StreamUnreachable):
            Process(own, FRAUD, unreachable).run(Event())
        said = control.heartbeat(own, FRAUD)
        assert said is not None and said.condition == "failed" and said.positions == positions
        assert "127.0.0.1:9092" in said.why and said.process == this_process()

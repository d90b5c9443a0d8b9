"""The comparison finds a log that was altered, cell by cell."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from worlds import decided_world
from worlds.decided_world import World, decide, server, worker

from jobs.decisions import log_contents
from jobs.decisions.opened import log_file
from jobs.online.log_records import line_of, record_of
from jobs.use_cases.fraud import FRAUD
from orchestration.commands.serve import serve

pytestmark = pytest.mark.embedded


def altered(world: World) -> None:
    """A feature of the last decision is another number; all checksums hold."""
    path = log_file(world.settings, FRAUD)
    *lines, last = path.read_bytes().splitlines()
    record = record_of(last, 0)
    assert record is not None
    decided = log_contents.decode(record.content)
    assert isinstance(decided, log_contents.Decided)
    features = [*decided.features]
    features[0] += 1
    content = log_contents.encode(msgspec.structs.replace(decided, features=features))
    path.write_bytes(b"\n".join([*lines, line_of(record.stamp, record.id, content)]))


def test_the_command_tells_the_cell_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    world = decided_world.made(tmp_path, events=60, future=0)
    with server(world), worker(world) as one:
        for _ in range(3):
            world.now += decided_world.SECOND
            last = decide(one, world.given())
    right = CliRunner().invoke(serve, ["--check", "--use-case", "fraud"])
    assert right.exit_code == 0 and f"{3 * len(last.features):,} cells of 3 decisions" in right.output
    altered(world)
    wrong = CliRunner().invoke(serve, ["--check", "--use-case", "fraud"])
    assert wrong.exit_code != 0
    assert f"customer_tx_count_10m of {last.id}: decided by {last.features[0] + 1!r}" in wrong.output


def test_contents_come_back_as_they_were() -> None:
    label = log_contents.LabelCame(2**53 + 1, -5, {"customer_id": "é\n"}, {"is_fraud": None})
    content = log_contents.encode(label)
    assert b"\n" not in content and json.loads(content)["kind"] == "label"
    assert log_contents.decode(content) == label

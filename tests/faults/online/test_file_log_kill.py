"""Workers that append to one log and are killed at drawn moments: nothing that was acknowledged is lost or doubled."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from worlds.draws import drawn

from jobs.online.file_log import FileLog

pytestmark = pytest.mark.embedded

WORKER = """
import sys
from pathlib import Path
from jobs.online.file_log import FileLog
name, path = sys.argv[1:]
log = FileLog(Path(path))
for number in range(10**9):
    id = f"{name} {number}"
    content = id.encode() * (1 + number % 40)
    appended = log.append(id, content)
    if number % 3 == 0:
        assert not log.append(id, content).is_new
    print(id, appended.record.stamp, flush=True)
"""


def test_kills_lose_no_acknowledged_record_and_double_none(tmp_path: Path) -> None:
    chance, path = drawn("kills of the log's workers"), tmp_path / "log"
    answers: list[tuple[str, int]] = []
    for round in range(4):
        files = [tmp_path / f"{round} {number}" for number in range(3)]
        workers = [_started(file, path) for file in files]
        deadline = time.monotonic() + 60
        while any(file.stat().st_size < 2000 for file in files) and time.monotonic() < deadline:
            time.sleep(0.01)
        for worker in chance.sample(workers, 3):
            time.sleep(chance.random() / 50)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        for file in files:
            answers += [_answer(line) for line in file.read_text().split("\n")[:-1]]
    with FileLog(path) as log:
        records = list(log.records())
    stamps = [record.stamp for record in records]
    assert stamps == sorted(set(stamps))
    held = {record.id: record for record in records}
    assert len(held) == len(records) and len(answers) > 100
    for id, stamp in answers:
        assert held[id].stamp == stamp
        assert held[id].content == id.encode() * (1 + int(id.split()[-1]) % 40)
    # A worker that died between its record and its answer: at most one each.
    assert len(records) - len(answers) <= 12


def test_every_worker_reads_the_same_order(tmp_path: Path) -> None:
    """What two live workers were told, put together with their own records, is the log from the first byte on."""
    path = tmp_path / "log"
    with FileLog(path) as one, FileLog(path) as other:
        heard: list[list[str]] = [[], []]
        chance = drawn("turns of the log's workers")
        for number in range(200):
            turn = chance.randrange(2)
            appended = (one, other)[turn].append(str(number), b"")
            heard[turn] += [record.id for record in appended.before] + [str(number)]
        heard[0] += [record.id for record in one.tail()]
        heard[1] += [record.id for record in other.tail()]
    assert heard[0] == heard[1] == [str(number) for number in range(200)]


def _started(file: Path, path: Path) -> "subprocess.Popen[bytes]":
    with file.open("wb") as out:
        return subprocess.Popen([sys.executable, "-c", WORKER, file.name, str(path)], stdout=out)


def _answer(line: str) -> tuple[str, int]:
    id, stamp = line.rsplit(" ", 1)
    return id, int(stamp)

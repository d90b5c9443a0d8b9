"""The ordered log: one order, one time, each id once, whatever was left at its end."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.errors import Invalid
from jobs.online.file_log import FileLog
from jobs.online.log_records import HEADER, Conflict, Record, line_of, record_of

pytestmark = pytest.mark.embedded


@given(st.integers(0, 2**62), st.text(), st.binary().filter(lambda content: b"\n" not in content))
@with_examples(100)
def test_a_line_gives_its_record_back(stamp: int, id: str, content: bytes) -> None:
    line = line_of(stamp, id, content)
    assert line.count(b"\n") == 1 and record_of(line[:-1], 7) == Record(stamp, id, content, 7 + len(line), 7)


def test_content_of_two_lines_is_refused() -> None:
    with pytest.raises(Invalid, match="expected content on one line"):
        line_of(1, "a", b"1\n2")


def test_stamps_increase_while_the_clock_stands_still_or_steps_back(tmp_path: Path) -> None:
    clock = iter([100, 100, 5, 500, 499])
    with FileLog(tmp_path / "log", now=lambda: next(clock)) as log:
        stamps = [log.append(str(number), b"").record.stamp for number in range(5)]
    assert stamps == [100, 101, 102, 500, 501]


def test_a_new_reader_goes_on_behind_the_last_stamp(tmp_path: Path) -> None:
    with FileLog(tmp_path / "log", now=lambda: 100) as log:
        log.append("a", b"1")
    with FileLog(tmp_path / "log", now=lambda: 50) as log:
        assert log.append("b", b"2").record.stamp == 101
        assert [(record.id, record.content) for record in log.records()] == [("a", b"1"), ("b", b"2")]


@pytest.mark.parametrize("again", ["the same", "another"])
def test_an_id_counts_once_for_every_worker(tmp_path: Path, again: str) -> None:
    with FileLog(tmp_path / "log") as one, FileLog(tmp_path / "log") as other:
        first = one.append("a", b"1")
        repeated = (one if again == "the same" else other).append("a", b"1")
        assert first.is_new and not repeated.is_new and repeated.record == first.record
        assert len([*one.records()]) == 1


def test_an_id_with_other_content_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with FileLog(tmp_path / "log") as log:
        log.append("a", b"1")
        with pytest.raises(Conflict, match="expected the content that is in the log"):
            log.append("a", b"2")
        assert len([*log.records()]) == 1


def test_workers_are_told_what_others_appended(tmp_path: Path) -> None:
    with FileLog(tmp_path / "log") as one, FileLog(tmp_path / "log") as other:
        one.append("a", b"1")
        one.append("b", b"2")
        appended = other.append("c", b"3")
        assert [record.id for record in appended.before] == ["a", "b"]
        assert [record.id for record in one.tail()] == ["c"] and one.tail() == []


@pytest.mark.parametrize("size", [0, 5000, 5_000_000])
def test_content_of_any_length_comes_back(tmp_path: Path, size: int) -> None:
    content = b"x" * size
    with FileLog(tmp_path / "log") as log:
        log.append("a", content)
        log.append("b", b"\r\x0b\t" + content)
    with FileLog(tmp_path / "log") as log:
        assert [record.content for record in log.records()] == [content, b"\r\x0b\t" + content]


def test_a_torn_last_line_is_cut_wherever_it_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with FileLog(path) as log:
        log.append("a", b"1")
        whole = path.stat().st_size
        log.append("b", b"2")
    written = path.read_bytes()
    for end in range(len(written)):
        path.write_bytes(written[:end])
        with FileLog(path) as log:
            assert [record.id for record in log.records()] == (["a"] if end >= whole else [])
            log.append("c", b"3")
        with FileLog(path) as log:
            assert [record.id for record in log.records()][-1] == "c"


def test_zeros_behind_the_last_record_are_cut(tmp_path: Path) -> None:
    """What a power cut may leave: the file's length reached the disk, its last blocks did not."""
    path = tmp_path / "log"
    with FileLog(path) as log:
        log.append("a", b"1")
    path.write_bytes(path.read_bytes() + bytes(5000) + b"\n" + bytes(9))
    with FileLog(path) as log:
        assert [record.id for record in log.records()] == ["a"]


def test_a_line_that_another_left_torn_is_cut_by_the_next_append(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with FileLog(path) as log:
        log.append("a", b"1")
        with path.open("ab") as file:
            file.write(line_of(2**60, "torn", b"2")[:-3])
        assert log.tail() == []
        log.append("b", b"3")
    with FileLog(path) as log:
        assert [record.id for record in log.records()] == ["a", "b"]


def test_damage_before_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with FileLog(path) as log:
        log.append("a", b"1")
        log.append("b", b"2")
    written = bytearray(path.read_bytes())
    written[len(HEADER) + 20] ^= 1
    path.write_bytes(written)
    with pytest.raises(Invalid, match=f"found a damaged one at byte {len(HEADER)}"):
        FileLog(path)
    assert path.read_bytes() == written


def test_another_file_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes, by no means a log\n")
    with pytest.raises(Invalid, match="expected a log that starts with"):
        FileLog(path)
    assert path.read_text() == "my notes, by no means a log\n"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from jobs.online.file_log import FileLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = FileLog(Path(sys.argv[1]))
log.append("a", b"1")
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))
try:
    log.append("b", b"x" * 100)
except OSError:
    print(Path(sys.argv[1]).stat().st_size - size)
"""


def test_a_full_disk_refuses_and_leaves_no_part(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "log")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0", done.stderr


def test_each_record_is_on_the_disk_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    with FileLog(tmp_path / "log", sync_each=True) as log:
        before = len(synced)
        log.append("a", b"1")
        assert len(synced) == before + 1


def test_records_reach_the_disk_together_soon_and_a_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileLog(tmp_path / "log") as log:
        log.append("a", b"1")

    def refused(handle: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr("os.fdatasync", refused)
    log = FileLog(tmp_path / "log")
    log.append("b", b"2")
    with pytest.raises(OSError, match="the disk is gone"):
        log.close()

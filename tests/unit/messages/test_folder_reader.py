"""Topics in a folder: every line and every row once and in order, however writers and readers take turns."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.messages.connection import StreamUnreachable
from jobs.messages.folder_reader import FolderReader
from jobs.messages.line_files import partition_of
from jobs.messages.position import Position, PositionLost

TOPIC, OTHER = "w.payments", "w.reports"


class Home:
    """What a stream does with a reader: places are made durable now and then, and a death forgets the rest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stored: dict[str, Any] = {}
        self.durable: list[bytes] = []
        self.begin()

    def begin(self) -> None:
        """Start, from the last commit on."""
        places = [Position.restored(topic, self.stored.get(topic, {})) for topic in (TOPIC, OTHER)]
        self.reader = FolderReader(self.folder, places)
        self.taken: list[bytes] = []

    def step(self, most: int) -> int:
        for topic in self.reader._topics.values():
            topic._look_at = 0.0
        found = self.reader.poll(most, 0)
        assert len(found) <= most
        self.taken += [message.value or b"" for message in found]
        return len(found)

    def commit(self) -> None:
        self.stored = json.loads(json.dumps({name: self.reader.position(name).told() for name in (TOPIC, OTHER)}))
        self.durable, self.taken = self.durable + self.taken, []

    def read_all(self) -> list[bytes]:
        while self.step(1000):
            pass
        self.commit()
        return self.durable


def folder_of(path: Path, topic: str = TOPIC) -> Path:
    (path / topic).mkdir(parents=True, exist_ok=True)
    return path / topic


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@given(st.data())
@with_examples(60)
def test_any_chopping_of_appends_and_any_deaths_bring_every_line_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("topics")
    contents: dict[str, bytes] = {}
    for name in data.draw(st.lists(st.sampled_from(["a.jsonl", "b b.jsonl", "é.ndjson", "0.jsonl"]), unique=True)):
        texts = data.draw(st.lists(st.text(alphabet='{"é\r \U0001f600', max_size=9)))
        contents[name] = "".join(f"{name}:{number}:{text}\n" for number, text in enumerate(texts)).encode()
    home, left = Home(path), dict(contents)
    for name, act, size in data.draw(st.lists(st.tuples(
        st.sampled_from(sorted(contents) or ["a.jsonl"]), st.sampled_from("wwwwsssckk"), st.integers(1, 40),
    ))):  # fmt: skip
        if act == "w":
            part, left[name] = left.get(name, b"")[:size], left.get(name, b"")[size:]
            with (folder_of(path) / name).open("ab") as file:
                file.write(part)
        elif act == "s":
            home.step(size)
        elif act == "c":
            home.commit()
        else:
            home.begin()
    for name, rest in left.items():
        with (folder_of(path) / name).open("ab") as file:
            file.write(rest)
    found = home.read_all()
    for name, content in contents.items():
        mine = [text for text in found if text.startswith(f"{name}:".encode())]
        assert mine == [line.strip() for line in content.split(b"\n")[:-1]]
    assert len(found) == sum(content.count(b"\n") for content in contents.values())


def test_places_are_of_bytes_and_partitions_of_names(home: Home) -> None:
    file = folder_of(home.folder) / "a.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"a": 2}\n{"a": 3')
    (file.parent / ".b.jsonl.tmp").write_bytes(b"x\n")
    found = home.reader.poll(10, 0)
    number = partition_of("a.jsonl")
    assert [(each.partition, each.offset, each.value) for each in found] == [
        (number, 0, b'{"a": 1}'),
        (number, 17, b'{"a": 2}'),
    ]
    assert home.reader.position(TOPIC).next == {number: 26}
    assert home.reader.position(OTHER) == Position(OTHER)


def test_a_file_is_read_in_several_steps(home: Home) -> None:
    (folder_of(home.folder) / "a.jsonl").write_bytes(b"1\n2\n3\n4\n5\n")
    assert [home.step(2) for _ in range(4)] == [2, 2, 1, 0]
    assert home.taken == [b"1", b"2", b"3", b"4", b"5"]


def test_a_line_longer_than_what_is_read_at_once_comes_whole(home: Home) -> None:
    long = b"x" * 3_000_000
    (folder_of(home.folder) / "a.jsonl").write_bytes(b"1\n" + long + b"\n2\n")
    assert home.read_all() == [b"1", long, b"2"]


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize(
    ("content", "found"), [(b"1\n", "2 bytes"), (b"1\n3\n4\n", "other content"), (b"", "0 bytes"), (b"1\n3\n", "other")]
)
def test_a_file_that_is_cut_off_or_replaced_is_noticed(
    home: Home, content: bytes, found: str, is_running: bool
) -> None:
    file = folder_of(home.folder) / "a.jsonl"
    file.write_bytes(b"1\n2\n")
    home.read_all()
    if not is_running:
        home.begin()
    file.with_suffix(".new").write_bytes(content)
    os.replace(file.with_suffix(".new"), file)
    # What is right in others comes before the fault is told.
    (file.parent / "0.jsonl").write_bytes(b"0\n")
    assert home.step(10) == 1
    with pytest.raises(PositionLost, match=rf"a.jsonl: .* of which 4 bytes were read, found {found}"):
        home.step(10)
    file.write_bytes(b"1\n2\n3\n")
    home.begin()
    assert home.read_all() == [b"1", b"2", b"0", b"3"]


def test_a_file_may_go_once_it_is_read(home: Home) -> None:
    file = folder_of(home.folder) / "a.jsonl"
    file.write_bytes(b"1\n")
    home.read_all()
    file.unlink()
    (file.parent / "b.jsonl").write_bytes(b"2\n")
    assert home.read_all() == [b"1", b"2"]
    assert list(home.stored[TOPIC]["next"]) == [str(partition_of("b.jsonl"))]


def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    reader = FolderReader(tmp_path / "in", [Position(TOPIC)])
    with pytest.raises(StreamUnreachable, match="No such file"):
        reader.poll(10, 0)
    (folder_of(tmp_path / "in") / "a.jsonl").write_bytes(b"1\n")
    assert [each.value for each in reader.poll(10, 0)] == [b"1"]


def test_topics_come_one_after_the_other_and_lag_is_told(home: Home) -> None:
    (folder_of(home.folder, OTHER) / "a.jsonl").write_bytes(b"r1\nr2\n")
    (folder_of(home.folder) / "a.jsonl").write_bytes(b"p1\np2\np3\n")
    home.step(4)
    assert home.taken == [b"p1", b"p2", b"p3", b"r1"]
    assert home.reader.lag() == {TOPIC: 0, OTHER: 0}  # three bytes are no line of the usual length


def rows(first: int, count: int) -> pa.Table:
    return pa.table({"id": list(range(first, first + count)), "day": [f"d {n % 2}" for n in range(count)]})


def ids(values: list[bytes]) -> list[int]:
    return [json.loads(value)["id"] for value in values]


@pytest.mark.parametrize("seed", range(6))
def test_a_table_brings_every_row_once_and_in_order_through_compactions_and_deaths(home: Home, seed: int) -> None:
    chance, folder, written = Random(seed), folder_of(home.folder), 0
    by = ["day"] if seed % 2 else None
    for _ in range(25):
        act = chance.random()
        if act < 0.4 or not written:
            count = chance.randrange(1, 6)
            write_deltalake(folder, rows(written, count), mode="append", partition_by=by)
            written += count
        elif act < 0.55:
            DeltaTable(folder).optimize.compact()
        elif act < 0.8:
            home.step(chance.randrange(1, 5))
            if chance.random() < 0.5:
                home.commit()
        else:
            home.begin()
    found = ids(home.read_all())
    assert sorted(found) == list(range(written))
    assert by or found == sorted(found)


def test_rows_before_the_first_look_may_be_vacuumed_and_the_log_cleaned(home: Home) -> None:
    folder = folder_of(home.folder)
    for first in range(0, 30, 10):
        write_deltalake(folder, rows(first, 10), mode="append")
    table = DeltaTable(folder)
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    table.create_checkpoint()
    for commit in range(3):
        (folder / "_delta_log" / f"{commit:020}.json").unlink()
    assert home.step(12) == 12
    home.commit()
    home.begin()
    write_deltalake(folder, rows(30, 5), mode="append")
    found = ids(home.read_all())
    assert (sorted(found[:30]), found[30:]) == (list(range(30)), list(range(30, 35)))


@pytest.mark.parametrize("what", ["log", "files"])
def test_a_version_that_is_gone_is_noticed(home: Home, what: str) -> None:
    folder = folder_of(home.folder)
    write_deltalake(folder, rows(0, 3), mode="append")
    home.read_all()
    write_deltalake(folder, rows(3, 3), mode="append")
    write_deltalake(folder, rows(6, 3), mode="append")
    table = DeltaTable(folder)
    table.optimize.compact()
    if what == "files":
        table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    else:
        table.create_checkpoint()
        (folder / "_delta_log" / f"{1:020}.json").unlink()
    home.begin()
    with pytest.raises(PositionLost, match=r"expected to go on at version 1 of a Delta table, found .*rewind"):
        home.step(10)


def test_an_update_brings_its_rows_and_a_deletion_none(home: Home) -> None:
    folder = folder_of(home.folder)
    write_deltalake(folder, rows(0, 3))
    home.read_all()
    DeltaTable(folder).delete("id = 0")
    DeltaTable(folder).update({"day": "'other'"}, predicate="id = 1")
    assert ids(home.read_all()[3:]) == [1, 2, 1, 2]
    assert json.loads(home.durable[-2])["day"] == "other"


@pytest.mark.parametrize("versions", [1, 2, 3])
def test_a_table_that_is_made_again_is_read_from_its_beginning(home: Home, versions: int) -> None:
    folder = folder_of(home.folder)
    write_deltalake(folder, rows(0, 2))
    write_deltalake(folder, rows(2, 2), mode="append")
    home.read_all()
    shutil.rmtree(folder)
    for number in range(versions):
        write_deltalake(folder, rows(10 + number, 1), mode="append")
    home.begin()
    write_deltalake(folder, rows(20, 1), mode="append")
    assert ids(home.read_all()) == [0, 1, 2, 3, *range(10, 10 + versions), 20]


def test_the_place_in_another_kind_of_topic_is_no_place(home: Home) -> None:
    home.stored = {TOPIC: {"topic": TOPIC, "topic_id": "of Kafka", "next": {"0": 7, "1": 9}}}
    write_deltalake(folder_of(home.folder), rows(0, 2))
    (folder_of(home.folder, OTHER) / "a.jsonl").write_bytes(b'{"id": 9}\n')
    home.begin()
    assert ids(home.read_all()) == [0, 1, 9]

"""A backup is whole or is none, is of one moment, and becomes a home elsewhere; what is no backup makes no home."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import threading
import time
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from jobs import home_version, settings
from jobs.backups import archive, backup, moment
from jobs.backups.archive import BackupError
from jobs.backups.restore import restore
from jobs.ingest.registered_inputs import Inputs
from jobs.settings import Settings
from jobs.state_files import replace_json

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def _append(own: Settings, table: str, value: int) -> None:
    write_deltalake(f"{own.home}/warehouse/fraud/{table}", pl.DataFrame({"n": [value]}).to_arrow(), mode="append")


def _decide(own: Settings, value: int) -> None:
    with closing(sqlite3.connect(own.home / "ledger.sqlite", timeout=30)) as database, database:
        database.execute("create table if not exists decided (n integer)")
        database.execute("insert into decided values (?)", [value])


def _decided(own: Settings) -> list[int]:
    with closing(sqlite3.connect(own.home / "ledger.sqlite")) as database:
        return [n for (n,) in database.execute("select n from decided order by 1")]


def _rows(own: Settings, table: str, version: int | None = None) -> list[int]:
    delta = DeltaTable(f"{own.home}/warehouse/fraud/{table}", version=version)
    return sorted(pl.from_arrow(delta.to_pyarrow_table())["n"].to_list())  # type: ignore[index]


@pytest.fixture
def own(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with two tables, a decision, a registered file outside of it and one in it."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("user")))
    made = settings.load({"EVERGREEN_HOME": str(tmp_path / "a home")})
    for value in range(3):
        _append(made, "first", value)
        _append(made, "second", value)
    _decide(made, 0)
    outside = tmp_path / "given" / "t.csv"
    outside.parent.mkdir()
    outside.write_text("a\n1\n")
    files = {"transactions": (str(outside),), "reports": (str(made.home / "input" / "r.csv"),)}
    (made.home / "input").mkdir()
    (made.home / "input" / "r.csv").write_text("b\n2\n")
    inputs = Inputs(files, date(2026, 1, 1), date(2026, 1, 2), given={str(outside): "4 1"})
    replace_json(made.state / "fraud" / "inputs.json", asdict(inputs))
    return made


@pytest.fixture
def file(own: Settings, tmp_path: Path) -> Path:
    backup.write(own, tmp_path / "b.tar", NOW)
    return tmp_path / "b.tar"


def _restored(file: Path, tmp_path: Path) -> Settings:
    made = settings.load({"EVERGREEN_HOME": str(tmp_path / "elsewhere" / "home")})
    restore(file, made.home)
    return made


def test_every_version_and_file_comes_back(own: Settings, file: Path, tmp_path: Path) -> None:
    made = _restored(file, tmp_path)
    assert [_rows(made, "first", version) for version in range(3)] == [[0], [0, 1], [0, 1, 2]]
    assert _rows(made, "second") == [0, 1, 2]
    assert _decided(made) == [0]
    before, after = own.home / "input" / "r.csv", made.home / "input" / "r.csv"
    assert after.read_bytes() == before.read_bytes()
    assert after.stat().st_mtime_ns == before.stat().st_mtime_ns


def test_only_its_owner_may_read_it_and_nothing_else_is_left(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == ["a home", "b.tar", "given"]


def test_a_file_that_exists_stays_as_it_is(own: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BackupError, match=r"mine: expected no file of this name, found one"):
        backup.write(own, tmp_path / "mine", NOW)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("name", ["another home", "[my]%20home"])
def test_a_home_of_any_name_comes_back(file: Path, tmp_path: Path, name: str) -> None:
    made = settings.load({"EVERGREEN_HOME": str(tmp_path / name)})
    restore(file, made.home)
    assert _rows(made, "first") == [0, 1, 2]
    assert (tmp_path / name / "warehouse" / "fraud" / "first").is_dir()


def test_a_backup_lies_outside_the_home(own: Settings, tmp_path: Path) -> None:
    for name in (own.home / "b.tar", tmp_path / "a home" / "b.tar"):
        with pytest.raises(BackupError, match="expected a file outside the home"):
            backup.write(own, name, NOW)


def test_a_backup_lies_outside_the_home_by_its_other_name(own: Settings) -> None:
    assert own.home.is_symlink(), "expected a home that is known by the name of a link"
    with pytest.raises(BackupError, match="expected a file outside the home"):
        backup.write(own, own.home.resolve() / "b.tar", NOW)


def test_a_home_of_any_name_is_restored(file: Path, tmp_path: Path) -> None:
    made = settings.load({"EVERGREEN_HOME": str(tmp_path / "another home")})
    restore(file, made.home)
    assert _rows(made, "second") == [0, 1, 2]
    assert (tmp_path / "another home" / "ledger.sqlite").exists()
    assert made.home.is_symlink()


def test_what_is_fetched_again_is_left_out(own: Settings, tmp_path: Path) -> None:
    for name in ("cache/jars/spark.jar", "spark/spark.log", "serving/online/fraud/current.json"):
        (own.home / name).parent.mkdir(parents=True)
        (own.home / name).touch()
    backup.write(own, tmp_path / "b.tar", NOW)
    with archive.opened(tmp_path / "b.tar") as reader:
        files = {name for name in reader.files if name.startswith(("home/cache", "home/spark", "home/serving"))}
    assert files == {"home/serving/online/fraud/current.json"}


def test_a_place_without_hard_links_takes_a_backup(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    backup.write(own, tmp_path / "b.tar", NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a home", "b.tar", "given"]
    with pytest.raises(BackupError, match="expected no file of this name, found one"):
        archive._put(tmp_path / "given" / "t.csv", tmp_path / "b.tar")


def test_a_home_that_exists_stays_as_it_is(own: Settings, file: Path) -> None:
    with pytest.raises(BackupError, match="expected no home yet, found one"):
        restore(file, own.home)
    assert _rows(own, "first") == [0, 1, 2]


def test_what_is_written_meanwhile_is_left_out_whole(own: Settings, tmp_path: Path) -> None:
    """Each step writes the first table, then the second, then the ledger: no later one may be ahead."""
    done = threading.Event()
    _decide(own, 2)

    def write() -> None:
        for value in range(3, 1000):
            if done.is_set():
                return
            _append(own, "first", value)
            _append(own, "second", value)
            _decide(own, value)
            time.sleep(0.15)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            backup.write(own, tmp_path / f"{number}.tar", NOW)
    finally:
        done.set()
        writer.join()
    for number in range(4):
        made = _restored(tmp_path / f"{number}.tar", tmp_path / str(number))
        first, second, decided = _rows(made, "first")[-1], _rows(made, "second")[-1], _decided(made)[-1]
        assert first - 1 <= decided <= second <= first


def test_a_home_that_never_rests_is_not_backed_up(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = iter(range(3, 1000))
    read = moment._read

    def disturbed(each: Settings, scratch: Path) -> moment.Moment:
        taken = read(each, scratch)
        _decide(own, next(count))
        return taken

    monkeypatch.setattr(moment, "_read", disturbed)
    with pytest.raises(BackupError, match="expected a moment without changes"):
        moment.taken(own, tmp_path / "scratch", patience=0.5)


def test_a_file_outside_comes_along_where_its_place_is_empty(own: Settings, file: Path, tmp_path: Path) -> None:
    given = tmp_path / "given" / "t.csv"
    assert _registered(_restored(file, tmp_path / "1"))["files"]["transactions"] == [str(given)]
    given.unlink()
    made = _restored(file, tmp_path / "2")
    now = made.home / "input" / "restored" / "0" / "t.csv"
    registered = _registered(made)
    assert registered["files"]["transactions"] == [str(now)] and registered["given"] == {str(now): "4 1"}
    assert now.read_text() == "a\n1\n"


def _registered(own: Settings) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((own.state / "fraud" / "inputs.json").read_text())
    return content


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.95, 0.99])
def test_half_an_archive_makes_no_home(file: Path, tmp_path: Path, share: float) -> None:
    os.truncate(file, int(file.stat().st_size * share))
    _refused(file, tmp_path)


def test_a_changed_byte_makes_no_home(own: Settings, file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    place = content.index(b"b\n2\n")
    file.write_bytes(content[:place] + b"c" + content[place + 1 :])
    _refused(file, tmp_path)


def test_an_archive_is_unnamed_until_it_is_whole(tmp_path: Path) -> None:
    with archive.created(tmp_path / "b.tar") as writer:
        writer.add_bytes("home/a", b"a", 0)
        assert not (tmp_path / "b.tar").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]


def test_an_archive_that_fails_leaves_nothing(tmp_path: Path) -> None:
    writing = archive.created(tmp_path / "b.tar")
    writing.__enter__().add_bytes("home/a", b"a", 0)
    assert not writing.__exit__(OSError, OSError(), None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "home/../../x", "home/./x", "home//x", "x", "home", "other/x", "inputs/../x"]
)
def test_a_name_that_leads_out_makes_no_home(tmp_path: Path, name: str) -> None:
    _forged(tmp_path / "b.tar", tarfile.TarInfo(name), b"a")
    _refused(tmp_path / "b.tar", tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_what_is_no_plain_file_makes_no_home(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("home/x")
    member.type, member.linkname = kind, "/etc/passwd"
    _forged(tmp_path / "b.tar", member, b"")
    _refused(tmp_path / "b.tar", tmp_path)


def test_a_home_of_a_newer_evergreen_is_not_made(tmp_path: Path) -> None:
    _forged(tmp_path / "b.tar", tarfile.TarInfo("home/x"), b"a", home_version.HOME_VERSION + 1)
    with pytest.raises(home_version.HomeTooNew, match="found version 2, which a newer Evergreen wrote"):
        restore(tmp_path / "b.tar", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def _forged(file: Path, member: tarfile.TarInfo, content: bytes, version: int = 1) -> None:
    """An archive whose manifest agrees with a member that no backup would hold."""
    with tarfile.open(file, "w") as made:
        member.size = len(content)
        made.addfile(member, io.BytesIO(content))
        writer, sha256 = archive.Writer(made), hashlib.sha256(content).hexdigest()
        writer.files[member.name] = {"size": len(content), "sha256": sha256, "mode": 0o600, "mtime_ns": 0}
        writer.finish({"made": "", "home": "/a", "home_mode": 0o755, "home_version": version, "inputs": {}})


def _refused(file: Path, tmp_path: Path) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(BackupError):
        restore(file, tmp_path / "new")
    assert sorted(path for path in tmp_path.rglob("*")) == before

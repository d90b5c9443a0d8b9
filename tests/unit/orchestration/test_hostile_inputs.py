"""Hostile inputs for every command, every setting and every small file of a home: a message, and no traceback.

The cases are made from the command line's own parser and the list of settings, so that a new one is covered at once.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from worlds.draws import drawn
from worlds.old_home import unpacked

from jobs.errors import Invalid
from jobs.java_servers.java import ServerNotReady
from jobs.lakehouse import spark_server
from jobs.messages import kafka_server
from jobs.settings import VARIABLES
from jobs.simulate import simulator
from orchestration import servers
from orchestration.cli import main

NOWHERE = "sc://127.0.0.1:1"
LIBRARY = re.compile(
    r"Traceback|site-packages|\b0x[0-9a-f]{6,}|sqlalche|psycopg|adbc|Errno|(?<!--)grpc|pydantic|dagster\._|pyarrow\.|polars\.exc"
    r"|\b[A-Z][a-z]+\w*(?:Error|Exception)\b|bug of Evergreen|Background on this"
)
"""What only a traceback or the text of a library holds."""
PYTHON = re.compile(r"\[\]|\['\w|\{\}|\{'|,\)|\bNone\b|\bdatetime\.|timedelta\(|Path\(|<class|frozenset|dict_")
"""What only the text of a value of Python holds, such as an empty list."""
TEXTS = ["", "[/x]", "\x1b[31mred", "\u202egnp", "x" * 5000, "../..", "'; drop table x; --", "%s{0}", "\udcff", "\n\n"]
HOSTILE: dict[type[Any], list[str]] = {
    click.types.IntParamType: ["", "-1", "x", "1.5", "1e3", "99999999999999999999", "nan", "\x1b[31m"],
    click.types.FloatParamType: ["", "-1", "x", "nan", "inf", "-inf", "1e400"],
    click.DateTime: ["", "x", "2026-13-01", "2026-02-30", "26-05-02", "0000-01-01", "2026-05-01T99:00:00", "now"],
    click.Choice: ["", "x", "\x1b[31m", "[/x]"],
    click.Path: ["", "/nowhere", "/dev/null", "/dev/zero", "/proc/self/mem", "/etc/passwd/x", "{fifo}",
                 "{garbage}", "{empty}", "{folder}", "{loop}", "x" * 5000, "\udcff"],
    click.types.StringParamType: TEXTS,
}  # fmt: skip
SETTINGS = [
    "x", "\x1b[31m", "\udcff", "[/x]", "~nobody-at-all", "://", "http://", "postgresql://u:c4n4ry@127.0.0.1:1/x",
    "postgresql://u:a/c4n4ry@h/x", "redis://u:c4n4ry@127.0.0.1:1", "sc://127.0.0.1:1/;token=c4n4ry", "-1", "nan",
    "1e400", "/dev/null", "/dev/null/x", "x" * 5000, "s3://u:c4n4ry@bucket/x", "mysql://u:c4n4ry@127.0.0.1:1/x",
    "hdfs://h/x", "http://[", "redis://127.0.0.1:x", "file://host/x",
]  # fmt: skip
DAMAGE = {
    "empty": b"", "garbage": b"\x00\xffgarbage\x1b[31m", "list": b"[]", "other": b'{"a": {"b": [1]}}',
    "deep": b"[" * 100_000, "half": None, "folder": None,
}  # fmt: skip
COLUMNS = [
    "", "[]", "a: b: c", "a: &a {b: *a}", "!!python/object:os.system x", "? [1]\n: 2", "<<: {a: b}", "\ud800", "a\0b",
    "[" * 20_000, "x" * 100_000, "transactions: {tx_amount: [/x]}", "transactions: {tx_amount: \"\\e[31m\"}",
    "transactions: {tx_datetime: {format: '%Q'}}", "transactions: {tx_datetime: {timezone: Factory}}",
    "transactions: {file: {encoding: punycode}}", "transactions: {file: {separator: é}}", "timezone: posixrules",
    "transactions: {known_at: _line}", "1: 2", "transactions: {tx_amount: {null: {a: 1}}}",
]  # fmt: skip
READERS = {
    "state": (["run"], ["schema", "accept", "transactions"], ["retraining"], ["status"]),
    "ledger.sqlite": (
        ["status"], ["models"], ["retraining"], ["alerts"], ["rollback", "--by", "me", "--reason", "why"],
    ),
    "warehouse": (["run"], ["review", "list", "--day", "2026-03-30"], ["reproduce", "1"]),
    "dagster": (["models"], ["run"], ["status"]),
    "models": (["reproduce", "1"], ["rollback", "--by", "me", "--reason", "why"]),
    "tracking": (["reproduce", "1"], ["reject", "1", "--by", "me", "--reason", "why"]),
}  # fmt: skip
"""Part of a home -> commands that read it, of which one is drawn for each damaged file."""
TABLES = ("fraud_raw/transactions", "fraud_features/training_set", "fraud_serving/review_queue")


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that can be run, with its words."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from leaves(each, (*path, name))
    else:
        yield path, command


COMMANDS = dict(leaves(main))


def usual(parameter: click.Parameter) -> str:
    """A value of a required parameter that a person might give."""
    kind = parameter.type
    if isinstance(kind, click.Path):
        return "{garbage}" if kind.exists else "{out}"
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    return {"DateTime": "2026-01-01", "IntParamType": "1", "IntRange": "1", "FloatRange": "0.5"}.get(
        type(kind).__name__, "x"
    )


def written(parameter: click.Parameter, value: str) -> list[str]:
    return [value] if isinstance(parameter, click.Argument) else [max(parameter.opts, key=len), value]


def arguments() -> Iterator[tuple[str, ...]]:
    """Each command as a person might call it, and with one hostile value for each of its parameters."""
    for path, command in COMMANDS.items():
        needed = [each for each in command.params if each.required]
        if path not in (("simulate",), ("init",)):  # which would do what they were asked for
            yield (*path, *(text for each in needed for text in written(each, usual(each))))
        yield (*path, "--no-such-option")
        yield (*path, *["surplus"] * 5)
        for parameter in command.params:
            kinds = [kind for kind in HOSTILE if isinstance(parameter.type, kind)]
            others = [text for each in needed if each is not parameter for text in written(each, usual(each))]
            for value in HOSTILE[kinds[0]] if kinds else []:
                if (*path, value) != ("init", "/nowhere"):  # which would be made: root may
                    yield (*path, *others, *written(parameter, value))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with odd files; nothing is started, and no process ends."""
    for name in ("cwd", "folder", "user"):
        (tmp_path / name).mkdir()
    (tmp_path / "garbage").write_bytes(b'\x00\xff"x\n,,,\n\x1b[31m')
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(os, "execv", lambda *_: sys.exit(0))
    monkeypatch.setattr(servers, "Services", lambda *_, **__: sys.exit(0))
    monkeypatch.setattr(os, "_exit", sys.exit)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: None)

    def prepare(*_: Any) -> None:
        raise ServerNotReady("expected Java 17, found none; install it")

    def write(*_: Any, **__: Any) -> None:
        raise Invalid("expected a world, found that this test makes none")

    for server in (spark_server, kafka_server):
        monkeypatch.setattr(server, "prepare", prepare)
    monkeypatch.setattr(simulator, "write", write)
    return tmp_path


def tell(place: Path, words: Sequence[str], **variables: str) -> Result:
    """Run a command in this process; it may leave something in its home and where it was told to."""
    names = ("garbage", "empty", "folder", "loop", "fifo", "out")
    for name in names:
        words = [word.replace(f"{{{name}}}", str(place / name)) for word in words]
    inherited = dict.fromkeys(name for name in os.environ if name.startswith(("EVERGREEN_", "SPARK_")))
    given = {"EVERGREEN_HOME": str(place / "home"), "SPARK_REMOTE": NOWHERE, "HOME": str(place / "user"), **variables}
    return CliRunner().invoke(main, list(words), env={**inherited, **given})


def written_in(folder: Path, home: str) -> list[str]:
    """Files in a folder that are not of the home, which may be a link into it."""
    own = Path(os.path.realpath(home)) if home else None
    walked = ((Path(path), files) for path, _, files in os.walk(folder))
    return [name for path, files in walked if own is None or not path.is_relative_to(own) for name in files]


def checked(place: Path, result: Result, *statuses: int, home: str = "") -> str:
    """What was said, which is for people, and left nothing outside of the home."""
    said = result.output
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code in statuses, said
    assert not LIBRARY.search(said), said
    assert "--json" in said or not PYTHON.search(said), said
    assert all(letter.isprintable() or letter in "\n\t" for letter in said), repr(said)
    assert result.exit_code == 0 or re.search(r"expected|Usage:|found|failed|Nothing", said), said
    assert set(os.listdir()) <= set(Path(home).parts[:1]) and not written_in(place / "user", home)
    return said


@pytest.mark.parametrize(
    "words", list(arguments()), ids=lambda words: " ".join(words)[:60].encode("ascii", "replace").decode()
)
def test_no_argument_ends_in_a_traceback(place: Path, words: Sequence[str]) -> None:
    checked(place, tell(place, words), 0, 1, 2, 3)


@pytest.mark.parametrize("name", [each.name for each in VARIABLES])
@pytest.mark.parametrize("text", SETTINGS, ids=range(len(SETTINGS)))
def test_no_setting_ends_in_a_traceback(place: Path, name: str, text: str) -> None:
    for command in (["models"], ["alerts"]):
        home = text if name in ("EVERGREEN_HOME", "EVERGREEN_WAREHOUSE") else ""
        said = checked(place, tell(place, command, **{name: text}), 0, 1, home=home)
        assert "c4n4ry" not in said


@pytest.mark.parametrize("text", COLUMNS, ids=range(len(COLUMNS)))
def test_no_columns_file_ends_in_a_traceback(place: Path, text: str) -> None:
    (place / "a.csv").write_text("TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT\n1,2026-05-01,1,1,1.5\n")
    (place / "columns.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    words = ["check", "--transactions", str(place / "a.csv"), "--columns", str(place / "columns.yml"), "--rows", "1"]
    said = checked(place, tell(place, words), 3)
    assert "columns.yml: " in said or "a.csv: " in said


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("old")).home


def small_files(home: Path) -> list[Path]:
    """Files that commands read; of tables, one of each kind. What a process keeps open comes last.

    What SQLite keeps beside a database comes and goes with connections.
    """
    found = [path for path in sorted(home.rglob("*")) if path.is_file() and "artifacts" not in path.parts]
    paths = [path for path in found if not path.name.endswith(("-shm", "-wal"))]
    kinds = {f"{table}{path.suffix}": path for path in paths for table in TABLES if table in str(path)}
    others = [path for path in paths if path.relative_to(home).parts[0] in READERS and "warehouse" not in path.parts]
    return [*kinds.values(), *sorted(others, key=lambda path: "tracking" in path.parts)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_no_damaged_file_of_a_home_ends_in_a_traceback(place: Path, old: Path, damage: str) -> None:
    failures: list[str] = []
    draw = drawn(f"readers of {damage} files")
    for file in small_files(old):
        content, stat = file.read_bytes(), file.stat()
        if damage == "folder":
            file.unlink()
            file.mkdir()
        else:
            damaged = DAMAGE[damage]
            file.write_bytes(content[: len(content) // 2] if damaged is None else damaged)
        try:
            command = draw.choice(READERS[file.relative_to(old).parts[0]])
            try:
                checked(place, tell(place, command, EVERGREEN_HOME=str(old)), 0, 1)
            except AssertionError as error:
                failures.append(f"{file.relative_to(old)}, {command}: {error}"[:700])
        finally:
            if file.is_dir():
                shutil.rmtree(file)
            file.write_bytes(content)
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not failures, "\n".join(failures)

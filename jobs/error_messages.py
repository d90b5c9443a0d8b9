"""What people are told of an exception: of ours, of the operating system, of a library that met damage or no answer.

Texts of libraries are recognised, never repeated. How a message is shown: `orchestration.error_boundary`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from jobs.display import plain
from jobs.errors import EvergreenError

A_MEGABYTE = 1_000_000
OURS = ("orchestration", "assets", "serving", "jobs")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FOUND = {
    r"no space left|disk is full|disk full|enospc": "no room left on its disk",
    r"read-?only (file ?system|database)|readonly": "that it cannot be written",
    r"could not translate host|name or service not known|nodename nor|getaddrinfo|name resolution|dns error":
        "no such host",
    r"refused|no route to host|network is unreachable|failed to connect|tcp connect error": "nothing that answers",
    r"password|authenticat|wrongpass|noauth|unauthorized|\b401\b": "the user or the password refused",
    r"database .* does not exist": "no such database",
    r"role .* does not exist": "no such user",
    r"permission|forbidden|access denied|\b403\b": "no permission",
    r"locked|busy": "that another program keeps it locked",
    r"not a database|malformed|encrypted|corrupt": "a damaged file, or a file of another kind",
    r"unable to open|disk i/o": "a file that cannot be opened or read",
    r"no such (table|column)|no column named|relation .* does not exist|column .* does not exist|revision|out-of-date":
        "tables of another version",
    r"certificate|ssl|tls": "a certificate or an encryption that is not accepted",
    r"timed? ?out|deadline": "no answer in time",
    r"closed|reset|eof|terminat|aborted|broken pipe|unavailable": "the connection cut",
    r"too many (connections|clients)|connection slots": "too many connections",
    r"not found|\b404\b": "nothing at that address",
}  # fmt: skip
"""What libraries say, as a pattern -> what was found, in our words."""
_FOUND_BY_NUMBER = {
    errno.ENOENT: "none", errno.EISDIR: "a folder", errno.ENOTDIR: "a file where a folder should be",
    errno.EACCES: "no permission to read it", errno.EPERM: "no permission", errno.EIO: "an I/O error of its disk",
    errno.EADDRINUSE: "it taken",
}  # fmt: skip
_OS = {
    errno.EACCES: "expected permission to read and write it, found none; grant it, or choose another place",
    errno.EPERM: "expected permission to change it, found none; grant it, or choose another place",
    errno.EROFS: "expected a place that can be written, found one that is read-only; choose another place",
    errno.ENOENT: "expected a file or folder, found none; restore it, or run what makes it",
    errno.ENOTDIR: "expected a folder, found a file in its way; move that away, or choose another place",
    errno.EISDIR: "expected a file, found a folder in its way; move that away, or choose another place",
    errno.EEXIST: "expected nothing there, found a file or folder in the way; move that away",
    errno.ENAMETOOLONG: "expected a shorter path; choose a place with a shorter name",
    errno.ELOOP: "expected a file or folder, found links that lead to each other; correct them",
    errno.EIO: "expected a disk that can be read and written, found an I/O error; check the disk",
    errno.ESTALE: "expected a network disk that answers, found it gone; mount it again",
    errno.EFBIG: "expected that a file may grow, found a limit on its size; raise it (`ulimit -f`)",
    errno.EADDRINUSE: "expected a free port, found it taken; choose another one",
}
_FILE = re.compile(r"(?:[\w.+-]+://|/)[^\s'\",;()\[\]{}]*(?:\.parquet|\.json|_delta_log)\b")
_KERNEL = re.compile(r"jobs\.[\w.]+\.?(?:Invalid|\w+Error|\w+Mismatch|\w+Broken): (.+)")


def message_of(error: BaseException) -> str | None:
    """What a person is told of `error`: expected, found, what to do. None if only a bug explains it."""
    chain = list(_chain(error))
    for explain in (_no_room, _ours, _system, _not_installed, _library):
        for each in chain:
            if message := explain(each):
                return plain(message)
    return None


def in_words(error: object) -> str:
    """What a server, a database or its file was found to be, from the error of a library."""
    if isinstance(error, EvergreenError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _FOUND_BY_NUMBER:
        return _FOUND_BY_NUMBER[error.errno]
    if mark := getattr(error, "problem_mark", None):
        return f"something else in line {mark.line + 1}"
    return recognised(error) or "damage, or something else"


def recognised(error: object) -> str | None:
    """The same; None if the error says nothing that we know."""
    text = str(error).lower()
    return next((words for pattern, words in _FOUND.items() if re.search(pattern, text)), None)


def is_full(folder: Path) -> bool:
    """Whether a full disk may be behind an error that does not say so: SQLite may call it an I/O error."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < A_MEGABYTE
    return False


def is_error(error: BaseException) -> bool:
    """Whether it is an error, and not the end of a program; a panic of Rust is one, which Python does not call so."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def bug(error: BaseException) -> str:
    """An unexpected error in one line: its kind, and the last line of ours that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if re.search(r"/(jobs|assets|orchestration)/", frame.filename)]
    place = next((f" in {os.path.basename(f.filename)}:{f.lineno}" for f in reversed(ours)), "")
    return f"unexpected {type(error).__name__}{place}, which is a bug of Evergreen"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those behind it, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _no_room(error: BaseException) -> str | None:
    """A full disk is behind many errors: SQLite says so in words only."""
    if isinstance(error, EvergreenError):
        return None
    full = isinstance(error, OSError) and error.errno in NO_ROOM
    if full or re.search(r"no space left on device|disk is full", str(error), re.I):
        return f"{_place(error)}expected room on the disk, found none left; make room and run again, it goes on"
    return None


def _ours(error: BaseException) -> str | None:
    return str(error) if isinstance(error, EvergreenError) else None


def _system(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "expected enough memory, found none left; close other programs, or use a larger machine"
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "expected that files can be opened, found too many open; raise the limit (`ulimit -n 4096`)"
    if error.errno == errno.ENOENT and error.filename is None:
        return "expected a working folder, found that it was removed; change to one that exists"
    if error.errno in _OS:
        return f"{_place(error)}{_OS[error.errno]}"
    if isinstance(error, ConnectionError | TimeoutError):
        return f"expected a server that answers, found {in_words(error)}; start it, or correct its address"
    # Arrow raises OSError without a number.
    return _of_table(error)


def _not_installed(error: BaseException) -> str | None:
    """A package of another extra; modules of ours are there, or it is a bug."""
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not missing or missing in OURS:
        return None
    return (
        f"expected the Python package {missing}, found it not installed; install all of Evergreen (`make env`, or "
        "evergreen-ml[all]): only `evergreen serve` and `evergreen keys` do without"
    )


def _library(error: BaseException) -> str | None:
    explain = _LIBRARIES.get(type(error).__module__.split(".")[0])
    return explain(error) if explain else None


def _of_database(error: BaseException) -> str | None:
    name = type(error).__name__
    if "Error" not in name or name in ("ProgrammingError", "InterfaceError", "ArgumentError", "InvalidRequestError"):
        return None
    return (
        f"expected a database that can be read and written, found {in_words(error)}; free it, or let "
        "`evergreen doctor --deep` say which one is damaged and what mends it"
    )


def _of_table(error: BaseException) -> str | None:
    text = str(error)
    if not (_FILE.search(text) or re.search(r"parquet|delta|log|metadata|magic", text, re.I)):
        return None
    return (
        f"{_place(error)}expected a table as it was written, found a file damaged or missing; restore it from a "
        "backup, or remove the table and run again"
    )


def _of_engine(error: BaseException) -> str | None:
    text = str(error)
    if ours := _KERNEL.search(text):
        return ours[1]
    if re.search(r"unavailable|connection refused|socket closed|failed to connect|connection reset", text, re.I):
        return "engine: expected an answer, found that it ended; run again (`evergreen doctor` says whether it starts)"
    return _of_table(error) if _FILE.search(text) and re.search(r"parquet|not found|no such file", text, re.I) else None


_LIBRARIES: dict[str, Callable[[BaseException], str | None]] = {
    "sqlite3": _of_database, "sqlalchemy": _of_database, "psycopg": _of_database,
    "psycopg2": _of_database, "adbc_driver_manager": _of_database,
    "deltalake": _of_table, "_internal": _of_table, "pyarrow": _of_table, "polars": _of_table,
    "pyspark": _of_engine, "grpc": _of_engine,
}  # fmt: skip
"""Package of an exception -> what explains it."""


def _place(error: BaseException) -> str:
    """`path: `, if the error names one."""
    name = getattr(error, "filename", None)
    if name is None and (file := _FILE.search(str(error))):
        name = file[0]
    return f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""

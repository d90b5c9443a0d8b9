"""The file that a backup is: a tar archive whose last member, the manifest, names every other one with its SHA-256.

An archive without that member was not finished. What goes into one is decided in `jobs.backups.backup`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from jobs import unfinished
from jobs.errors import EvergreenError

MANIFEST = "evergreen-backup.json"
FORMAT = 1
CHUNK = 1 << 20


class BackupError(EvergreenError, ValueError):
    """A backup cannot be made, or an archive is not what a finished backup is."""


class _Hashed:
    """A stream that is hashed as it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.sha256 = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self.sha256.update(content)
        return content


class Writer:
    """Adds files to an archive that is not finished."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self.files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file as long as it is now; what is appended to it meanwhile is left out.

        Raises FileNotFoundError if it is gone.
        """
        with path.open("rb") as stream:
            about = os.fstat(stream.fileno())
            self._add(name, stream, about.st_size, about.st_mode & 0o777, about.st_mtime_ns)

    def add_bytes(self, name: str, content: bytes, mtime_ns: int, mode: int = 0o600) -> None:
        """Add a file with this content."""
        self._add(name, BytesIO(content), len(content), mode, mtime_ns)

    def _add(self, name: str, stream: BinaryIO, size: int, mode: int, mtime_ns: int) -> None:
        member, hashed = tarfile.TarInfo(name), _Hashed(stream)
        member.size, member.mode, member.mtime = size, mode, mtime_ns // 10**9
        self._archive.addfile(member, cast(BinaryIO, hashed))
        sha256 = hashed.sha256.hexdigest()
        self.files[name] = {"size": size, "sha256": sha256, "mode": mode, "mtime_ns": mtime_ns}

    def finish(self, about: Mapping[str, Any]) -> None:
        """Add the manifest: from now on the archive is a backup."""
        content = json.dumps({"format": FORMAT, **about, "files": self.files}).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(content), 0o600
        self._archive.addfile(member, BytesIO(content))


@contextlib.contextmanager
def created(path: Path) -> Iterator[Writer]:
    """A new archive that only its owner may read, and that bears its name once it is whole.

    Raises BackupError if there is something at `path` already.
    """
    _refuse_present(path)
    unfinished.sweep(path.parent)
    with unfinished.file_beside(path, 0o600) as temporary:
        with temporary.open("wb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
                yield Writer(archive)
            stream.flush()
            os.fsync(stream.fileno())
        _put(temporary, path)


def _put(whole: Path, path: Path) -> None:
    """Give a file the name `path`. Raises BackupError if something came there meanwhile."""
    try:
        os.link(whole, path)  # refuses it, unlike a rename
    except FileExistsError:
        _refuse_present(path)
    except OSError:  # memory sticks, and some servers, know no second name of a file
        _refuse_present(path)
        whole.rename(path)


def _refuse_present(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise BackupError(f"{path}: expected no file of this name, found one; name another, or remove it")


class Reader:
    """A finished archive, whose members are those of its manifest, regular files with harmless names."""

    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self.path, self._archive = path, archive
        members = archive.getmembers()
        if not members or members[-1].name != MANIFEST:
            raise BackupError(f"{path}: expected a backup of Evergreen, found none or an unfinished one; use another")
        self.about = self._manifest(members.pop())
        self.files: dict[str, dict[str, Any]] = self.about["files"]
        self._members = {member.name: member for member in members}
        self._check(members)

    def _manifest(self, member: tarfile.TarInfo) -> dict[str, Any]:
        stream = self._archive.extractfile(member)
        about: dict[str, Any] = json.loads(stream.read()) if stream else {}
        if about["format"] != FORMAT:
            raise BackupError(
                f"{self.path}: expected a backup of format {FORMAT}, found {about['format']}; use the Evergreen that "
                "made it"
            )
        return about

    def _check(self, members: list[tarfile.TarInfo]) -> None:
        for member in members:
            expected = self.files.get(member.name)
            if member.type != tarfile.REGTYPE or not harmless(member.name):
                raise self._damaged(member.name, "something that no backup holds")
            if expected is None or expected["size"] != member.size:
                raise self._damaged(member.name, "another size, or no entry in the manifest")
        if len(members) != len(self.files) or len(self._members) != len(members):
            raise self._damaged(MANIFEST, "other members than it names")

    def extract(self, name: str, target: Path) -> None:
        """Write a member as a new file. Raises BackupError if its content is not what was backed up."""
        about = self.files[name]
        stream = self._archive.extractfile(self._members[name])
        assert stream is not None
        hashed = _Hashed(cast(BinaryIO, stream))
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            while content := hashed.read(CHUNK):
                file.write(content)
        if hashed.sha256.hexdigest() != about["sha256"]:
            raise self._damaged(name, "another content than was backed up")
        target.chmod(int(about["mode"]) & 0o777)
        os.utime(target, ns=(int(about["mtime_ns"]), int(about["mtime_ns"])))

    def _damaged(self, name: str, found: str) -> BackupError:
        return BackupError(f"{self.path}: {name!r}: expected a file as it was backed up, found {found}; use another")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """The archive at `path`. Raises BackupError if it is none, is unfinished, damaged, or holds a name that leads out
    of a folder."""
    try:
        if path.stat().st_size % tarfile.RECORDSIZE:
            raise _no_backup(path)  # cut off
        with tarfile.open(path, "r:") as archive:
            yield Reader(path, archive)
    except (tarfile.TarError, EOFError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_backup(path) from error
    except ValueError as error:
        if isinstance(error, EvergreenError):
            raise
        raise _no_backup(path) from error


def _no_backup(path: Path) -> BackupError:
    return BackupError(f"{path}: expected a whole backup of Evergreen, found damage or another file; use another")


def harmless(name: str) -> bool:
    """Whether a name stays below the folder that it is extracted to."""
    pure = PurePosixPath(name)
    return (
        bool(name) and not pure.is_absolute() and ".." not in pure.parts and str(pure) == name and "\0" not in name
        and len(pure.parts) > 1 and pure.parts[0] in ("home", "inputs")
    )  # fmt: skip

"""Text files as lines: decompressed and decoded. What the lines mean is known to the formats.

A file whose characters cannot be known is refused with the line, as its records could not be counted either.
"""

import codecs
import gzip
import zlib
from pathlib import Path

import polars as pl

from jobs.ingest.declared_formats import FileFormat
from jobs.ingest.registered_inputs import InputError

GZIP = b"\x1f\x8b"
_PACKED = {
    GZIP: "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"BZh": "bzip2", b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip, as by Excel",
}  # fmt: skip
"""First bytes of files that are no text -> by what they were packed."""
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def read_lines(path: Path, declared: FileFormat) -> pl.Series:
    """The lines of a text file without their line feeds; a carriage return before one is kept.

    A file is what its byte order mark says, else in the declared encoding, else UTF-8. A file without line feeds ends
    its lines with carriage returns. Raises InputError if the text cannot be known.
    """
    text = _decoded(path, _content(path), declared)
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"{path}: expected text, found a NUL character in line {line}; deliver the file again, or name its "
            f"encoding: {declared.advice('encoding: utf-16-le')}"
        )
    lines = pl.Series([text]).str.split("\n").explode()
    return lines.head(len(lines) - 1) if not lines[-1] else lines


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if content.startswith(GZIP):
        content = _unzipped(path, content)
    if packed := packed_by(content):
        again = " once more" if content.startswith(GZIP) else ""
        raise InputError(f"{path}: expected text, plain or by gzip, found a file packed by {packed}{again}; unpack it")
    return content


def packed_by(content: bytes) -> str:
    """By what a file that begins with these 4 bytes or more is packed; empty if by nothing that is known."""
    return next((by for first, by in _PACKED.items() if content.startswith(first[:4])), "")


def _unzipped(path: Path, content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{path}: expected a whole gzip file, found one that is cut off or damaged; deliver it again"
        ) from error


def _decoded(path: Path, content: bytes, declared: FileFormat) -> str:
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    name = marked or declared.encoding or "utf-8"
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start : error.start + 4]
        raise InputError(
            f"{path}: expected text in {name.upper()}, found the bytes {found!r} in line {line}; convert the file, or "
            f"name its encoding, such as cp1252 or latin-1: {declared.advice('encoding: cp1252')}"
        ) from error

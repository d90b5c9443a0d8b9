"""How the text of an environment variable becomes the value of a setting. Which settings there are: `jobs.settings`.

A reader returns the value, or raises ValueError that says what was found, without secrets.
"""

import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.errors import Invalid
from jobs.loopback import is_loopback
from jobs.path_alias import plain
from jobs.secret import ClusterUrl, Url, fault_of, hide


@dataclass(frozen=True)
class Variable:
    """An environment variable that is a setting."""

    name: str
    field: str
    """Of `jobs.settings.Settings`."""
    expected: str
    """What it has to be, in words."""
    read: Callable[[str], Any]
    unset: str
    """What holds without it, in words."""

    def value(self, text: str) -> Any:
        """The value of the setting. Raises Invalid, which names variable, expected and found."""
        try:
            return self.read(text)
        except ValueError as error:
            advice = f"correct it, or unset it for the default: {self.unset}"
            raise Invalid(f"{self.name}: expected {self.expected}, {error}; {advice}") from None


def number(smallest: float, largest: float = 1e9) -> Callable[[str], float]:
    """Reads a finite number in [smallest, largest]."""

    def read(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            raise ValueError(f"found {text!r}") from None
        if not (math.isfinite(found) and smallest <= found <= largest):
            raise ValueError(f"found {text!r}")
        return found

    return read


def choice(*choices: str) -> Callable[[str], str]:
    """Reads one of a few words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"found {text!r}")
        return text

    return read


def url(*schemes: str, kind: type[Url] = Url, host: bool = True) -> Callable[[str], Url]:
    """Reads a URL of one of `schemes`, a driver such as `+psycopg` aside; one with a host unless `host` is false."""

    def read(text: str) -> Url:
        made = kind(text)
        parts = made.parts
        if parts.scheme.split("+")[0] not in schemes:
            raise ValueError(f"found {parts.scheme}://...")
        if host and not parts.hostname:
            raise ValueError(f"found no host after {parts.scheme}://")
        return made

    return read


def stream(text: str) -> ClusterUrl:
    """Reads where topics are: the brokers of a Kafka, a folder, or the log of the decision service."""
    found = url("kafka", "kafkas", "files", "decisions", kind=ClusterUrl, host=False)(text)
    assert isinstance(found, ClusterUrl)
    if found.parts.scheme == "decisions":
        if found.parts.netloc or found.parts.path:
            raise ValueError("found more than decisions://, which is the log of this home")
        return found
    if found.parts.scheme != "files":
        return _brokers(found)
    if found.parts.netloc or len(found.parts.path) < 2:
        raise ValueError("found no path after files://; write three slashes before it, as in files:///data/topics")
    return found


def _brokers(found: ClusterUrl) -> ClusterUrl:
    """The URL of brokers: hosts alone, with options of a client."""
    if not found.parts.hostname:
        raise ValueError(f"found no host after {found.parts.scheme}://")
    if not all(name for name, _ in found.hosts):
        raise ValueError("found a comma without a host")
    if found.parts.path:
        raise ValueError("found more than hosts, ports and options; topics are named by the use case")
    return found


def issuer(text: str) -> str:
    """Reads the URL of an issuer of tokens: https, or http to loopback; exactly as its tokens name it."""
    parts = Url(text).parts
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError(f"found {parts.scheme}://...")
    if not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError("found no host, or more than host, port and path")
    return text


def word(text: str) -> str:
    """Reads a name without spaces."""
    if not text.isprintable() or " " in text:
        raise ValueError("found spaces or other characters that no such name has")
    return text


def folder(*holds: str) -> Callable[[str], Path]:
    """Reads the path of a folder that exists and holds one file at least of each pattern in `holds`."""

    def read(text: str) -> Path:
        found = _path(text)
        if not found.is_dir():
            raise ValueError(f"found {text!r}, which is {'no folder' if found.exists() else 'not there'}")
        if missing := [pattern for pattern in holds if not any(found.glob(pattern))]:
            raise ValueError(f"found {str(found)!r} without {missing[0]}")
        return found

    return read


def home(text: str) -> Path:
    """Reads the path of a folder that will be made if need be."""
    found = _path(text)
    above = next(place for place in (found, *found.parents) if place.exists() or place.is_symlink())
    if not above.is_dir():
        raise ValueError(f"found {str(above)!r}, which is no folder")
    return plain(found)


def file(text: str) -> Path:
    """Reads the path of a file, in a folder that exists, which will be made if need be."""
    found = _path(text)
    if found.is_dir() or not found.parent.is_dir():
        raise ValueError(f"found {str(found)!r}, which is {'a folder' if found.is_dir() else 'in no folder'}")
    return found


_STORES = ("s3", "gs", "abfs", "abfss", "file")
"""Schemes that delta-rs and Arrow both read."""


def warehouse(text: str) -> str:
    """Reads a path, or the URL of a folder in an object store: without credentials, as it is shown with every table."""
    if "://" not in text:
        return str(home(text))
    if fault := fault_of(Url(text).reveal()):
        raise ValueError(f"found {fault}")
    parts = Url(text).parts
    if parts.scheme not in _STORES:
        raise ValueError(f"found {parts.scheme}://..., which is none of {', '.join(f'{s}://' for s in _STORES)}")
    if bool(parts.hostname) == (parts.scheme == "file"):
        raise ValueError(f"found {'a host' if parts.hostname else 'no bucket'} after {parts.scheme}://")
    container = parts.scheme in ("abfs", "abfss") and parts.password is None  # abfss://container@account/folder
    if (parts.username is not None and not container) or parts.query or ";" in parts.path:
        raise ValueError("found credentials or parameters; set them as variables of the store (AWS_..., AZURE_...)")
    return text


def _path(text: str) -> Path:
    if "://" in text or any(unicodedata.category(letter) == "Cc" for letter in text):
        raise ValueError(f"found {hide(text)!r}, which is {'a URL' if '://' in text else 'no usual name'}")
    try:
        text.encode()
        return Path(text).expanduser().absolute()
    except UnicodeEncodeError:
        raise ValueError(f"found {text.encode('utf-8', 'backslashreplace').decode()!r}, which is no UTF-8") from None
    except RuntimeError:
        raise ValueError(f"found {text!r}, and no such user") from None

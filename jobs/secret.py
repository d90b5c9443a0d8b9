"""Values that must not be shown: passwords, tokens, and the URLs that hold them.

Their text is read by `reveal` only; whatever is made of them otherwise (str, repr, format, JSON of a state file) hides
what is secret. `hide` removes the secrets of this process from any other text, such as a library's error.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Self
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

HIDDEN = "***"
SHORTEST_SECRET = 4
"""`hide` leaves secrets of fewer letters where they are, as it would hide half the text; a URL hides them all."""
_known: set[str] = set()
"""Every secret this process was given. Errors of libraries arrive where nobody knows the settings."""
LONG_PIECE = 8
"""Letters from which a piece of a webhook's path counts as a secret of its own."""
_CREDENTIALS = re.compile(r"(\w://[^\s/?#@:]*:)\S*@|((?:https?|rediss?|smtps?|sc|s3)://)[^\s/?#@]+@")
"""`scheme://user:password@`, up to the last "@" of a word; or a user alone, where it may be a token."""
_SECRET_NAME = re.compile(r"pass|pwd|secret|token|sig|key|auth|credential|session", re.I)
_ASSIGNED = re.compile(r"(?i)([?&;](?:[\w-]*(?:pass|pwd|secret|token|sig|credential)[\w-]*)=)[^\s&;'\"]+")
_USER_SHOWN = ("postgresql", "postgres", "mysql")
"""Databases, of which a user without a password is a name; elsewhere it may be a token."""


class Secret:
    """A text that is shown by `reveal` only."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _remember(self._secrets())

    def reveal(self) -> str:
        """The text itself, for whom it was written: a library, a server."""
        return self._text

    def __str__(self) -> str:
        return HIDDEN

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __format__(self, specification: str) -> str:
        return format(str(self), specification)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def _secrets(self) -> Iterator[str]:
        yield self._text


class Url(Secret):
    """A URL that is shown without user, password and query; of one that is no URL, only the scheme is shown."""

    __slots__ = ()

    @property
    def parts(self) -> SplitResult:
        """Scheme, host, port, path. Raises ValueError, which shows nothing of the URL, if it can be misread."""
        if fault := self._fault():
            raise ValueError(f"found {fault}")
        return self._split()

    def with_scheme(self, scheme: str) -> Self:
        """The same URL with another scheme, such as the one that names a driver."""
        return type(self)(f"{scheme}://{self._text.partition('://')[2]}")

    def __str__(self) -> str:
        scheme, separator, _ = self._text.partition("://")
        if self._fault() is not None:
            return f"{scheme}://{HIDDEN}" if separator and scheme.isalnum() else HIDDEN
        parts = self._split()
        return f"{parts.scheme}://{self._user(parts)}{self._place(parts)}"

    def _fault(self) -> str | None:
        return fault_of(self._text)

    def _split(self) -> SplitResult:
        return urlsplit(self._text)

    def _user(self, parts: SplitResult) -> str:
        if parts.username is None:
            return ""
        known = parts.scheme.split("+")[0] in _USER_SHOWN and bool(parts.username)
        if parts.password is None:
            return f"{parts.username}@" if known else f"{HIDDEN}@"
        return f"{parts.username}:{HIDDEN}@" if known else f"{HIDDEN}@"

    def _place(self, parts: SplitResult) -> str:
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        # Spark Connect writes its parameters, a token among them, after a semicolon.
        path, parameters, _ = parts.path.partition(";")
        query = f"?{HIDDEN}" if parts.query else ""
        return f"{host}{f':{parts.port}' if parts.port else ''}{path}{f';{HIDDEN}' if parameters else ''}{query}"

    def _secrets(self) -> Iterator[str]:
        """Passwords and tokens as they are written; of a URL that can be misread, all that may be one."""
        rest = self._text.partition("://")[2] or self._text
        if self._fault() is not None:
            user = rest.rpartition("@")[0]
            yield from (rest, user, user.partition(":")[2])
            return
        parts = self._split()
        lone_user = parts.password is None and not self._user(parts).startswith(f"{parts.username}@")
        yield parts.password or (parts.username or "" if lone_user else "")
        for name, value in _parameters(parts):
            if _SECRET_NAME.search(name):
                yield value


class WebhookUrl(Url):
    """A URL whose path is the password, as chats make them."""

    __slots__ = ()

    def _place(self, parts: SplitResult) -> str:
        return f"{super()._place(parts._replace(path='', query=''))}/{HIDDEN}"

    def _secrets(self) -> Iterator[str]:
        rest = self._text.partition("://")[2]
        yield from super()._secrets()
        pieces = (rest, rest.partition("/")[2], *re.split(r"[/?=&]", rest)[1:])
        yield from (piece for piece in pieces if len(piece) >= LONG_PIECE)


class ClusterUrl(Url):
    """A URL with the hosts of several servers, separated by commas; its parts are those of the first one."""

    __slots__ = ()

    @property
    def hosts(self) -> tuple[tuple[str, int | None], ...]:
        """Name and port of each server; a port that is not said is None."""
        each = [urlsplit(url) for url in self._each()]
        return tuple((parts.hostname or "", parts.port) for parts in each)

    def _each(self) -> list[str]:
        """The URL once for each server."""
        scheme, separator, rest = self._text.partition("://")
        place = re.split(r"[/?#]", rest, maxsplit=1)[0]
        user, at, hosts = place.rpartition("@")
        return [f"{scheme}{separator}{user}{at}{host}{rest[len(place) :]}" for host in hosts.split(",")]

    def _fault(self) -> str | None:
        return next(filter(None, map(fault_of, self._each())), None)

    def _split(self) -> SplitResult:
        return urlsplit(self._each()[0])

    def _place(self, parts: SplitResult) -> str:
        others = [super(ClusterUrl, self)._place(urlsplit(url)._replace(path="", query="")) for url in self._each()[1:]]
        first = super()._place(parts._replace(path="", query=""))
        return ",".join((first, *others)) + super()._place(parts._replace(netloc=""))


def fault_of(url: str) -> str | None:
    """In words why a text is no URL, or one that two readers may read differently; None if it is sound."""
    if not url.isprintable():
        return "control characters, which no URL has"
    if not re.match(r"[A-Za-z][\w+.-]*://", url):
        return "no scheme:// at its beginning"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "no valid host and port; in a password write %2F for /, %3A for :, %40 for @, %5B for ["
    if not parts.netloc:
        return None
    user = parts.netloc.rpartition("@")[0]
    ambiguous = "@" in user or "@" in parts.path or (parts.query and "=" not in parts.query and "@" in parts.query)
    if ambiguous or parts.fragment or port == 0:
        return "a host that can be read in two ways; in a user or password write %40 for @, %2F for /, %23 for #"
    if " " in url or re.search(r"%(?![0-9A-Fa-f]{2})", parts.netloc):
        return "a space or a lone %; write %20 and %25"
    return None


def hide(text: str) -> str:
    """`text` without any secret that this process knows, and without what looks like one in a URL."""
    pattern = _pattern(frozenset(_known))
    text = pattern.sub(HIDDEN, text) if pattern else text
    text = _CREDENTIALS.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}@", text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def _parameters(parts: SplitResult) -> Iterator[tuple[str, str]]:
    """Parameters of a query and of Spark Connect, as they are written."""
    for pair in re.split(r"[&;]", f"{parts.query}&{parts.path.partition(';')[2]}"):
        name, _, value = pair.partition("=")
        yield name, value


def _remember(secrets: Iterator[str]) -> None:
    for secret in secrets:
        for form in (secret, unquote(secret), unquote_plus(secret)):
            if len(form) >= SHORTEST_SECRET:
                _known.add(form)


@lru_cache(8)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    """Libraries write hosts, and so what they take for one, in small letters."""
    longest_first = sorted(secrets, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.I) if longest_first else None

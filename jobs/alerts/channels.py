"""Where alerts go: the log always, a webhook and e-mail if the settings name them. What is told when:
`jobs.alerts.outbox`.

A channel delivers one notice or says why not; it never fails whoever raised the alert.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit

from jobs.alerts import redaction
from jobs.settings import Settings, Severity

SEVERITIES: Mapping[Severity, int] = {"warning": logging.WARNING, "error": logging.ERROR}
SECONDS = 10.0
"""That a receiver may take for each answer."""
LOGGER = logging.getLogger("evergreen.alerts")


@dataclass(frozen=True)
class Notice:
    """One telling of an alert, with texts that are safe to send."""

    key: str
    """The same whenever this telling is delivered: a receiver can drop a second one."""
    use_case: str
    kind: str
    subject: str
    said: str
    severity: Severity
    as_of: datetime
    raised_at: datetime
    reminder: int
    """0: told for the first time."""
    resolved_at: datetime | None
    evidence: Mapping[str, Any]

    @property
    def title(self) -> str:
        """In a line: how bad, of what, and whether it is news."""
        state = " (resolved meanwhile)" if self.resolved_at else " (still)" if self.reminder else ""
        return f"{self.severity}: {self.use_case} {self.kind.replace('_', ' ')}, {self.subject}{state}"


def configured(settings: Settings, severity: Severity) -> tuple[str, ...]:
    """Names of the channels that an alert of this severity goes to."""
    given = {"webhook": settings.alert_webhook, "email": settings.alert_email}
    loud = SEVERITIES[severity] >= SEVERITIES[settings.alert_severity]
    return ("log", *(name for name, url in given.items() if url and loud))


def deliver(settings: Settings, channel: str, notice: Notice) -> str | None:
    """Deliver once; None, or why it could not be done, in words without secrets."""
    try:
        _CHANNELS[channel](settings, notice)
    except Exception as error:
        hidden = redaction.secrets(settings)
        why = redaction.line(f"{type(error).__name__}: {error}", hidden, longest=500)
        LOGGER.warning("%s not delivered by %s, to be tried again: %s", redaction.line(notice.title), channel, why)
        return why
    return None


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def split(name: str, url: str, expected: str) -> SplitResult:
    """The parts of a channel's URL. Raises ValueError, which does not show the URL, if it is none."""
    # urlsplit would silently drop a line break.
    if not (url.isascii() and url.isprintable() and " " not in url):
        raise ValueError(f"{name}: expected {expected}, found spaces or other characters that no URL has; encode them")
    parts = urlsplit(url)
    try:
        reachable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        reachable = False
    if not reachable:
        raise ValueError(f"{name}: expected {expected}, found no host or no valid port after {parts.scheme}://")
    return parts


def _log(settings: Settings, notice: Notice) -> None:
    LOGGER.log(SEVERITIES[notice.severity], "%s: %s", notice.title, notice.said)


def webhook(settings: Settings) -> SplitResult:
    """Where alerts are posted to. Raises ValueError if that is no URL we would post to."""
    name, expected = "EVERGREEN_ALERT_WEBHOOK", "https://host/path (http:// to loopback only)"
    parts = split(name, settings.alert_webhook or "", expected)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError(f"{name}: expected {expected}, found {parts.scheme}://{parts.hostname}; use https")
    if parts.username is not None:
        raise ValueError(f"{name}: expected {expected}, found a user; set EVERGREEN_ALERT_WEBHOOK_SECRET instead")
    return parts


def _post(settings: Settings, notice: Notice) -> None:
    parts = webhook(settings)
    # A chat shows `text`, and ignores the rest.
    content = {**asdict(notice), "text": f"{notice.title}: {notice.said}"}
    body = json.dumps(content, default=lambda moment: moment.isoformat(), allow_nan=False).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "evergreen", "Idempotency-Key": notice.key}
    if settings.alert_webhook_secret:
        signature = hmac.new(settings.alert_webhook_secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Evergreen-Signature-256"] = f"sha256={signature}"
    request = urllib.request.Request(parts.geturl(), data=body, headers=headers, method="POST")
    # A proxy is for the world; what is meant for this machine stays on it.
    proxies = [urllib.request.ProxyHandler({})] if is_loopback(parts.hostname or "") else []
    try:
        urllib.request.build_opener(_NoRedirects, *proxies).open(request, timeout=SECONDS).close()
    except HTTPError as error:
        error.close()
        more = "; redirects are not followed: name the address itself" if 300 <= error.code < 400 else ""
        raise RuntimeError(f"{parts.hostname} answered {error.code} {error.reason}{more}") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Alerts go to the host that was named and to no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def _mail(settings: Settings, notice: Notice) -> None:
    from jobs.alerts import mail  # imports the mail libraries

    mail.send(settings, notice)


_CHANNELS: Mapping[str, Callable[[Settings, Notice], None]] = {"log": _log, "webhook": _post, "email": _mail}


def where(settings: Settings) -> dict[str, str]:
    """Each configured channel and where it leads to, for people: without secrets. A bad URL is told as such."""
    from jobs.alerts import mail

    places: Mapping[str, Callable[[Settings], object]] = {
        "log": lambda _: f"logger {LOGGER.name}",
        "webhook": lambda settings: "{0.scheme}://{0.hostname}".format(webhook(settings)),
        "email": mail.mailbox,
    }
    found = {}
    for channel in configured(settings, "error"):
        try:
            found[channel] = str(places[channel](settings))
        except ValueError as error:
            found[channel] = str(error)
    return found

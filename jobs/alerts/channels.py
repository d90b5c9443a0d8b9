"""Channels of alerts: the log always, a webhook and e-mail if the settings name them.

A channel delivers one notice or returns why it could not; it never fails the caller that raised the alert. When an
alert is sent is decided in `jobs.alerts.outbox`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import SplitResult

from jobs.alerts import redaction
from jobs.alerts.addresses import ANSWER_SECONDS, split
from jobs.alerts.notice import LOGGER, SEVERITIES, Notice
from jobs.errors import Invalid
from jobs.loopback import is_loopback
from jobs.settings import Settings, Severity


def configured(settings: Settings, severity: Severity) -> tuple[str, ...]:
    """Names of the channels that an alert of this severity goes to."""
    addresses = {"webhook": settings.alert_webhook, "email": settings.alert_email}
    loud = SEVERITIES[severity] >= SEVERITIES[settings.alert_severity]
    return ("log", *(name for name, url in addresses.items() if url and loud))


def deliver(settings: Settings, channel: str, notice: Notice) -> str | None:
    """Deliver a notice once. Returns None, or why it could not be delivered, without secrets."""
    try:
        _CHANNELS[channel](settings, notice)
    except Exception as error:
        why = redaction.line(f"{type(error).__name__}: {error}", longest=500)
        LOGGER.warning("%s not delivered by %s, to be tried again: %s", redaction.line(notice.title), channel, why)
        return why
    return None


def _log(settings: Settings, notice: Notice) -> None:
    LOGGER.log(SEVERITIES[notice.severity], "%s: %s", notice.title, notice.message)


def webhook(settings: Settings) -> SplitResult:
    """The URL that alerts are posted to. Raises ValueError if it is neither https nor on loopback."""
    name, expected = "EVERGREEN_ALERT_WEBHOOK", "https://host/path (http:// to loopback only)"
    parts = split(name, settings.alert_webhook, expected)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise Invalid(f"{name}: expected {expected}, found {parts.scheme}://{parts.hostname}; use https")
    if parts.username is not None:
        raise Invalid(f"{name}: expected {expected}, found a user; set EVERGREEN_ALERT_WEBHOOK_SECRET instead")
    return parts


def _post(settings: Settings, notice: Notice) -> None:
    parts = webhook(settings)
    content = asdict(notice)
    # Receivers know the message by this name; a chat shows `text` and ignores the rest.
    content |= {"said": content.pop("message"), "text": f"{notice.title}: {notice.message}"}
    body = json.dumps(content, default=lambda moment: moment.isoformat(), allow_nan=False).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "evergreen", "Idempotency-Key": notice.key}
    if settings.alert_webhook_secret:
        signature = hmac.new(settings.alert_webhook_secret.reveal().encode(), body, hashlib.sha256).hexdigest()
        headers["X-Evergreen-Signature-256"] = f"sha256={signature}"
    request = urllib.request.Request(parts.geturl(), data=body, headers=headers, method="POST")
    # What is sent to this machine must not leave it through a proxy.
    proxies = [urllib.request.ProxyHandler({})] if is_loopback(parts.hostname or "") else []
    try:
        urllib.request.build_opener(_NoRedirects, *proxies).open(request, timeout=ANSWER_SECONDS).close()
    except HTTPError as error:
        error.close()
        more = "; redirects are not followed: name the address itself" if 300 <= error.code < 400 else ""
        raise RuntimeError(f"{parts.hostname} answered {error.code} {error.reason}{more}") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: alerts go to the configured host and to no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def _mail(settings: Settings, notice: Notice) -> None:
    from jobs.alerts import mail  # imports the mail libraries

    mail.send(settings, notice)


_CHANNELS: Mapping[str, Callable[[Settings, Notice], None]] = {"log": _log, "webhook": _post, "email": _mail}


def where(settings: Settings) -> dict[str, str]:
    """Each configured channel and its destination, without secrets; for a bad URL the reason why it is refused."""
    from jobs.alerts import mail

    places: Mapping[str, Callable[[Settings], object]] = {
        "log": lambda _: f"logger {LOGGER.name}",
        "webhook": lambda settings: "{0.scheme}://{0.hostname}".format(webhook(settings)),
        "email": mail.mailbox,
    }
    destinations = {}
    for channel in configured(settings, "error"):
        try:
            destinations[channel] = str(places[channel](settings))
        except ValueError as error:
            destinations[channel] = str(error)
    return destinations

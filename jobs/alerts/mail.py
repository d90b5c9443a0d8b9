"""Alerts by e-mail: one message per notice over an encrypted connection. When an alert is sent is decided in
`jobs.alerts.outbox`."""

import contextlib
import json
import re
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import parse_qs, unquote

from jobs.alerts.addresses import ANSWER_SECONDS, split
from jobs.alerts.notice import LOGGER, Notice
from jobs.errors import Invalid
from jobs.loopback import is_loopback
from jobs.settings import Settings

NAME = "EVERGREEN_ALERT_EMAIL"
EXPECTED = "smtp://user:password@host:587/?from=a@b.org&to=c@d.org,e@f.org (or smtps://)"
PORTS = {"smtp": 587, "smtps": 465}
ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+", re.ASCII)
"""A plain address: no display name, no quotes, nothing that could end a header."""
LONGEST_EVIDENCE = 20_000


@dataclass(frozen=True)
class Mailbox:
    """A mail server, the sender and the recipients."""

    secure: bool
    """TLS from the first byte; otherwise STARTTLS, except to loopback."""
    host: str
    port: int
    user: str | None
    password: str = field(repr=False)
    sender: str
    to: tuple[str, ...]

    def __str__(self) -> str:
        scheme = "smtps" if self.secure else "smtp"
        return f"{scheme}://{self.host}:{self.port} from {self.sender} to {', '.join(self.to)}"


def mailbox(settings: Settings) -> Mailbox:
    """The mailbox that the settings name. Raises ValueError, which shows no password, if they do not."""
    parts = split(NAME, settings.alert_email, EXPECTED)
    if parts.scheme not in PORTS:
        raise Invalid(f"{NAME}: expected {EXPECTED}, found {parts.scheme}://")
    query = parse_qs(parts.query, keep_blank_values=True)
    if query.keys() != {"from", "to"} or len(query["from"]) != 1 or parts.path not in ("", "/"):
        raise Invalid(f"{NAME}: expected one `from` and `to` after the host, found {sorted(query)}; {EXPECTED}")
    to = tuple(address for text in query["to"] for address in text.split(","))
    if wrong := [address for address in (*query["from"], *to) if not ADDRESS.fullmatch(address)]:
        raise Invalid(f"{NAME}: expected addresses like a@b.org, found {wrong[0]!r}; a plus sign is written %2B")
    return Mailbox(
        secure=parts.scheme == "smtps",
        host=parts.hostname or "",
        port=parts.port or PORTS[parts.scheme],
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
        sender=query["from"][0],
        to=to,
    )


def send(settings: Settings, notice: Notice) -> None:
    """Hand a notice to the mail server. Raises OSError (smtplib's errors included) or ValueError if no
    recipient will get it."""
    box = mailbox(settings)
    # Built first: what cannot be written needs no connection.
    written = message(box, notice)
    server = _connect(box)
    try:
        if box.user is not None:
            server.login(box.user, box.password)
        refused = server.send_message(written, box.sender, list(box.to))
    finally:
        # Once the message is accepted, an error at the end must not send it again.
        with contextlib.suppress(OSError):
            server.quit()
        server.close()
    if refused:
        LOGGER.warning("%s: refused by %s for %s", NAME, box.host, ", ".join(refused))


def _connect(box: Mailbox) -> smtplib.SMTP:
    if box.secure:
        return smtplib.SMTP_SSL(box.host, box.port, timeout=ANSWER_SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(box.host, box.port, timeout=ANSWER_SECONDS)
    try:
        if not is_loopback(box.host):
            server.starttls(context=ssl.create_default_context())
    except BaseException:
        server.close()
        raise
    return server


def message(box: Mailbox, notice: Notice) -> EmailMessage:
    """The message; its id is the notice's key, by which mail programs know a second copy."""
    written = EmailMessage()
    written["From"], written["To"] = box.sender, ", ".join(box.to)
    written["Subject"] = f"[evergreen] {notice.title}"[:180]
    written["Message-ID"] = f"<{notice.key}@{box.sender.partition('@')[2]}>"
    written["Date"] = notice.raised_at
    written["Auto-Submitted"] = "auto-generated"
    facts = {"as of": notice.as_of, "raised": notice.raised_at, "resolved": notice.resolved_at}
    moments = "\n".join(f"{name}: {moment.isoformat()}" for name, moment in facts.items() if moment)
    evidence = json.dumps(notice.evidence, indent=1, ensure_ascii=False)[:LONGEST_EVIDENCE]
    written.set_content(f"{notice.message}\n\n{notice.title}\n{moments}\n\nevidence: {evidence}\n")
    return written

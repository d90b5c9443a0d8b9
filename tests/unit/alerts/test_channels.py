"""Channels of alerts against a real web server and a real, if small, mail server."""

import base64
import email
import email.policy
import hashlib
import hmac
import ipaddress
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jobs.alerts import channels, outbox, redaction
from jobs.alerts import mail as alert_mail
from jobs.alerts.channels import deliver
from jobs.alerts.notice import Notice
from jobs.secret import Secret, Url, WebhookUrl
from jobs.settings import Settings, load
from orchestration.cli import main

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
NOTICE = Notice(
    "k3y", "fraud", "drift", "tx_amount", "Größer als erwartet.", "error", NOW, NOW, 0, None, {"psi": 0.4}
)  # fmt: skip


@dataclass
class MailServer:
    """Keeps what was sent: (from, to, message); speaks as much SMTP as smtplib asks for."""

    port: int = 0
    mails: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    context: ssl.SSLContext | None = None
    from_the_start: bool = False
    """TLS from the first byte."""
    rude: bool = False
    """Hangs up instead of answering QUIT."""


class Session(socketserver.StreamRequestHandler):
    """One client of the mail server."""

    server: Any

    def handle(self) -> None:
        box: MailServer = self.server.box
        if box.from_the_start and not self._secure(box):
            return
        self._say("220 here")
        sender, to = "", list[str]()
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    offered = ["AUTH PLAIN", "8BITMIME", *(["STARTTLS"] if box.context else [])]
                    self._say("\r\n".join(["250-here", *(f"250-{o}" for o in offered[:-1]), f"250 {offered[-1]}"]))
                case "STARTTLS":
                    self._say("220 go on")
                    if not self._secure(box):
                        return
                case "AUTH":
                    box.logins.append(base64.b64decode(rest.split()[1]).decode())
                    self._say("235 welcome")
                case "MAIL":
                    sender = rest[rest.index("<") + 1 : rest.index(">")]
                    self._say("250 ok")
                case "RCPT":
                    address = rest[rest.index("<") + 1 : rest.index(">")]
                    to += [address] if address not in box.refused else []
                    self._say("250 ok" if address not in box.refused else "550 no such person")
                case "DATA":
                    self._say("354 go on")
                    lines = list(iter(self.rfile.readline, b".\r\n"))
                    parsed = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                    assert isinstance(parsed, EmailMessage)
                    box.mails.append((sender, to, parsed))
                    self._say("250 kept")
                case "QUIT":
                    if not box.rude:
                        self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _secure(self, box: MailServer) -> bool:
        assert box.context
        try:
            self.request = self.connection = box.context.wrap_socket(self.request, server_side=True)
        except (ssl.SSLError, OSError):  # who does not trust us, hangs up
            return False
        self.setup()
        return True


@contextmanager
def serving(box: MailServer) -> Iterator[MailServer]:
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Session) as server:
        server.box = box  # type: ignore[attr-defined]
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield box
        server.shutdown()
        thread.join()


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with serving(MailServer()) as box:
        yield box


@pytest.fixture
def posting(tmp_path: Path, receiver: Any) -> Settings:
    return Settings(tmp_path, alert_webhook=WebhookUrl(receiver.url))


def mailing(folder: Path, box: MailServer, url: str = "smtp://127.0.0.1:{port}/?from=a@b.org&to=c@d.org") -> Settings:
    return Settings(folder, alert_email=Url(url.format(port=box.port)))


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's own certificate for localhost, also written to `folder`/trusted.pem."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "trusted.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(encoding, private, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(secret + (folder / "trusted.pem").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_a_post_holds_all_there_is_to_say(posting: Settings, receiver: Any) -> None:
    assert deliver(posting, "webhook", NOTICE) is None
    assert receiver.posts == [
        {
            "key": "k3y", "use_case": "fraud", "kind": "drift", "subject": "tx_amount", "severity": "error",
            "said": "Größer als erwartet.", "text": "error: fraud drift, tx_amount: Größer als erwartet.",
            "as_of": "2026-11-22T06:00:00+00:00", "raised_at": "2026-11-22T06:00:00+00:00", "reminder": 0,
            "resolved_at": None, "evidence": {"psi": 0.4},
        }
    ]  # fmt: skip
    assert receiver.headers[0]["Idempotency-Key"] == "k3y"
    assert receiver.headers[0]["Content-Type"] == "application/json"
    assert "X-Evergreen-Signature-256" not in receiver.headers[0]


def test_a_post_is_signed_with_the_secret(posting: Settings, receiver: Any) -> None:
    deliver(replace(posting, alert_webhook_secret=Secret("hush")), "webhook", NOTICE)
    expected = hmac.new(b"hush", receiver.bodies[0], hashlib.sha256).hexdigest()
    assert receiver.headers[0]["X-Evergreen-Signature-256"] == f"sha256={expected}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(posting: Settings, receiver: Any, status: int) -> None:
    receiver.status, receiver.location = status, receiver.url
    why = deliver(posting, "webhook", NOTICE)
    assert why and f"answered {status}" in why and "name the address itself" in why and receiver.posts == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.org/x", "found http://example.org; use https"),
        ("http://127.1/x", "found http://127.1; use https"),
        ("http://localhost.evil.org/x", "use https"),
        ("http://127.0.0.1@evil.org/x", "use https"),
        ("file:///etc/passwd", "found no host"),
        ("ftp://example.org/x", "use https"),
        ("https://", "found no host"),
        ("https://host:99999/x", "no valid port"),
        ("https://eve:s3cret@example.org/x", "set EVERGREEN_ALERT_WEBHOOK_SECRET instead"),
        ("https://example.org/x\r\nX-Other: 1", "no URL has"),
        ("nonsense", "found no host"),
    ],
)
def test_a_bad_webhook_is_refused_in_words(tmp_path: Path, url: str, expected: str) -> None:
    settings = Settings(tmp_path, alert_webhook=WebhookUrl(url))
    why = deliver(settings, "webhook", NOTICE)
    assert why and "EVERGREEN_ALERT_WEBHOOK: expected https://host/path" in why and expected in why
    assert "s3cret" not in why and expected in channels.where(settings)["webhook"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host/?from=a@b.org&to=c@d.org", "found http://"),
        ("smtp://eve:s3cret@host:587/", "expected one `from` and `to`"),
        ("smtp://eve:s3cret@host:587/?from=a@b.org", "expected one `from` and `to`"),
        ("smtp://host/?from=a@b.org&to=c@d.org&bcc=x@y.org", "expected one `from` and `to`"),
        ("smtp://host/?from=a@b.org&to=c@d.org%0aBcc:x@y.org", "expected addresses"),
        ("smtp://host/?from=Anna<a@b.org>&to=c@d.org", "expected addresses"),
        ("smtp://host/?from=a@b.org&to=c@d.org,", "expected addresses"),
        ("smtp://host/?from=a@b.org&to=", "expected addresses"),
        ("smtp://host:port/?from=a@b.org&to=c@d.org", "no valid port"),
        ("smtp:///?from=a@b.org&to=c@d.org", "found no host"),
    ],
)
def test_a_bad_mailbox_is_refused_in_words(tmp_path: Path, url: str, expected: str) -> None:
    settings = Settings(tmp_path, alert_email=Url(url))
    why = deliver(settings, "email", NOTICE)
    assert why and "EVERGREEN_ALERT_EMAIL: expected" in why and expected in why and "s3cret" not in why
    assert expected in channels.where(settings)["email"]


def test_a_severity_that_nobody_knows_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="EVERGREEN_ALERT_SEVERITY: expected one of warning, error, found 'loud'"):
        load({"EVERGREEN_ALERT_SEVERITY": "loud"})


def test_a_bad_channel_never_fails_who_raised_the_alert(tmp_path: Path, caplog: Any) -> None:
    settings = Settings(tmp_path, alert_webhook=WebhookUrl("https://"), alert_email=Url("smtp://"))
    assert outbox.send(settings, outbox.Alert("fraud", "drift", "x", "y", "error", NOW), NOW)
    assert sorted(outbox.recorded(settings)[0].waiting) == ["email", "webhook"]
    assert "error: fraud drift, x: y" in caplog.text


def test_a_mail_reaches_everybody(tmp_path: Path, mails: MailServer) -> None:
    url = "smtp://bot%40b.org:p%40ss@127.0.0.1:{port}/?from=bot@b.org&to=c@d.org,e%2Bf@g.org"
    assert deliver(mailing(tmp_path, mails, url), "email", NOTICE) is None
    [(sender, to, mail)] = mails.mails
    assert (sender, to) == ("bot@b.org", ["c@d.org", "e+f@g.org"]) and mails.logins == ["\0bot@b.org\0p@ss"]
    assert mail["Subject"] == "[evergreen] error: fraud drift, tx_amount" and mail["Message-ID"] == "<k3y@b.org>"
    assert mail.get_content().splitlines()[0] == "Größer als erwartet." and '"psi": 0.4' in mail.get_content()


def test_a_mail_that_was_accepted_is_not_sent_again_for_a_rude_goodbye(tmp_path: Path, mails: MailServer) -> None:
    mails.rude = True
    assert deliver(mailing(tmp_path, mails), "email", NOTICE) is None and len(mails.mails) == 1


def test_recipients_that_a_server_refuses_are_named(tmp_path: Path, mails: MailServer, caplog: Any) -> None:
    settings = mailing(tmp_path, mails, "smtp://127.0.0.1:{port}/?from=a@b.org&to=c@d.org,e@f.org")
    mails.refused = {"e@f.org"}
    assert deliver(settings, "email", NOTICE) is None and "refused by 127.0.0.1 for e@f.org" in caplog.text
    mails.refused = {"c@d.org", "e@f.org"}
    assert "SMTPRecipientsRefused" in (deliver(settings, "email", NOTICE) or "") and len(mails.mails) == 1


def test_beyond_loopback_nothing_is_said_without_encryption(tmp_path: Path, mails: MailServer) -> None:
    # Another way to write 127.0.0.1, which we do not take for this machine.
    url = "smtp://bot:s3cret@127.1:{port}/?from=a@b.org&to=c@d.org"
    why = deliver(mailing(tmp_path, mails, url), "email", NOTICE)
    assert why and "STARTTLS" in why and mails.mails == [] and mails.logins == []


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_encrypted_mail_goes_to_whom_we_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, trusted: bool
) -> None:
    box = MailServer(context=certificate(tmp_path), from_the_start=scheme == "smtps")
    monkeypatch.setattr(alert_mail, "is_loopback", lambda host: False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    with serving(box):
        url = scheme + "://bot:s3cret@localhost:{port}/?from=a@b.org&to=c@d.org"
        why = deliver(mailing(tmp_path, box, url), "email", NOTICE)
    assert (why is None) == trusted == bool(box.mails) == bool(box.logins)
    assert trusted or "certificate" in str(why).lower()


hostile = st.text(st.sampled_from("ab\r\n\t\0\x0b\x0c\x1c\x85\u2028\u2029\ud800é: "), max_size=40)


@given(text=hostile, subject=hostile)
def test_no_text_makes_a_header(text: str, subject: str) -> None:
    safe = replace(
        NOTICE,
        message=redaction.line(f"{text}\r\nBcc: x@y.org\r\n\r\n"),
        subject=redaction.line(f"{subject}\r\nBcc: x@y.org"),
    )
    box = alert_mail.mailbox(Settings(Path(), alert_email=Url("smtp://host/?from=a@b.org&to=c@d.org")))
    sent = alert_mail.message(box, safe).as_bytes(policy=email.policy.SMTP)
    parsed = email.message_from_bytes(sent, policy=email.policy.default)
    ours = {"From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted"}
    assert set(parsed) - ours == {"Content-Type", "Content-Transfer-Encoding", "MIME-Version"}
    assert parsed["To"] == "c@d.org" and len(safe.message.splitlines()) <= 1


def test_the_command_tries_every_channel(tmp_path: Path, receiver: Any, mails: MailServer) -> None:
    url = f"smtp://127.0.0.1:{mails.port}/?from=a@b.org&to=c@d.org"
    environment = {"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_ALERT_WEBHOOK": receiver.url}
    environment |= {"EVERGREEN_ALERT_EMAIL": url, "EVERGREEN_ALERT_SEVERITY": "error"}
    result = CliRunner().invoke(main, ["alerts", "--test"], env=environment)
    assert result.exit_code == 0 and result.output.splitlines()[-2:] == [
        "webhook: delivered to http://127.0.0.1",
        f"email: delivered to smtp://127.0.0.1:{mails.port} from a@b.org to c@d.org",
    ]
    assert "only a test" in receiver.posts[0]["said"] and "only a test" in mails.mails[0][2].get_content()
    receiver.status = 404
    failed = CliRunner().invoke(main, ["alerts", "--test"], env=environment)
    assert failed.exit_code == 1 and "webhook: RuntimeError: 127.0.0.1 answered 404" in failed.output
    assert outbox.recorded(load(environment), resolved=True) == []


def test_the_command_lists_what_is_open(tmp_path: Path) -> None:
    environment = {"EVERGREEN_HOME": str(tmp_path), "COLUMNS": "80"}
    settings = load(environment)

    def listed(*options: str) -> str:
        return CliRunner().invoke(main, ["alerts", *options], env=environment).output

    assert listed() == "No alert is open.\n"
    outbox.send(settings, outbox.Alert("fraud", "drift", "tx_amount", "Too [bold]high[/bold].", "error", NOW), NOW)
    outbox.send(settings, outbox.Alert("returns", "drift", "quantity", "Too low.", "error", NOW), NOW)
    outbox.resolve(settings, "returns", "drift", "quantity", NOW)
    assert "Too [bold]high[/bold]." in listed() and "Too low" not in listed() and "Too low" in listed("--all")
    assert listed("--use-case", "returns") == "No alert is open.\n"
    assert max(len(line) for line in listed("--all").splitlines()) <= 80
    assert "-> resolved 20" in listed("--all") and "resolved at    20" in listed("--all", "--details")

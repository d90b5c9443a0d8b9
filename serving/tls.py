"""TLS by files: a certificate and its private key, checked before the server starts, for HTTP and gRPC.

Both are read when a worker starts: a new certificate needs a new start.
"""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

import grpc

from jobs.errors import Invalid

OTHERS = stat.S_IRWXO | stat.S_IWGRP
"""What nobody may do with the file of a private key; its group may read it, which containers need."""
OPTIONS = ("--tls-cert", "--tls-key")
_MARKS = ("-----BEGIN CERTIFICATE-----", "PRIVATE KEY-----")


@dataclass(frozen=True)
class TlsFiles:
    """Files in PEM."""

    certificate: str
    """Of the server, and then those that lead to the authority which clients know."""
    key: str

    def credentials(self) -> grpc.ServerCredentials:
        """What a server of gRPC listens with."""
        return grpc.ssl_server_credentials([(Path(self.key).read_bytes(), Path(self.certificate).read_bytes())])


def checked(certificate: str | None, key: str | None) -> TlsFiles | None:
    """The files of TLS; None without both.

    Raises:
        Invalid: one is missing, cannot be read, is no PEM, or does not belong to the other; or others can read the key.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        found, missing = OPTIONS if key is None else reversed(OPTIONS)
        raise Invalid(f"{missing}: expected a file, as {found} names one, found nothing; name both or none")
    for option, path, mark in zip(OPTIONS, (certificate, key), _MARKS, strict=True):
        _require_pem(option, Path(path), mark)
    _require_private(Path(key))
    _require_pair(certificate, key)
    return TlsFiles(certificate, key)


def _require_pem(option: str, path: Path, mark: str) -> None:
    try:
        text = path.read_text("ascii", "replace")
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "no usual name"
        raise Invalid(f"{option} {path}: expected a file that can be read, found: {reason}; name another") from None
    if mark not in text:
        raise Invalid(f"{option} {path}: expected a file in PEM with {mark}, found none; name another, or convert it")


def _require_private(key: Path) -> None:
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & OTHERS:
        raise Invalid(
            f"--tls-key {key}: expected a file that its owner alone writes and others cannot read, found mode "
            f"{mode:o}; run chmod 600 on it, and make another key if somebody may have read it"
        )


def _require_pair(certificate: str, key: str) -> None:
    asked = False

    def no_password() -> str:
        nonlocal asked
        asked = True
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        found = "an encrypted key" if asked else (error.reason or str(error)).lower().replace("_", " ")
        raise Invalid(
            f"--tls-cert {certificate} --tls-key {key}: expected a certificate and its private key without a password, "
            f"found: {found}; name the files that belong together"
        ) from None

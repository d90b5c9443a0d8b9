"""Which files a server takes for TLS; that it speaks TLS with them is in tests/e2e/serving/test_serve_by_tls.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from worlds.certificates import certified

from jobs.errors import Invalid
from orchestration.cli import main
from serving import tls
from serving.tls import TlsFiles


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    certificate, key = certified(tmp_path)
    return str(certificate), str(key)


def test_a_pair_is_taken_and_none_too(files: tuple[str, str]) -> None:
    assert tls.checked(*files) == TlsFiles(*files) and tls.checked(None, None) is None


def test_the_group_may_read_a_key(files: tuple[str, str]) -> None:
    Path(files[1]).chmod(0o440)
    assert tls.checked(*files)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_read_is_refused(files: tuple[str, str], mode: int) -> None:
    Path(files[1]).chmod(mode)
    with pytest.raises(Invalid, match=rf"--tls-key .*: expected .* others cannot read, found mode {mode:o}; run chmod"):
        tls.checked(*files)


def test_one_file_alone_is_refused(files: tuple[str, str]) -> None:
    with pytest.raises(Invalid, match=r"^--tls-key: expected a file, as --tls-cert names one"):
        tls.checked(files[0], None)
    with pytest.raises(Invalid, match=r"^--tls-cert: expected a file, as --tls-key names one"):
        tls.checked(None, files[1])


@pytest.mark.parametrize(("option", "place"), [("--tls-cert", 0), ("--tls-key", 1)])
@pytest.mark.parametrize(("name", "found"), [
    ("missing", "No such file"), ("folder", "Is a directory"), ("empty", "found none"), ("der", "found none"),
    ("a\0b", "no usual name"),
])  # fmt: skip
def test_what_is_no_file_in_pem_is_refused(
    files: tuple[str, str], tmp_path: Path, option: str, place: int, name: str, found: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch(0o600)
    (tmp_path / "der").write_bytes(b"\x30\x82\xff")
    pair = list(files)
    pair[place] = str(tmp_path / name)
    with pytest.raises(Invalid, match=f"{option} .*: expected a file .*{found}"):
        tls.checked(*pair)


def test_files_that_do_not_belong_together_are_refused(files: tuple[str, str], tmp_path: Path) -> None:
    other, _ = certified(tmp_path / "other")
    with pytest.raises(Invalid, match="found: key values mismatch; name the files that belong together"):
        tls.checked(str(other), files[1])


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path, b"secret")
    with pytest.raises(Invalid, match="found: an encrypted key"):
        tls.checked(str(certificate), str(key))


def test_a_damaged_file_is_refused(files: tuple[str, str]) -> None:
    key = Path(files[1])
    key.write_text(key.read_text().replace("M", "!", 3))
    with pytest.raises(Invalid, match="expected a certificate and its private key without a password, found: "):
        tls.checked(*files)


def test_the_command_says_so(files: tuple[str, str]) -> None:
    done = CliRunner().invoke(main, ["serve", "--tls-cert", files[0]])
    assert done.exit_code == 1 and "--tls-key: expected a file" in done.output

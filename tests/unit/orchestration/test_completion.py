"""The shell's completion knows commands, options, names of use cases and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.cli import main


def completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, instruction: str = "bash_complete"
) -> list[str]:
    """What the command answers to the shell for words of which the last is being typed."""
    monkeypatch.setenv("_EVERGREEN_COMPLETE", instruction)
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit) as ended:
        main.main(args=[], prog_name="evergreen")
    assert ended.value.code in (0, 1)
    return [line.split(",")[-1] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("evergreen st", {"status", "stream"}),
        ("evergreen review ", {"list", "verdicts"}),
        ("evergreen models --j", {"--json"}),
        ("evergreen models --use-case f", {"fraud"}),
        ("evergreen replay --policy ", {"never", "weekly", "daily", "auto"}),
    ],
)
def test_words_are_completed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: str,
    expected: set[str],
) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    assert set(completed(monkeypatch, capsys, words)) == expected
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_asks_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    script = "\n".join(completed(monkeypatch, capsys, "evergreen", f"{shell}_source"))
    assert "_EVERGREEN_COMPLETE" in script and f"{shell}_complete" in script

"""Keys in a file of their own, as orchestrators hand secrets to containers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jobs import settings
from jobs.settings import Settings
from serving.web import api_keys
from serving.web.key_file import KeyFile

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def home_with(tmp_path: Path, file: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home"), "EVERGREEN_API_KEYS": str(file)})


def names(keys: KeyFile) -> list[str]:
    return [key.name for key in keys.current() or ()]


def test_keys_lie_where_the_setting_says(tmp_path: Path) -> None:
    home = home_with(tmp_path, tmp_path / "keys.json")
    key = api_keys.add(home, "shop", ["decide"], NOW)
    assert [each.name for each in api_keys.stored(home)] == ["shop"] and key not in (tmp_path / "keys.json").read_text()
    assert not home.serving.exists()


def test_a_folder_that_is_exchanged_behind_a_link_is_seen(tmp_path: Path) -> None:
    """Kubernetes updates a mounted Secret so."""
    mounted = tmp_path / "mounted"
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        api_keys.add(home_with(tmp_path, tmp_path / name / "keys.json"), name, ["decide"], NOW)
    mounted.symlink_to("before")
    keys = KeyFile(home_with(tmp_path, mounted / "keys.json"))
    assert names(keys) == ["before"]
    (tmp_path / "new").symlink_to("after")
    (tmp_path / "new").rename(mounted)
    assert names(keys) == ["after"]

"""Servers of these tests look at their keys before each request, so that no test waits for them to be seen."""

import pytest

from serving.web import key_file


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_file, "LOOK_SECONDS", 0.0)

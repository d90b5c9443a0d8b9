"""The files of the page: installed, served without a key, and such that a browser that is careful runs them."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from worlds.served import served

from jobs import settings
from jobs.settings import ROOT
from serving.page import routes
from serving.web import api_keys
from serving.web.access import Access, scope_of
from serving.web.callers import Asked

FOLDER = Path(routes.__file__).parent
HTML = (FOLDER / "index.html").read_text()


def test_each_file_is_served_as_what_it_is() -> None:
    with served(Starlette(routes=routes.routes())) as address:
        for path, (name, media) in routes.FILES.items():
            answer = httpx.get(f"{address}{path}")
            assert answer.content == (FOLDER / name).read_bytes(), path
            assert answer.headers["content-type"].startswith(media)


@pytest.mark.parametrize("path", [*routes.FILES, "/v1", "/v1/traffic", "/openapi.json"])
def test_only_the_files_need_no_key(path: str, tmp_path: Path) -> None:
    access = Access(settings.load({"EVERGREEN_HOME": str(tmp_path)}), alone=False)
    asked = Asked(scope_of("GET", path), "203.0.113.9")
    assert (getattr(access.admitted(asked), "status", None) == 401) == (path not in routes.FILES)
    assert not api_keys.stored(settings.load({"EVERGREEN_HOME": str(tmp_path)}))


def test_an_install_has_them_all() -> None:
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "serving.page"
    ]
    for name, _ in routes.FILES.values():
        assert any(fnmatch.fnmatch(name, pattern) for pattern in packaged), name


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", HTML)
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', HTML)
    assert set(sources) <= {*routes.FILES, "/openapi.json"}
    script = (FOLDER / "page.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Storage|cookie", script)


def test_each_control_has_a_label() -> None:
    controls = set(re.findall(r'<(?:input|select)[^>]*\sid="([^"]+)"', HTML))
    assert controls == set(re.findall(r'<label[^>]*\sfor="([^"]+)"', HTML)) and len(controls) == 5

"""Trials as they are stored: in a journal that was torn, in a database, and what they say of the parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from worlds.small_search import SEARCH, SPACE, objective, said

from jobs.secret import Url
from jobs.training import search, trials


def test_a_journal_with_an_unfinished_last_line_goes_on(tmp_path: Path) -> None:
    whole = search.run(SEARCH, objective, tmp_path / "whole")
    search.run(replace(SEARCH, trials=7), objective, tmp_path / "torn")
    with (tmp_path / "torn" / "demo.journal").open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker')
    assert said(search.run(SEARCH, objective, tmp_path / "torn")) == said(whole)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def test_a_database_keeps_trials_as_a_journal_does(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = Url(f"sqlite:///{tmp_path}/studies.db" if database == "sqlite" else request.getfixturevalue(database))
    first = search.run(replace(SEARCH, trials=6), objective, tmp_path, url)
    assert trials.load("demo", tmp_path, url) == first and trials.load("unknown", tmp_path, url) == []
    assert said(search.run(SEARCH, objective, tmp_path, url)) == said(search.run(SEARCH, objective, tmp_path))


def test_importance_names_what_matters(tmp_path: Path) -> None:
    ended = search.run(replace(SEARCH, trials=30, pruner="none", sampler="random"), objective, tmp_path)
    shares = trials.parameter_importance(ended, SPACE)
    assert max(shares, key=lambda name: shares[name]) == "x" and sum(shares.values()) == pytest.approx(1)
    assert trials.parameter_importance(ended[:2], SPACE) == {}

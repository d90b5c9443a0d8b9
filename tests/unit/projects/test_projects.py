"""A project of one's own: its file, its use cases, and the folders that follow from them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds.deliveries import DELAYS

from jobs import project_file, settings
from jobs.errors import Invalid
from jobs.feature_store.store import declarations_hash
from jobs.projects import assembly, home_owner, new_project
from jobs.projects.standard_models import standard_models
from jobs.projects.standard_views import standard_views
from jobs.use_cases import catalog
from jobs.use_cases.fraud import FRAUD
from orchestration import project

pytestmark = pytest.mark.embedded
COMMAND = "from orchestration.cli import main; main()"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new project, outside of which nothing of it is known."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "shop"
    new_project.create(folder, "shop")
    yield folder
    for name in [name for name in sys.modules if name == "use_cases" or name.startswith("use_cases.")]:
        del sys.modules[name]


def rewrite(folder: Path, text: str) -> project_file.ProjectFile:
    (folder / project_file.FILE).write_text(text)
    return project_file.read(folder)


def test_a_new_project_has_a_use_case_that_can_be_had(shop: Path) -> None:
    use_cases, broken = catalog.declared(project_file.read(shop))
    assert [each.name for each in use_cases] == ["shop"] and not broken
    assert not list(shop.rglob("*NAME*")) and "NAME" not in (shop / "evergreen.toml").read_text()


@pytest.mark.parametrize("name", ["", "2go", "Shop", "a-b", "jobs", "fraud", "é"])
def test_a_name_that_no_table_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="expected a name"):
        new_project.create(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(Invalid, match="empty folder"):
        new_project.create(tmp_path, "shop")
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project", "expected a file of TOML"),
        ("name = 'shop'", r"expected a table \[project\] alone"),
        ("[project]\nname = 'my shop'", "expected a name of letters"),
        ("[project]\nname = 'shop'\nuse_case = []", "leave them out"),
        ("[project]\nname = 'shop'\nuse_cases = 'a:B'", "expected lists of texts"),
    ],
)
def test_a_file_that_says_something_else_is_refused(shop: Path, text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        rewrite(shop, text)


def test_what_is_broken_is_told_with_its_line_and_keeps_nothing_else_from_running(shop: Path) -> None:
    (shop / "use_cases" / "bad.py").write_text("import os\n\nimport no_such_module\n")
    places = ["fraud", "use_cases.bad:X", "use_cases.shop:USE_CASE", "use_cases.shop:ORDERS", "nobody", "fraud"]
    file = rewrite(shop, f"[project]\nname = 'shop'\nuse_cases = {places!r}")
    use_cases, broken = catalog.declared(file)
    assert [each.name for each in use_cases] == ["fraud", "shop"]
    assert set(broken) == {"use_cases.bad:X", "use_cases.shop:ORDERS", "nobody", "fraud"}
    assert "bad.py, line 3" in broken["use_cases.bad:X"] and "no_such_module" in broken["use_cases.bad:X"]
    assert "found Source" in broken["use_cases.shop:ORDERS"] and all("\n" not in why for why in broken.values())


def test_settings_are_those_of_the_next_project_above(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(shop / "deep" / "down")
    found = settings.load({})
    assert found.project == shop.resolve() and found.home == shop.resolve() / ".evergreen"
    assert found.dbt_project == found.home / "project" / "dbt_project"
    assert settings.load({"EVERGREEN_HOME": str(shop / "other")}).home == shop / "other"
    monkeypatch.chdir("/")
    assert settings.load({}).project is None and settings.load({}).dbt_project == settings.ROOT / "dbt_project"
    assert settings.load({"EVERGREEN_PROJECT": str(shop)}).home == shop.resolve() / ".evergreen"


def assembled(shop: Path, **more: Any) -> settings.Settings:
    own = settings.load({"EVERGREEN_PROJECT": str(shop)})
    file = project_file.read(shop)
    assembly.assemble(own, file, catalog.declared(file)[0], catalog.BUILT_IN)
    return own


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_folders_hold_what_follows_and_what_was_written_takes_its_place(shop: Path) -> None:
    own = assembled(shop)
    dbt = names(own.dbt_project)
    assert {"dbt_project.yml", "macros/versions.sql", "models/staging/shop/stg_shop__orders.sql"} <= dbt
    assert {"models/marts/shop/shop__orders.sql", "models/marts/shop/shop__arrivals.sql"} <= dbt
    assert not [name for name in dbt if "fraud" in name]
    assert names(own.feature_repo) == {"feature_store.yaml", "shop_features.py"}
    mine = shop / "dbt" / "models" / "marts" / "shop" / "shop__orders.sql"
    mine.parent.mkdir(parents=True)
    mine.write_text("select 1")
    (shop / "features").mkdir()
    (shop / "features" / "shop_features.py").write_text("mine = 1")
    assembled(shop)
    assert (own.dbt_project / "models/marts/shop/shop__orders.sql").read_text() == "select 1"
    assert (own.feature_repo / "shop_features.py").read_text() == "mine = 1"
    mine.unlink()
    rewrite(shop, "[project]\nname = 'shop'\nbuilt_in = ['fraud']\nuse_cases = ['use_cases.shop:USE_CASE']")
    assembled(shop)
    assert "versions(" in (own.dbt_project / "models/marts/shop/shop__orders.sql").read_text()
    assert "models/marts/fraud/fraud__labels.sql" in names(own.dbt_project)
    assert "fraud_features.py" in names(own.feature_repo)


def test_nothing_is_written_a_second_time(shop: Path) -> None:
    own = assembled(shop)
    before = {path: path.stat().st_mtime_ns for path in own.home.rglob("*.sql")}
    assembled(shop)
    assert {path: path.stat().st_mtime_ns for path in own.home.rglob("*.sql")} == before


def test_standard_models_of_fraud_are_those_that_were_written_by_hand() -> None:
    """As far as declarations go: the payments; its labels are called by a column that SQL renames."""
    made = standard_models(FRAUD)["marts/fraud/fraud__transactions.sql"]
    by_hand = (settings.ROOT / "dbt_project/models/marts/fraud/fraud__transactions.sql").read_text()
    by_hand = by_hand.replace("{{ also('fraud', 'transactions') }}", "")
    assert "".join(made.split()).partition("with")[2] == "".join(by_hand.split()).partition("with")[2]


def test_labels_follow_their_events_to_every_place() -> None:
    labels = standard_models(DELAYS)["marts/delays/delays__arrivals.sql"]
    assert "p.depot" in labels and "p.left_at" in labels and "r.hours" in labels and "left anti join" in labels


def test_views_are_python(shop: Path) -> None:
    [use_case], _ = catalog.declared(project_file.read(shop))
    text = standard_views(use_case, "use_cases.shop:USE_CASE")
    compile(text, "shop_features.py", "exec")
    assert 'FeatureService(\n    name="shop"' in text and "depot_id = entity(" in text


def test_the_test_of_a_new_project_passes(shop: Path) -> None:
    command = [sys.executable, "-c", COMMAND, "test", "-q"]
    done = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_built_in_use_case_with_further_columns_keeps_its_sql_and_its_features(shop: Path) -> None:
    (shop / "use_cases" / "cards.py").write_text(
        """from dataclasses import replace

from jobs.use_case import Column
from jobs.use_cases.fraud import CUSTOMERS, FRAUD, FRAUD_REPORTS, PROBLEM, TERMINALS, TRANSACTIONS

CHANNEL = Column("channel", "category", nullable=True, optional=True)
CARDS = replace(
    FRAUD,
    sources=(replace(TRANSACTIONS, columns=(*TRANSACTIONS.columns, CHANNEL)), FRAUD_REPORTS, CUSTOMERS, TERMINALS),
    problem=replace(PROBLEM, inputs=(*PROBLEM.inputs, "channel")),
)
"""
    )
    rewrite(shop, "[project]\nname = 'shop'\nuse_cases = ['use_cases.cards:CARDS', 'use_cases.shop:USE_CASE']")
    own = assembled(shop)
    dbt = own.dbt_project
    assert "{'fraud.transactions': ['channel']}" in (dbt / "macros" / "declared_extra.sql").read_text()
    assert "also('fraud', 'transactions')" in (dbt / "models/marts/fraud/fraud__transactions.sql").read_text()
    assert "as_declared" in (own.feature_repo / "fraud_features.py").read_text()


def test_a_home_belongs_to_one_project_wherever_its_folder_is(shop: Path, tmp_path: Path) -> None:
    own = assembled(shop)
    moved = replace(project_file.read(shop), folder=tmp_path / "moved")
    home_owner.claim(own, moved)
    with pytest.raises(Invalid, match=r"expected a home of the project cafe, found that of shop \(.*moved"):
        home_owner.claim(own, replace(moved, name="cafe"))
    with pytest.raises(Invalid, match=r"expected a home that is no project's, found that of shop \(.*moved"):
        project.enter(replace(own, project=None))
    assert json.loads((own.state / "project.json").read_text()) == {"name": "shop", "folder": str(tmp_path / "moved")}


def test_features_are_others_where_a_module_of_the_project_is_another(shop: Path) -> None:
    own, use_case = assembled(shop), catalog.declared(project_file.read(shop))[0][0]
    before = declarations_hash(own, use_case)
    (shop / "tests" / "more.py").write_text("")
    (shop / ".venv").mkdir()
    (shop / ".venv" / "more.py").write_text("")
    assert declarations_hash(own, use_case) == before
    (shop / "use_cases" / "functions.py").write_text("def double(number): return 2 * number\n")
    assert declarations_hash(own, use_case) != before


def test_a_home_with_use_cases_that_a_project_does_not_have_stays_without_one(shop: Path) -> None:
    own = settings.load({"EVERGREEN_PROJECT": str(shop)})
    (own.state / "returns").mkdir(parents=True)
    with pytest.raises(Invalid, match=r"found one of returns, which it does not have; .* or add built_in"):
        assembled(shop)
    assert [path.name for path in own.home.iterdir() if path.name != "locks"] == ["state"]
    project.enter(replace(own, project=None))
    rewrite(shop, "[project]\nname = 'shop'\nbuilt_in = ['returns']")
    assert assembled(shop).state.joinpath("project.json").exists()

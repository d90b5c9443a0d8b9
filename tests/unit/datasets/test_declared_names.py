"""Names of columns that only SQL or Feast makes are refused where nothing makes them, in one line with the place."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs import settings
from jobs.datasets.declared_names import refuse_unknown
from jobs.errors import Invalid
from jobs.problem import Groups, Rule, Slice
from jobs.settings import Settings
from jobs.use_case import Column
from jobs.use_cases.catalog import USE_CASES
from jobs.use_cases.fraud import FRAUD, PROBLEM
from orchestration.definitions import build_definitions


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


def test_what_is_shipped_is_known(own: Settings) -> None:
    for use_case in USE_CASES:
        refuse_unknown(own, use_case)


SLIPS: dict[str, Any] = {
    "weight": "wieght",
    "amount": "tx_amuont",
    "cluster_key": "costumer_id",
    "inputs": ("tx_amuont",),
    "baseline_features": ("customer_tx_count_8d",),
    "telling": ("is_nigth",),
    "rules": (Rule("first", ("is_nigth",)),),
    "slices": (Slice("large", "tx_amuont", minimum=100.0),),
    "fairness": (Groups("large", "tx_amuont", edges=(100.0,)),),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_refused_with_its_place_before_anything_is_built(own: Settings, name: str) -> None:
    wrong = replace(FRAUD, problem=replace(PROBLEM, **{name: SLIPS[name]}))
    with pytest.raises(Invalid, match=r"expected a column or feature .*, found '.*; correct it") as raised:
        build_definitions(settings=own, use_cases=(wrong,))
    assert f"(declared in {__file__}, line " in str(raised.value) and "\n" not in str(raised.value)
    assert not own.home.exists()


def test_the_nearest_name_is_offered(own: Settings) -> None:
    with pytest.raises(Invalid, match=r"amount: .* found 'tx_amuont', .* \(did you mean 'tx_amount'\?\)"):
        refuse_unknown(own, replace(FRAUD, problem=replace(PROBLEM, amount="tx_amuont")))


def test_columns_of_sql_of_features_and_those_declared_as_computed_are_known(own: Settings) -> None:
    weighted = replace(FRAUD, problem=replace(PROBLEM, weight="w0"), computed=(Column("w0", "number"),))
    refuse_unknown(own, weighted)
    refuse_unknown(own, replace(FRAUD, problem=replace(PROBLEM, baseline_features=("hour_of_day", "changed_in"))))
    with pytest.raises(Invalid, match="weight: "):
        refuse_unknown(own, replace(weighted, computed=()))


def test_names_of_the_feature_repo_are_refused(own: Settings, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"feature_service: expected one that the feature repo declares, fraud, returns"):
        refuse_unknown(own, replace(FRAUD, feature_service="fruad"))
    repo = shutil.copytree(own.feature_repo, tmp_path / "repo")
    file = repo / "fraud_features.py"
    file.write_text(file.read_text().replace('"customer_amount_std_30d",\n', '"customer_amount_std_3d",\n'))
    with pytest.raises(Invalid, match=r"found 'customer_amount_std_3d' .*fraud_features\.py, line \d+\)"):
        refuse_unknown(replace(own, feature_repo=repo), FRAUD)


def test_a_repo_that_does_not_name_the_service_is_left_to_feast(own: Settings, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "features.py").write_text("SERVICES = [FeatureService(name=n) for n in names()]\n")
    (tmp_path / "repo" / "broken.py").write_text("def (\n")
    refuse_unknown(replace(own, feature_repo=tmp_path / "repo"), FRAUD)
    (tmp_path / "repo" / "features.py").write_text("parcels = FeatureService(name='parcels', features=[])\n")
    refuse_unknown(replace(own, feature_repo=tmp_path / "repo"), replace(FRAUD, problem=replace(PROBLEM, weight="w")))

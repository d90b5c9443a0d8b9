"""Features that Feast computes on demand are declared for the decision service too, with the same bits."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs.feature_store.store import quiet
from jobs.settings import ROOT
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from jobs.use_cases.returns import RETURNS

pytestmark = pytest.mark.embedded


def views(use_case: UseCase) -> dict[str, Any]:
    """On-demand views of the use case's feature service, by name."""
    from feast import OnDemandFeatureView

    path = ROOT / "feature_repo" / f"{use_case.name}_features.py"
    spec = importlib.util.spec_from_file_location(f"declared_{use_case.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with quiet():
        spec.loader.exec_module(module)
    served = {projection.name for projection in getattr(module, use_case.feature_service).feature_view_projections}
    found = {each.name: each for each in vars(module).values() if isinstance(each, OnDemandFeatureView)}
    return {name: view for name, view in found.items() if name in served}


@pytest.mark.parametrize("use_case", [FRAUD, RETURNS], ids=["fraud", "returns"])
def test_every_view_is_declared_and_computes_what_the_declared_function_does(use_case: UseCase) -> None:
    declared, found = {function.name: function for function in use_case.request_features}, views(use_case)
    assert declared.keys() == found.keys()
    rng = np.random.default_rng(0)
    for name, view in found.items():
        function = declared[name]
        assert [feature.name for feature in view.features] == list(function.outputs)
        given: dict[str, Any] = {}
        for column in function.inputs:
            if use_case.kinds.get(column) == "timestamp":
                given[column] = pd.to_datetime(rng.integers(0, 2**51, 200), unit="us", utc=True)
            else:
                given[column] = np.where(rng.random(200) < 0.2, np.nan, rng.choice([0.0, 1.5, -2.25, 1e9], 200))
        frame = pd.DataFrame(given)
        batch = view.feature_transformation.udf(frame)
        for row in range(200):
            inputs = [
                int(frame[c][row].value // 1000) if isinstance(frame[c][row], pd.Timestamp) else float(frame[c][row])
                for c in function.inputs
            ]
            one = function.function(*inputs)
            for feature in function.outputs:
                assert float(one[feature]).hex() == float(batch[feature][row]).hex()

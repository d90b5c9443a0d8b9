"""Champions of a home: bundles are fetched once, and a model picks its features out of those that it is given."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from jobs import settings
from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.registry import bundle, model_versions
from jobs.registry.bundle import Manifest
from jobs.registry.champion_bundles import Champions
from jobs.registry.model_versions import bundle_folder
from jobs.use_cases.fraud import FRAUD


@pytest.fixture
def champions(tmp_path: Path) -> tuple[Champions, str]:
    """A home whose version 1 knows the features a and b, and the checksum of its bundle."""
    own = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    rows = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    model = new_model("logistic", {})
    model.fit(Examples(rows, rows[:, 0] > rows[:, 1], None, ("a", "b")), None, seed=0, device="cpu")
    features = (("a", "float32"), ("b", "float32"))
    manifest = Manifest(FRAUD.name, "logistic", features, 0.5, "2026-03-01T00:00:00+00:00", {})
    written = bundle.write(bundle_folder(own, FRAUD, 1), model, manifest)
    return Champions(own), written.sha256


def test_a_row_scores_alike_whatever_other_features_come_with_it(champions: tuple[Champions, str]) -> None:
    known, sha256 = champions
    row = np.array([[1.0, 2.0]], dtype=np.float32)
    alone = known.model(FRAUD, 1, sha256, ["a", "b"]).predict(row)
    more = known.model(FRAUD, 1, sha256, ["new", "a", "b"]).predict(np.insert(row, 0, 70.0, axis=1))
    turned = known.model(FRAUD, 1, sha256, ["b", "a"]).predict(row[:, ::-1])
    assert more == alone == turned != known.model(FRAUD, 1, sha256, ["a", "b"]).predict(row[:, ::-1])
    assert known.model(FRAUD, 1, sha256, ("a", "b")) is known.model(FRAUD, 1, sha256, ["a", "b"])


def test_events_that_lack_a_feature_are_refused(champions: tuple[Champions, str]) -> None:
    known, sha256 = champions
    with pytest.raises(ValueError, match=r"expected the features b among"):
        known.model(FRAUD, 1, sha256, ["a", "c"])


def test_of_two_processes_that_fetch_a_bundle_both_get_it(
    champions: tuple[Champions, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, folder = settings.load({"EVERGREEN_HOME": str(tmp_path)}), bundle_folder(champions[0]._settings, FRAUD, 1)
    kept = shutil.copytree(folder, tmp_path / "kept")
    shutil.rmtree(folder)

    def downloaded(dst_path: str, **_: str) -> str:
        shutil.copytree(kept, folder)  # by the other process, meanwhile
        return str(shutil.copytree(kept, Path(dst_path) / "bundle"))

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", downloaded)
    monkeypatch.setattr(model_versions, "_get_source", lambda *_: "runs:/1/bundle")
    assert model_versions.fetch(own, FRAUD, 1, champions[1]).folder == folder
    assert [path.name for path in folder.parent.iterdir()] == ["1"]

"""A bundle is written whole, says what it is, and is refused when anything in it is not what was written."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.models.runtime import score
from jobs.registry import bundle
from jobs.registry.bundle import BundleError, Manifest

NAMES = ("amount", "age")
MANIFEST = Manifest("fraud", "logistic", tuple((n, "float32") for n in NAMES), 0.5, "2026-03-01T00:00:00+00:00", {})


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)


@pytest.fixture
def written(tmp_path: Path, features: np.ndarray) -> bundle.Bundle:
    model = new_model("logistic")
    model.fit(Examples(features, features[:, 0] > 0, None, NAMES), None, seed=0, device="cpu")
    return bundle.write(tmp_path / "bundle", model, MANIFEST)


def test_it_serves_and_explains_what_was_written(written: bundle.Bundle, features: np.ndarray) -> None:
    opened = bundle.open_bundle(written.folder, written.sha256)
    assert opened.manifest.names == NAMES and opened.manifest.threshold == 0.5
    np.testing.assert_allclose(score(opened.session(), features), opened.model().predict(features), atol=1e-6)


@pytest.mark.parametrize("name", ["model.onnx", "model/model.json", "manifest.json"])
def test_a_changed_file_is_refused(written: bundle.Bundle, name: str) -> None:
    path = written.folder / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(BundleError, match="expected"):
        bundle.open_bundle(written.folder, written.sha256)


@pytest.mark.parametrize("name", ["model.onnx", "model/model.json", "manifest.json"])
def test_a_missing_file_is_refused(written: bundle.Bundle, name: str) -> None:
    (written.folder / name).unlink()
    with pytest.raises(BundleError, match="expected"):
        bundle.open_bundle(written.folder)


def test_a_surplus_file_is_refused(written: bundle.Bundle) -> None:
    (written.folder / "model" / "extra.pkl").write_bytes(b"cos\nsystem\n")
    with pytest.raises(BundleError, match=r"extra\.pkl"):
        bundle.open_bundle(written.folder)


def test_another_bundle_than_the_one_meant_is_refused(written: bundle.Bundle) -> None:
    with pytest.raises(BundleError, match="not the one that was approved"):
        bundle.open_bundle(written.folder, "0" * 64)


def test_a_file_changed_after_it_was_verified_is_not_loaded(written: bundle.Bundle) -> None:
    (written.folder / "model.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError, match="since it was verified"):
        written.session()


def test_nothing_is_left_of_a_bundle_that_could_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fit or load first"):
        bundle.write(tmp_path / "bundle", new_model("logistic"), MANIFEST)
    assert list(tmp_path.iterdir()) == []


WINDOWS = {
    "maturity_days": 14.0,
    "judged_start": "2026-02-22T00:00:00+00:00",
    "judged_end": "2026-03-01T00:00:00+00:00",
}


@pytest.mark.parametrize(
    ("training", "until"),
    [
        ({"windows": WINDOWS}, datetime(2026, 2, 8, tzinfo=UTC)),
        ({"windows": WINDOWS, "recipe": "half-life 7 days"}, datetime(2026, 3, 1, tzinfo=UTC)),
        ({}, datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_it_says_up_to_when_the_model_has_learned(training: dict[str, Any], until: datetime) -> None:
    assert replace(MANIFEST, training=training).learned_until == until

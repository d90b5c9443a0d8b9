"""An exported model is the champion's bundle, proven on real rows; anything else in its place is refused unread."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from jobs import settings
from jobs.models.catalog import new_model
from jobs.models.parity import ParityError
from jobs.models.protocol import Examples
from jobs.models.runtime import score
from jobs.promotion import export_onnx
from jobs.promotion.export_onnx import INT8, MANIFEST, POINTER
from jobs.promotion.quantise import NotApplicable, quantise
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, BundleError, Manifest
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

NAMES = ("amount", "age", "distance")
SMALL_NETWORK = {"members": 2, "width": 8, "blocks": 1, "bins": 4, "epochs": 4, "batch_size": 64}
PARAMETERS = {"logistic": {}, "boosted": {"rounds": 10, "min_data_in_leaf": 5}, "tabular_mlp": SMALL_NETWORK}
ROWS = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
LABELS = ROWS[:, 0] + ROWS[:, 1] > 0.5


def made(folder: Path, family: str = "logistic", seed: int = 0, names: tuple[str, ...] = NAMES) -> Bundle:
    model = new_model(family, PARAMETERS[family])
    chosen = np.random.default_rng(seed).random(len(ROWS)) < 0.8
    model.fit(Examples(ROWS[chosen], LABELS[chosen], None, names), None, seed=seed, device="cpu")
    features = tuple((name, "float32") for name in names)
    training = {"versions": {FRAUD.training_set: 3}, "run_id": "r"}
    return bundle.write(folder, model, Manifest("fraud", family, features, 0.5, "2026-03-01T00:00:00+00:00", training))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """One of each family."""
    return {family: made(tmp_path_factory.mktemp(family) / "bundle", family) for family in PARAMETERS}


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


def export(home: Settings, version: int, made: Bundle, int8: bool = False) -> export_onnx.OnlineModel:
    return export_onnx.export(home, FRAUD, version, made, ROWS, LABELS, int8=int8)


@pytest.mark.parametrize("family", list(PARAMETERS))
def test_what_is_served_is_what_was_exported(home: Settings, bundles: dict[str, Bundle], family: str) -> None:
    champion = bundles[family]
    export(home, 3, champion)
    online = export_onnx.current(home, FRAUD)
    assert online is not None and online.version == 3 and online.bundle.sha256 == champion.sha256
    np.testing.assert_allclose(score(online.session(), ROWS), champion.model().predict(ROWS), atol=1e-5)
    assert set(online.manifest["parity"]) == {"1", "2", "1000"}
    assert online.manifest["features"] == [[name, "float32"] for name in NAMES]
    assert online.manifest["training"]["versions"] == {FRAUD.training_set: 3} and online.manifest["opset"] == 18
    assert set(online.manifest["files"]) == {f"bundle/{name}" for name in [*champion.manifest.files, "manifest.json"]}


def test_the_same_again_changes_nothing(home: Settings, tmp_path: Path) -> None:
    champion = made(tmp_path / "champion")
    first = export(home, 3, champion)
    files = {p: p.stat().st_mtime_ns for p in export_onnx.root(home, FRAUD).rglob("*")}
    assert export(home, 3, champion).sha256 == first.sha256
    assert {p: p.stat().st_mtime_ns for p in export_onnx.root(home, FRAUD).rglob("*")} == files


def test_going_back_to_the_previous_champion_only_moves_the_pointer(home: Settings, tmp_path: Path) -> None:
    previous, champion = made(tmp_path / "a"), made(tmp_path / "b", seed=1)
    first = export(home, 1, previous)
    export(home, 2, champion)
    again = export_onnx.export(home, FRAUD, 1, previous, ROWS[:0], LABELS[:0])  # rows would be needed to write
    online = export_onnx.current(home, FRAUD)
    assert online is not None and (online.version, online.sha256) == (1, first.sha256) == (again.version, again.sha256)


def test_before_the_first_export_there_is_nothing(home: Settings) -> None:
    assert export_onnx.current(home, FRAUD) is None


@pytest.mark.parametrize("name", ["bundle/model.onnx", "bundle/manifest.json", "bundle/model/model.json", MANIFEST])
@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_damaged_export_is_refused_and_made_again(home: Settings, tmp_path: Path, name: str, harm: str) -> None:
    champion = made(tmp_path / "champion")
    path = export(home, 3, champion).folder / name
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError):
        export_onnx.current(home, FRAUD)
    export(home, 3, champion)
    online = export_onnx.current(home, FRAUD)
    assert online is not None and online.bundle.sha256 == champion.sha256


def test_another_whole_export_in_its_place_is_refused(home: Settings, tmp_path: Path) -> None:
    export(home, 1, made(tmp_path / "a"))
    other = export(home, 2, made(tmp_path / "b", seed=1))
    shutil.copytree(other.folder, export_onnx.root(home, FRAUD) / "1", dirs_exist_ok=True)
    (export_onnx.root(home, FRAUD) / POINTER).write_text(
        json.dumps({"version": 1, "sha256": export_onnx.open_export(other.folder.parent / "2").sha256[::-1]})
    )
    with pytest.raises(BundleError, match="expected the manifest"):
        export_onnx.current(home, FRAUD)


def test_a_surplus_file_is_refused(home: Settings, tmp_path: Path) -> None:
    folder = export(home, 3, made(tmp_path / "champion")).folder
    (folder / "bundle" / "model" / "extra.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(BundleError, match=r"extra\.pkl"):
        export_onnx.current(home, FRAUD)


def test_a_bundle_that_changed_is_not_exported_and_the_current_one_stays(home: Settings, tmp_path: Path) -> None:
    export(home, 1, made(tmp_path / "a"))
    champion = made(tmp_path / "b", seed=1)
    (champion.folder / "model.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError):
        export(home, 2, champion)
    online = export_onnx.current(home, FRAUD)
    assert online is not None and online.version == 1
    assert sorted(p.name for p in export_onnx.root(home, FRAUD).iterdir()) == ["1", POINTER]


def test_a_graph_that_disagrees_with_its_model_is_not_exported(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lying(type(new_model("logistic"))):  # type: ignore[misc]
        def to_onnx(self) -> object:
            self._state["weights"] = self._state["weights"] * 2
            graph = super().to_onnx()
            self._state["weights"] = self._state["weights"] / 2
            return graph

    model = Lying()
    model.fit(Examples(ROWS, LABELS, None, NAMES), None, seed=0, device="cpu")
    features = tuple((name, "float32") for name in NAMES)
    liar = bundle.write(tmp_path / "liar", model, Manifest("fraud", "logistic", features, 0.5, "2026-03-01", {}))
    with pytest.raises(ParityError):
        export(home, 1, liar)
    assert export_onnx.current(home, FRAUD) is None


def test_a_manifest_with_other_features_than_the_graph_is_refused(home: Settings, tmp_path: Path) -> None:
    model = new_model("logistic")
    model.fit(Examples(ROWS, LABELS, None, NAMES), None, seed=0, device="cpu")
    swapped = tuple((name, "float32") for name in NAMES[::-1])
    wrong = bundle.write(tmp_path / "wrong", model, Manifest("fraud", "logistic", swapped, 0.5, "2026-03-01", {}))
    with pytest.raises(BundleError, match="expected a graph of the features"):
        export(home, 1, wrong)


def test_int8_says_what_it_costs_and_gains(home: Settings, bundles: dict[str, Bundle]) -> None:
    online = export(home, 1, bundles["tabular_mlp"], int8=True)
    said = online.manifest["int8"]
    assert said["applies"] and said["rows"] == 600 and said["positives"] == LABELS.sum()
    exact, small = score(online.session(), ROWS), score(online.session(int8=True), ROWS)
    assert said["largest_difference"] == pytest.approx(np.abs(exact - small).max()) and said["largest_difference"] > 0
    assert said["size_bytes"] == [(online.folder / n).stat().st_size for n in ("bundle/model.onnx", INT8)]
    assert all(0.5 < value <= 1 for value in said["average_precision"])
    assert {size: len(pair) for size, pair in said["latency_ms"].items()} == {"1": 2, "1000": 2}
    (online.folder / INT8).write_bytes(b"something else")
    with pytest.raises(BundleError, match="since it was verified"):
        online.session(int8=True)


@pytest.mark.parametrize("family", ["logistic", "boosted"])
def test_int8_says_where_it_does_not_apply(home: Settings, bundles: dict[str, Bundle], family: str) -> None:
    champion = bundles[family]
    with pytest.raises(NotApplicable, match="no float32 matrix"):
        quantise(champion.read("model.onnx"), ROWS, LABELS)
    online = export(home, 1, champion, int8=True)
    assert not online.manifest["int8"]["applies"]
    with pytest.raises(BundleError, match="found none"):
        online.session(int8=True)


def test_a_reader_sees_one_model_or_the_other_while_they_alternate(home: Settings, tmp_path: Path) -> None:
    champions = [made(tmp_path / "a"), made(tmp_path / "b", seed=1)]
    for version, champion in enumerate(champions):
        export(home, version, champion)
    done = threading.Event()

    def alternate() -> None:
        for turn in range(40):
            export(home, turn % 2, champions[turn % 2])
        done.set()

    writer = threading.Thread(target=alternate)
    writer.start()
    seen = set()
    while not done.is_set():
        online = export_onnx.current(home, FRAUD)
        assert online is not None and online.bundle.sha256 == champions[online.version].sha256
        seen.add(online.version)
    writer.join()
    assert seen == {0, 1}

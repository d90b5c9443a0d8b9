"""The model in service is the one that was exported last and could be verified; nothing else replaces it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from worlds import exported_models
from worlds.exported_models import damage, export, made

from jobs import settings
from jobs.promotion import export_onnx
from jobs.registry.bundle import Bundle
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from serving.live_models.watch import TRY_AGAIN_SECONDS, LiveModels, NothingToServe


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return made(folder / "first", 1), made(folder / "second", 2)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


@pytest.fixture
def models(home: Settings, bundles: tuple[Bundle, Bundle]) -> LiveModels:
    """Version 1 is in service."""
    export(home, 1, bundles[0])
    found = LiveModels(home, [FRAUD])
    found.require()
    return found


def version(models: LiveModels) -> str | None:
    model = models.get("fraud")
    return model.version if model else None


def test_a_promotion_and_a_rollback_change_the_model(
    models: LiveModels, home: Settings, bundles: tuple[Bundle, Bundle]
) -> None:
    assert version(models) == "1" and models.get("returns") is None
    before = models.get("fraud")
    models.look(1.0)
    assert models.get("fraud") is before  # nothing moved: nothing was loaded
    export(home, 2, bundles[1])
    models.look(2.0)
    assert version(models) == "2"
    export_onnx.restore(home, FRAUD, 1, bundles[0].sha256)
    models.look(3.0)
    assert version(models) == "1" and not models.refused


def test_a_damaged_model_leaves_the_last_good_one_and_is_taken_once_it_is_mended(
    models: LiveModels, home: Settings, bundles: tuple[Bundle, Bundle]
) -> None:
    export(home, 2, bundles[1])
    kept = damage(home, 2)
    models.look(1.0)
    assert version(models) == "1" and "model.onnx" in models.refused["fraud"]
    shutil.rmtree(export_onnx.root(home, FRAUD) / "2")
    models.look(2.0)
    assert version(models) == "1"
    kept.rename(export_onnx.root(home, FRAUD) / "2")
    models.look(1.0 + TRY_AGAIN_SECONDS - 0.1)
    assert version(models) == "1"  # the pointer did not move, and the time has not come
    models.look(1.0 + TRY_AGAIN_SECONDS)
    assert version(models) == "2" and not models.refused


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": "x"}', b"[]", b'{"version": 9, "sha256": "0"}', b"\xff"])
def test_a_damaged_pointer_leaves_the_last_good_model(models: LiveModels, home: Settings, content: bytes) -> None:
    (export_onnx.root(home, FRAUD) / export_onnx.POINTER).write_bytes(content)
    models.look(1.0)
    assert version(models) == "1" and "export" in models.refused["fraud"]


def test_a_pointer_that_is_gone_is_told(models: LiveModels, home: Settings) -> None:
    pointer = export_onnx.root(home, FRAUD) / export_onnx.POINTER
    content = pointer.read_bytes()
    pointer.unlink()
    models.look(1.0)
    assert version(models) == "1" and "evergreen run" in models.refused["fraud"]
    pointer.write_bytes(content)
    models.look(2.0)
    assert version(models) == "1" and not models.refused


def test_nothing_is_served_without_a_verified_model(home: Settings, bundles: tuple[Bundle, Bundle]) -> None:
    with pytest.raises(NothingToServe, match="nothing was exported yet; run `evergreen run`"):
        LiveModels(home, [FRAUD]).require()
    export(home, 1, bundles[0])
    damage(home, 1)
    with pytest.raises(NothingToServe, match=r"fraud: .*model\.onnx"):
        LiveModels(home, [FRAUD]).start()


def test_the_same_model_exported_again_is_not_loaded_again(models: LiveModels, home: Settings) -> None:
    before = models.get("fraud")
    exported_models.touch_pointer(home)
    models.look(1.0)
    assert models.get("fraud") is before

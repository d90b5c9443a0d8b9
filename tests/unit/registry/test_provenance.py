"""The hash of the code that decides about a training: it changes with every module that does, and with no other."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.registry import provenance
from jobs.registry.import_closure import import_closure
from jobs.settings import ROOT

DECIDING = sorted(import_closure(ROOT, provenance.TRAININGS, provenance.CARRIERS).files)
REST = sorted(set(ROOT.glob("jobs/**/*.py")) - set(DECIDING))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "jobs", root / "jobs", ignore=shutil.ignore_patterns("__pycache__", "data"))
    return root


@pytest.fixture(scope="module")
def unchanged(copy: Path) -> str:
    return provenance.code_sha256(copy)


def hash_with_a_changed_line(copy: Path, files: Sequence[Path]) -> str:
    """The hash where each of these files has one more line."""
    before = {copy / file.relative_to(ROOT): file.read_text() for file in files}
    try:
        for changed, text in before.items():
            changed.write_text(f"{text}\nCHANGED = True\n")
        return provenance.code_sha256(copy)
    finally:
        for changed, text in before.items():
            changed.write_text(text)


@pytest.mark.parametrize("file", DECIDING, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_changed_line_in_a_module_that_decides_changes_the_hash(copy: Path, unchanged: str, file: Path) -> None:
    assert hash_with_a_changed_line(copy, [file]) != unchanged


def test_a_changed_line_elsewhere_does_not(copy: Path, unchanged: str) -> None:
    assert REST and hash_with_a_changed_line(copy, REST) == unchanged


def test_what_decides_is_among_them_and_what_does_not_is_not() -> None:
    named = {str(file.relative_to(ROOT)) for file in DECIDING}
    decides = {
        "arrays", "datasets/history", "datasets/training_rows", "ground_truth/label_delay", "ground_truth/reports",
        "models/boosted", "retraining/comparison", "stats/metrics", "stats/weighted_metrics", "stats/paired_bootstrap",
        "training/recipes", "training/search", "training/search_space", "training/trials", "training/tune", "problem",
        "times",
    }  # fmt: skip
    does_not = {
        "alerts/outbox",
        "display",
        "error_messages",
        "ledger/promotions",
        "scoring/publish",
        "actions/review_sampling",
        "training/model_card",
    }
    assert {f"jobs/{name}.py" for name in decides} <= named
    assert not {f"jobs/{name}.py" for name in does_not} & named


def test_a_module_that_is_imported_newly_counts_from_then_on(copy: Path) -> None:
    (copy / "jobs" / "stats" / "novel.py").write_text("VALUE = 1\n")
    train = copy / "jobs" / "training" / "train.py"
    before = train.read_text()
    train.write_text(f"def late() -> None:\n    from jobs.stats import novel\n\n\n{before}")
    first = provenance.code_sha256(copy)
    (copy / "jobs" / "stats" / "novel.py").write_text("VALUE = 2\n")
    assert provenance.code_sha256(copy) != first
    train.write_text(before)
    (copy / "jobs" / "stats" / "novel.py").unlink()


def test_a_training_whose_module_is_gone_is_an_error_and_not_an_empty_hash(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        provenance.code_sha256(tmp_path)

"""The candidate of a training set: trained, tracked, registered and pinned, once for the same training."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs import unfinished
from jobs.datasets import time_split
from jobs.datasets.training_rows import feature_names, read
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import pins, training_costs
from jobs.registry import model_versions, provenance, tracking
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.training import model_card, pictures, tune
from jobs.training import train as training
from jobs.training.train import Trained, TrainingInput
from jobs.training.tune import Tuning
from jobs.use_case import UseCase, problem_of

WRITTEN = re.compile(r"[0-9a-f]{16}(-baselines)?")
"""Names of the folders that trainings write, apart from those of `jobs.training.family_models`."""


@dataclass(frozen=True)
class Candidate:
    """What came of it: a new version, one that was there already, or a refusal."""

    version: int | None
    reason: str
    run_id: str = ""
    link: str = ""
    trained: Trained | None = None
    """None if nothing was trained now."""
    card: str = ""


def make(
    lakehouse: Lakehouse,
    use_case: UseCase,
    progress: Callable[[str], None] | None = None,
) -> Candidate:
    """Train on the training set as it is with the parameters tuned last; register the best family as `candidate`.

    Raises:
        ValueError: there is no training set, or its values cannot be learned from.
        TrackingUnavailable: MLflow does not answer; nothing is registered then.
    """
    settings = lakehouse.settings
    data, tuned = input_of(lakehouse, use_case)
    examples = data.rows.examples
    if reason := time_split.refusal(data.parts, data.rows.times, examples.labels, examples.task):
        _refuse_one_class(use_case, data)
        return Candidate(None, reason)
    digest = data.made_of["digest"]
    # Asked before the training, which would take minutes only to fail if the server is down.
    if existing := model_versions.find(settings, use_case, digest):
        model_versions.set_aliases(settings, use_case, {"candidate": existing.version})
        return Candidate(existing.version, "the same training was registered before", existing.run_id)
    pin(settings, use_case, data.made_of)
    trained = training.train(settings, use_case, data, folder_of(settings, use_case, digest), progress)
    # The trials of a tuning are children of the first training that used it.
    trials = tune.trials_of(settings, use_case, tuned) if tuned.as_of == data.made_of["as_of"] else {}
    return registered(settings, use_case, trained, replace(tuned, trials=trials), digest)


def input_of(lakehouse: Lakehouse, use_case: UseCase) -> tuple[TrainingInput, Tuning]:
    """What a training now would learn from, and the tuning that it would use.

    Raises:
        ValueError: there is no training set, or its values cannot be learned from.
    """
    settings, problem = lakehouse.settings, problem_of(use_case)
    state = provenance.of_training_set(lakehouse, use_case)
    as_of = provenance.as_of(state)
    version = lakehouse.version(use_case.training_set)
    assert version is not None
    tuned = tune.last(settings, use_case, as_of) or Tuning(state["as_of"], "nothing was tuned")
    names = feature_names(lakehouse, use_case, version, state["features"])
    digest = provenance.digest(state, problem, tuned.parameters, names, provenance.code_sha256(), tune.device())
    rows = read(lakehouse, use_case, version, names)
    made_of = {**made_from(use_case, state, version, tuned), "digest": digest}
    return TrainingInput(rows, tune.parts_of(use_case, problem, as_of, rows), tuned.parameters, made_of), tuned


def _refuse_one_class(use_case: UseCase, data: TrainingInput) -> None:
    """Raises Invalid if many events are old enough to have labels, and all labels are the same: no day mends that."""
    labels, task, parts = data.rows.examples.labels, data.rows.examples.task, data.parts
    mature = int((data.rows.times <= microseconds(parts.judged_end)).sum())
    if mature >= problem_of(use_case).limits.rows and not task.varied(labels):
        raise Invalid(
            f"{use_case.training_set}: expected {task.all_alike(labels)} among "
            f"{len(labels):,} events, of which {mature:,} are old enough for their label to be known; look at the "
            "quarantine and with `evergreen check` at the file that holds the labels"
        )


def pin(settings: Settings, use_case: UseCase, made_of: Mapping[str, Any]) -> None:
    """Keep the tables that a training learns from, as its manifest names them. Before anything is registered: a version
    never names data that maintenance may take away."""
    tables = {**made_of["versions"], made_of["table"]: made_of["table_version"]}
    pins.pin(settings, tables, by=f"{use_case.name} training {made_of['digest'][:16]}")


def folder_of(settings: Settings, use_case: UseCase, digest: str) -> Path:
    """Where a training writes its bundle."""
    return root_of(settings, use_case) / digest[:16]


def root_of(settings: Settings, use_case: UseCase) -> Path:
    """Where all trainings of a use case write."""
    return settings.home / "training" / use_case.name


def remove_written(settings: Settings, use_case: UseCase, before: datetime) -> int:
    """Remove what trainings wrote before a moment; returns how many. The registry holds whatever was registered of it,
    and a contender that was not chosen is trained again where it is judged again."""
    root = root_of(settings, use_case)
    written = [each for each in (root.iterdir() if root.is_dir() else ()) if WRITTEN.fullmatch(each.name)]
    old = [each for each in written if each.stat().st_mtime < before.timestamp()]
    for folder in old:
        shutil.rmtree(folder)
    return len(old)


def made_from(use_case: UseCase, state: Mapping[str, Any], version: int, tuned: Tuning) -> dict[str, Any]:
    """What a manifest records about the data, the code and the search behind a model."""
    return {
        "as_of": state["as_of"],
        "table": use_case.training_set,
        "table_version": version,
        "versions": dict(state["versions"]),
        "training_set": dict(state),
        "tuning": {"as_of": tuned.as_of, "studies": dict(tuned.studies), "reason": tuned.reason},
        **provenance.of_code(),
    }


def registered(
    settings: Settings, use_case: UseCase, trained: Trained, tuned: Tuning, digest: str, reason: str = "trained"
) -> Candidate:
    """Track and register what was trained, and point the alias `candidate` at it."""
    card = model_card.write(use_case, trained, tuned)
    name = f"{trained.winner.name} {trained.bundle.manifest.as_of[:10]}"
    with tracking.client(settings) as tracker, unfinished.scratch() as scratch:
        with tracking.run(settings, tracker, use_case, digest, name) as run_id:
            tracking.log(tracker, run_id, _parameters(trained, tuned), _numbers(trained))
            for curve, points in pictures.curves(trained.task, trained.labels, trained.winner.scores).items():
                tracking.log_curve(tracker, run_id, curve, points)
            tracking.log_trials(settings, tracker, use_case, run_id, tuned.trials)
            tracking.log_files(tracker, run_id, _files(trained, tuned, card, use_case), scratch)
        where = tracking.experiment(settings, tracker, use_case)
    version = model_versions.register(settings, use_case, trained.bundle, run_id)
    training_costs.record(settings, use_case, trained.bundle.sha256, trained.fitting.numbers)
    model_versions.set_aliases(settings, use_case, {"candidate": version})
    return Candidate(version, reason, run_id, tracking.link(settings, where, run_id), trained, card)


def _parameters(trained: Trained, tuned: Tuning) -> dict[str, Any]:
    training = trained.bundle.manifest.training
    data = {f"version/{table}": version for table, version in training["versions"].items()}
    data[f"version/{training['table']}"] = training["table_version"]
    names = ("as_of", "seed", "steps", "negative_rate", "device", "code_revision", "code_sha256", "lock_sha256")
    return {
        "family": trained.winner.name,
        **{name: training[name] for name in names},
        **{f"model/{name}": value for name, value in trained.winner.parameters.items()},
        **{f"environment/{name}": value for name, value in training["environment"].items()},
        **data,
        "bundle_sha256": trained.bundle.sha256,
        "tuning": tuned.reason,
    }


def _numbers(trained: Trained) -> dict[str, float | None]:
    numbers: dict[str, float | None] = dict(trained.winner.metrics)
    for contestant in trained.contestants:
        numbers |= {f"{contestant.name}/{name}": value for name, value in contestant.metrics.items()}
    for name, values in trained.slices.items():
        numbers |= {f"slice/{name}/{metric}": value for metric, value in values.items()}
    numbers |= {f"rows/{name}": float(count) for name, count in trained.rows.items()}
    numbers |= {f"cost/{name}": value for name, value in trained.cost.numbers.items()}
    return numbers | {f"cost/{name}": value for name, value in trained.predictions.items()}


def _files(trained: Trained, tuned: Tuning, card: str, use_case: UseCase) -> dict[str, str | bytes]:
    import json

    files: dict[str, str | bytes] = {
        "model_card.md": card,
        "signature.json": json.dumps(_signature(trained), indent=1),
    }
    shown = pictures.of_validation(trained.task, trained.labels, _curves_of(trained), trained.winner.scores)
    files |= {f"{name}.png": picture for name, picture in shown.items()}
    problem = use_case.problem
    assert problem is not None
    for family, trials in tuned.trials.items():
        files[f"tuning_{family}.png"] = pictures.history(trials, problem.family(family).search)
    return files


def _curves_of(trained: Trained) -> dict[str, Any]:
    return {c.name: c.scores for c in trained.contestants if len(c.scores) and c.name != "prevalence"}


def _signature(trained: Trained) -> dict[str, Any]:
    """The model's input and output, in the terms of the graph."""
    manifest, classes = trained.bundle.manifest, len(trained.task.classes)
    meaning = "prediction" if trained.task.name == "regression" else "probability"
    return {
        **manifest.inputs,
        "features": [{"name": name, "type": kind} for name, kind in manifest.features],
        "output": {
            "name": "score",
            "type": "float32",
            "shape": [-1, *([classes] if classes else [])],
            "meaning": meaning,
        },
        "threshold": manifest.threshold,
        "opset": manifest.opset,
    }

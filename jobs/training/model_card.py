"""The model card: what a model is, what it learned from, how good it is and for whom, as Markdown.

The headings follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.display import markdown
from jobs.problem import Review
from jobs.registry.bundle import Manifest
from jobs.training.train import Trained
from jobs.training.tune import Tuning
from jobs.use_case import UseCase, problem_of

_SHOWN = ("average_precision", "auc_roc", "calibration_error", "money_saved")


LIMITS = (
    "- Parameters, steps and family were chosen on the rows above, so these metrics are a little too good; the "
    "gate judges on later ones.",
    "- A positive that is never reported counts as negative, in training and in these metrics.",
    "- A feature that was never missing in training has no learned way to be missing.",
)
"""What holds for every model of this house."""


def write(use_case: UseCase, trained: Trained, tuned: Tuning) -> str:
    """The card of a trained bundle."""
    manifest, review = trained.bundle.manifest, problem_of(use_case).review
    metrics = [*_SHOWN, f"card_precision_at_{review.cards}"] if review else list(trained.winner.metrics)
    sections = {
        "Use": [_use(use_case, review, manifest)],
        "Data": _data(trained),
        "Metrics on validation rows": [*_by_contestant(trained, metrics), "", *_by_slice(trained, metrics)],
        "Limits": LIMITS,
        "How it was made": _table(("what", "value"), _made(manifest.training, tuned, trained)),
    }
    lines = [f"# {use_case.name}: {manifest.family} as of {manifest.as_of[:10]}", "", use_case.description, ""]
    for heading, content in sections.items():
        lines += [f"## {heading}", "", *content, ""]
    return "\n".join(lines)


_MEANINGS = {
    "binary": "A score is the probability of `{}`.",
    "multiclass": "Scores are the probabilities of each class of `{}`.",
    "regression": "A score is a prediction of `{}`.",
}


def _use(use_case: UseCase, review: Review | None, manifest: Manifest) -> str:
    scope = "Not meant for decisions about other entities than those it was trained on"
    if review is None:
        return f"{_MEANINGS[manifest.learned.name].format(use_case.label)} {scope}."
    return (
        f"A score is the probability of `{use_case.label}`; from {manifest.threshold} on it is an alert. "
        f"{review.capacity} alerts a day are reviewed, at {review.cost} each. {scope}, nor without review."
    )


def _data(trained: Trained) -> list[str]:
    manifest = trained.bundle.manifest
    training, windows = manifest.training, manifest.training["windows"]
    return [
        *_table(("window", "rows"), [(name, f"{count:,}") for name, count in trained.rows.items()]),
        "",
        f"Validated from {windows['validation_start'][:10]} to {windows['judged_start'][:10]}; labels count as "
        f"known after {windows['maturity_days']:g} days. {len(manifest.features)} features.",
        "",
        *_table(("table", "Delta version"), _versions(training)),
    ]


def _by_contestant(trained: Trained, metrics: Sequence[str]) -> list[str]:
    rows = [
        (c.name, *(_number(c.metrics.get(name)) for name in metrics), str(c.steps or "")) for c in trained.contestants
    ]
    failures = [f"\n{c.name} could not be trained: {markdown(c.error)}" for c in trained.contestants if c.error]
    return [*_table(("contestant", *metrics, "steps"), rows), *failures]


def _by_slice(trained: Trained, metrics: Sequence[str]) -> list[str]:
    rows = [
        (name, f"{values['rows']:,.0f}", *(_number(values.get(metric)) for metric in metrics))
        for name, values in trained.slices.items()
    ]
    return ["By guard slice, the model alone:", "", *_table(("slice", "rows", *metrics), rows)]


def _versions(training: Mapping[str, object]) -> list[tuple[str, str]]:
    versions = training["versions"]
    assert isinstance(versions, Mapping)
    return [*((str(t), str(v)) for t, v in versions.items()), (str(training["table"]), str(training["table_version"]))]


def _made(training: Mapping[str, object], tuned: Tuning, trained: Trained) -> list[tuple[str, str]]:
    names = ("parameters", "steps", "negative_rate", "seed", "device", "code_revision", "lock_sha256", "environment")
    cost = trained.cost
    return [
        *((name, str(training[name])) for name in names),
        ("tuning", tuned.reason),
        ("CPU seconds", f"{cost.cpu_seconds:.1f}"),
        ("GPU seconds", f"{cost.gpu_seconds:.1f}"),
        ("peak memory", f"{cost.peak_bytes / 1e6:.0f} MB"),
        ("CPU seconds per 1,000 predictions", f"{trained.predictions['cpu_seconds_per_1000']:.2g}"),
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, *rows]
    shown = ["| " + " | ".join(map(markdown, line)) + " |" for line in lines]
    return [shown[0], "|" + " --- |" * len(header), *shown[1:]]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"

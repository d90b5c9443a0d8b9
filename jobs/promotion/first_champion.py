"""Who goes into production first: the best contender that beats the prevalence beyond noise.

Replacing a champion is another question, which the gate answers (`jobs.evaluation.evaluate`). Here the candidate,
every baseline and a provisional champion compete as equals; what is served is one of them. If the evidence is too thin
to judge anybody, the best is champion provisionally, and the question is asked again every night. The rule is explained
in docs/models/promotion.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobs.datasets import time_split
from jobs.evaluation import contenders, gate, leak_check
from jobs.evaluation.contenders import Incomparable
from jobs.evaluation.evaluate import ContenderVersion, described, judged_rows, metrics_of, usable
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.evaluation.gate import TakeLook, first_look
from jobs.evaluation.paired_comparison import ComparedRows, Contender
from jobs.evaluation.verdict import GateCheck, GateVerdict
from jobs.lakehouse.tables import Lakehouse
from jobs.limits import Limits
from jobs.registry.bundle import Bundle
from jobs.stats.alpha_spending import Look
from jobs.tasks.task import Task
from jobs.training import baseline_models, candidate
from jobs.use_case import UseCase, problem_of

ENOUGH = "enough_rows"
_UNREGISTERED = 0
"""The version of a baseline, which is registered only if it is chosen; registries count from 1."""


@dataclass(frozen=True)
class FirstChoice:
    """The best contender and the verdict about it."""

    verdict: GateVerdict
    version: int | None
    """Its version; None: it is a baseline that is not registered yet."""
    bundle: Bundle | None
    """None: nobody could take part."""
    provisional: bool
    """Whether it may go into production although the evidence is too thin to judge it."""


@dataclass(frozen=True, eq=False)
class _Competitor:
    contender: Contender
    bundle: Bundle
    version: int | None


def choose(
    lakehouse: Lakehouse,
    use_case: UseCase,
    rivals: tuple[ContenderVersion, ContenderVersion | None],
    as_of: datetime,
    take_look: TakeLook = first_look,
) -> FirstChoice:
    """The best of the candidate, the baselines and a provisional champion, on the latest mature rows.

    Args:
        rivals: the candidate, and the provisional champion; None: nobody is in production.
        take_look: as `jobs.evaluation.gate.judge` takes it; all contenders are compared in one look.

    Raises:
        ValueError: as `jobs.evaluation.evaluate.evaluate`.
    """
    entrant, champion = rivals
    made, left_out = _baselines(lakehouse, use_case, entrant)
    named = {each.name: each for each in (champion, entrant) if each is not None}
    named |= {name: ContenderVersion(_UNREGISTERED, bundle) for name, bundle in made.items()}
    rows = judged_rows(lakehouse, use_case, list(named.values()), as_of)
    about = described(rows, champion)
    about["left_out"] += left_out
    competitors = []
    for name, each in named.items():
        try:
            bundle = usable(use_case, each)
            version = None if each.version == _UNREGISTERED else each.version
            competitors.append(_Competitor(contenders.measured(name, bundle, rows), bundle, version))
        except Incomparable as error:
            about["left_out"].append(f"{name} cannot be used: {error}")
    if not competitors:
        nobody = GateCheck("usable", "failed", "; ".join(about["left_out"]))
        return FirstChoice(GateVerdict((nobody,), {"candidate": entrant.name, **about}), None, None, False)
    return _best(use_case, competitors, rows, about, take_look)


def _baselines(
    lakehouse: Lakehouse, use_case: UseCase, entrant: ContenderVersion
) -> tuple[dict[str, Bundle], list[str]]:
    """Baselines trained on the training set as it is, and why there are none."""
    data, _ = candidate.input_of(lakehouse, use_case)
    if reason := time_split.refusal(data.parts, data.rows.times, data.rows.examples.labels, data.rows.examples.task):
        return {}, [f"no baseline was trained: {reason}"]
    own = (entrant.bundle.manifest.family, entrant.bundle.manifest.names) if entrant.bundle else ("", ())
    folder = candidate.folder_of(lakehouse.settings, use_case, data.made_of["digest"])
    made = baseline_models.make(lakehouse.settings, use_case, data, own, folder.with_name(f"{folder.name}-baselines"))
    return dict(made.bundles), list(made.left_out)


def _best(
    use_case: UseCase,
    competitors: Sequence[_Competitor],
    rows: EvaluationRows,
    about: dict[str, Any],
    take_look: TakeLook,
) -> FirstChoice:
    """The first, in the order of average precision, that nothing speaks against; else the very first, refused."""
    problem = problem_of(use_case)
    mixed = rows.task.varied(rows.labels)
    if mixed:
        about["metrics"] = {c.contender.name: dict(metrics_of(problem, c.contender, rows)) for c in competitors}
        compared = rows.for_gate(problem)
        competitors = sorted(competitors, key=lambda c: -compared.gain(c.contender))
    # What is served is the model that was judged: another seed's would not be.
    limits, judged = replace(problem.limits, training_noise=0.0), []

    def take_part(limits: Limits) -> Look:
        """The best of several passes by chance as rarely as one alone would (Bonferroni)."""
        return take_look(limits).shared(len(competitors))

    for each in competitors:
        verdict = _judged(use_case, each, rows, limits, take_part) if mixed else _without_labels(each, rows, limits)
        verdict = replace(verdict, about={**about, **verdict.about, "champion": about["champion"]})
        judged.append(FirstChoice(verdict, each.version, each.bundle, verdict.about["provisional"]))
    return next((choice for choice in judged if choice.verdict.promoted), judged[0])


def _judged(
    use_case: UseCase, competitor: _Competitor, rows: EvaluationRows, limits: Limits, take_look: TakeLook
) -> GateVerdict:
    problem = problem_of(use_case)
    compared = rows.for_gate(problem)
    constants = rows.task.constant_scores(rows.labels, len(rows), rows.weights(problem))
    best = max((Contender(name, scores) for name, scores in constants.items()), key=compared.gain)
    verdict = gate.judge(competitor.contender, None, [best], compared, limits, take_look)
    names = competitor.bundle.manifest.names
    leak = leak_check.check(problem, rows, names, competitor.contender.scores, use_case.entities)
    checks = [*(_renamed(check, best.name) for check in verdict.checks), _leak(competitor, leak)]
    thin = checks[0].outcome == "failed"
    if thin:
        checks[:1] = [_thin(checks[0]), _ahead(rows.task, compared, competitor.contender, best)]
    return GateVerdict(tuple(checks), {**verdict.about, "provisional": thin})


def _ahead(task: Task, compared: ComparedRows, contender: Contender, constant: Contender) -> GateCheck:
    """Whether a contender is ahead of a constant at all, where the evidence is too thin to say more."""
    reached, theirs = (task.value(compared.labels, each.scores, compared.values) for each in (contender, constant))
    ahead = task.gain(reached) > task.gain(theirs)
    above, below = ("above", "not above") if task.greater_is_better else ("below", "not below")
    words = f"{task.words} {reached:.4f} is {above if ahead else below} the {theirs:.4f} of {constant.name}"
    return GateCheck(_better_than(constant.name), "not judged" if ahead else "failed", words)


def _without_labels(competitor: _Competitor, rows: EvaluationRows, limits: Limits) -> GateVerdict:
    """Nothing can be compared: what was chosen on validation rows goes first, within the limits."""
    message = f"{len(rows)} mature rows, {rows.evidence()} {rows.task.of_them}: nothing can be compared"
    enough = _thin(GateCheck(ENOUGH, "failed", message))
    about = {"candidate": competitor.contender.name, "provisional": True}
    leak = _leak(competitor, GateCheck("leak", "not judged", "no labels to look for leaks in"))
    return GateVerdict((enough, *gate.within(competitor.contender, limits), leak), about)


def _leak(competitor: _Competitor, found: GateCheck) -> GateCheck:
    """What the judged rows show; if they are too few to show a leak, what training saw on its validation rows."""
    suspicion = competitor.bundle.manifest.training.get("suspicion")
    if found.outcome != "not judged" or not suspicion:
        return found
    return replace(found, outcome="failed", message=f"on validation rows: {suspicion}")


def _thin(enough: GateCheck) -> GateCheck:
    return replace(enough, outcome="not judged", message=f"thin evidence: {enough.message}")


def _renamed(check: GateCheck, constant: str) -> GateCheck:
    return replace(check, name=_better_than(constant)) if check.name == "better_than_baselines" else check


def _better_than(constant: str) -> str:
    return f"better_than_{constant.replace(' ', '_')}"

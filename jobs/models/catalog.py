"""The families of models, by name: one entry each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.errors import Invalid
from jobs.models import text_model
from jobs.models.boosted import Boosted
from jobs.models.cases import CaseModel
from jobs.models.folders import read_header
from jobs.models.linear import Linear
from jobs.models.logistic import Logistic
from jobs.models.protocol import Model
from jobs.models.rule import RuleModel
from jobs.models.tabular_mlp import TabularMLP
from jobs.models.texts import is_text
from jobs.models.value import ValueModel
from jobs.problem import Family, Range

families: Mapping[str, Callable[[Mapping[str, Any]], Model]] = {
    Logistic.family: Logistic,
    Boosted.family: Boosted,
    TabularMLP.family: TabularMLP,
    RuleModel.family: RuleModel,
    Linear.family: Linear,
    ValueModel.family: ValueModel,
    CaseModel.family: CaseModel,
}

STEPS: Mapping[str, str] = {Boosted.family: "rounds", TabularMLP.family: "epochs"}
"""Parameter that fixes a family's number of steps, where there are no validation rows to stop it."""

MEANS: Mapping[str, Callable[[Sequence[Any]], Model]] = {Boosted.family: Boosted.mean}
"""Families of which several models can be made one that predicts their mean."""


def new_model(family: str, parameters: Mapping[str, Any] | None = None, names: Sequence[str] = ()) -> Model:
    """A model of `family` that is not fitted yet. Raises ValueError on an unknown family or parameter.

    Args:
        names: of the features, which say whether there are texts among them.
    """
    if family not in families:
        raise Invalid(f"models: expected a family among {sorted(families)}, found {family!r}")
    model = families[family](parameters or {})
    return text_model.of_family(family, model) if any(map(is_text, names)) else model


def check_declared(families: Iterable[Family]) -> None:
    """Raises Invalid if a family is declared with a parameter that it does not know: its first training, minutes later,
    would say so."""
    for family in families:
        firsts = {name: each.low if isinstance(each, Range) else each[0] for name, each in family.search.items()}
        new_model(family.name, {**firsts, **family.fixed})


def load_model(folder: Path) -> Model:
    """The model that was saved into `folder`. Raises ValueError if there is none, or a damaged one."""
    header = read_header(folder)
    model = new_model(header["family"], names=header["names"])
    model.load(folder)
    return model

"""What each feature of a use case's feature service is, in words, kept in the home whenever declarations are applied.

Window features are described in `jobs.data_dictionary`; on-demand features, in the feature repo. Feast itself takes
seconds to import: who only wants to show words reads them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json
from jobs.use_case import UseCase, age_name

if TYPE_CHECKING:
    from feast import FeatureService, Field, OnDemandFeatureView


def read(settings: Settings, use_case: UseCase, features: Sequence[str]) -> dict[str, str]:
    """Feature -> sentence; of a home without kept words, or an older one, where the feature is declared."""
    known = read_memory(_path(settings, use_case), dict) or {}
    other = f"Feature of the feature service {use_case.feature_service}, declared in {settings.feature_repo.name}."
    return {name: str(known.get(name) or other) for name in features}


def write(settings: Settings, use_case: UseCase, sentences: Mapping[str, str]) -> None:
    """Keep the sentences of the declarations that are applied now."""
    replace_json(_path(settings, use_case), dict(sentences))


def sentences(service: FeatureService, on_demand: Mapping[str, OnDemandFeatureView]) -> dict[str, str]:
    """Feature -> sentence, of all features of a service.

    Args:
        on_demand: the on-demand views of the repo by name: Feast 0.67 refuses descriptions on their fields, so that
            tags of the view that bear a feature's name describe it.
    """
    found: dict[str, str] = {}
    for projection in service.feature_view_projections:
        view = on_demand.get(projection.name)
        for feature in projection.features:
            text = feature.description or (_of_view(view, feature.name) if view else "")
            found |= dict.fromkeys(
                [feature.name, age_name(feature.name)] if _is_moment(feature) else [feature.name], text
            )
    return {name: text or f"Feature {name} of the service {service.name}." for name, text in found.items()}


def _is_moment(feature: Field) -> bool:
    """Whether its age is a feature of rows, where a moment is none."""
    from feast.types import UnixTimestamp

    return bool(feature.dtype == UnixTimestamp)


def _of_view(view: Any, feature: str) -> str:
    inputs = [f.name for projection in view.source_feature_view_projections.values() for f in projection.features]
    inputs += [f.name for source in view.source_request_sources.values() for f in source.schema]
    derived = f"Computed on demand by {view.name} from {', '.join(dict.fromkeys(inputs))}: {view.description}".rstrip(
        ": "
    )
    return str(view.tags.get(feature) or derived)


def _path(settings: Settings, use_case: UseCase) -> Path:
    return settings.state / use_case.name / "feature_meanings.json"

"""The feature views that follow from a use case's windows, as a file of Feast."""

from __future__ import annotations

from datetime import timedelta

from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

TTL = timedelta(days=30)
"""Of a view of short windows: older values would describe an entity that has not been seen since."""


def standard_views(use_case: UseCase, place: str) -> str:
    """The text of the file; place: `module:VALUE` of the use case."""
    module, _, value = place.partition(":")
    entities = sorted({key for windows in use_case.windows for key in windows.keys})
    lines = [f"{key} = entity({value}, {key!r}, 'The {key.removesuffix('_id')} of an event.')" for key in entities]
    lines += [_view(windows, number, value) for number, windows in enumerate(use_case.windows)]
    names = ", ".join(windows.name for windows in use_case.windows)
    return f'''"""Made of the windows of {use_case.name}; features/{use_case.name}_features.py takes its place."""

from datetime import timedelta

from feast import FeatureService
from jobs.feature_store.views import entity, feature_view, tags
from {module} import {value}

{chr(10).join(lines)}
{use_case.feature_service} = FeatureService(
    name="{use_case.feature_service}", features=[{names}], tags=tags({value}), owner={value}.owners[0],
    description={value}.description,
)
'''


def _view(windows: WindowFeatures, number: int, value: str) -> str:
    days = max([TTL, *(f.window for f in windows.features if isinstance(f.window, timedelta))]) / timedelta(days=1)
    keys = ", ".join(windows.keys)
    return f"{windows.name} = feature_view({value}, {value}.windows[{number}], [{keys}], timedelta(days={days:g}))"

"""The feature views that follow from a use case's windows and profiles, as a file of Feast."""

from __future__ import annotations

from datetime import timedelta

from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

TTL = timedelta(days=30)
"""Of a view of short windows: older values would describe an entity that has not been seen since."""


def standard_views(use_case: UseCase, place: str) -> str:
    """The text of the file; place: `module:VALUE` of the use case."""
    module, _, value = place.partition(":")
    of_profiles = [use_case.source(profile.source).key for profile in use_case.profiles]
    entities = sorted({key for keys in (*(w.keys for w in use_case.windows), *of_profiles) for key in keys})
    lines = [f"{key} = entity({value}, {key!r}, 'The {key.removesuffix('_id')} of an event.')" for key in entities]
    lines += [_view(windows, number, value) for number, windows in enumerate(use_case.windows)]
    lines += [
        f"{p.name} = profile_view({value}, {value}.profiles[{n}], {of_profiles[n][0]})"
        for n, p in enumerate(use_case.profiles)
    ]
    views = [*(windows.name for windows in use_case.windows), *(profile.name for profile in use_case.profiles)]
    made = "entity, feature_view, profile_view, tags" if use_case.profiles else "entity, feature_view, tags"
    return f'''"""Made of the declarations of {use_case.name}; features/{use_case.name}_features.py takes its place."""

from datetime import timedelta

from feast import FeatureService
from jobs.feature_store.views import {made}
from {module} import {value}

{chr(10).join(lines)}
{use_case.feature_service} = FeatureService(
    name="{use_case.feature_service}", features=[{", ".join(views)}], tags=tags({value}), owner={value}.owners[0],
    description={value}.description,
)
'''


def _view(windows: WindowFeatures, number: int, value: str) -> str:
    days = max([TTL, *(f.window for f in windows.features if isinstance(f.window, timedelta))]) / timedelta(days=1)
    keys = ", ".join(windows.keys)
    return f"{windows.name} = feature_view({value}, {value}.windows[{number}], [{keys}], timedelta(days={days:g}))"

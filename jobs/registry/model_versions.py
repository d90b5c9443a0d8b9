"""Versions of a use case's model and their stages, in MLflow's registry; bundles come out of it verified.

Who is champion is decided in the ledger; the aliases here follow it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import unfinished
from jobs.error_messages import in_words
from jobs.errors import Invalid
from jobs.registry import tracking
from jobs.registry.bundle import Bundle, BundleError, open_bundle
from jobs.settings import Settings
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from mlflow import MlflowClient

BUNDLE = "bundle"
"""Folder of the bundle among a run's artifacts."""


@dataclass(frozen=True)
class Registered:
    """A version of the registry."""

    version: int
    sha256: str
    digest: str
    run_id: str


def register(settings: Settings, use_case: UseCase, bundle: Bundle, run_id: str) -> int:
    """Upload the bundle to the run and make it a version; the version that holds the same training already is returned.

    Raises:
        TrackingUnavailable: MLflow does not answer; there is no new version then.
    """
    digest = str(bundle.manifest.training.get("digest", bundle.sha256))
    with tracking.client(settings) as registry:
        if existing := _find(registry, use_case, digest):
            return existing.version
        registry.log_artifacts(run_id, str(bundle.folder), BUNDLE)
        _ensure_model(registry, use_case)
        version = _create(registry, use_case, bundle, run_id, digest)
        return int(version.version)


def register_baseline(settings: Settings, use_case: UseCase, bundle: Bundle) -> int:
    """Track a baseline's bundle as a run of its own and make it a version, once.

    Raises:
        TrackingUnavailable: MLflow does not answer; there is no new version then.
    """
    training = bundle.manifest.training
    if existing := find(settings, use_case, training["digest"]):
        return existing.version
    name = f"{training['baseline']} {bundle.manifest.as_of[:10]}"
    with (
        tracking.client(settings) as tracker,
        tracking.run(settings, tracker, use_case, training["digest"], name) as run_id,
    ):
        said = {"family": bundle.manifest.family, "baseline": training["baseline"], "as_of": bundle.manifest.as_of}
        tracking.log(tracker, run_id, said, training["validation"])
    return register(settings, use_case, bundle, run_id)


def _create(registry: MlflowClient, use_case: UseCase, bundle: Bundle, run_id: str, digest: str) -> Any:
    # One call makes the version with its tags: there is no moment at which half of it is there.
    return registry.create_model_version(
        use_case.name,
        source=f"runs:/{run_id}/{BUNDLE}",
        run_id=run_id,
        tags={"digest": digest, "sha256": bundle.sha256, "family": bundle.manifest.family},
        description=f"{bundle.manifest.family}, trained as of {bundle.manifest.as_of}",
        await_creation_for=0,
    )


def find(settings: Settings, use_case: UseCase, digest: str) -> Registered | None:
    """The version that a training of this digest made, if there is one."""
    with tracking.client(settings) as registry:
        return _find(registry, use_case, digest)


def get(settings: Settings, use_case: UseCase, version: int) -> Registered:
    """A version. Raises ValueError if there is no such version."""
    with tracking.client(settings) as registry:
        return _get(registry, use_case, version)


def bundle_folder(settings: Settings, use_case: UseCase, version: int) -> Path:
    """Where `fetch` keeps the bundle of a version, and looks for it before it asks MLflow."""
    return settings.home / "models" / use_case.name / str(version)


def fetch(settings: Settings, use_case: UseCase, version: int, sha256: str | None = None) -> Bundle:
    """The verified bundle of a version, below `home/models`; downloaded if it is not there, or not whole.

    Args:
        sha256: of the bundle that is meant; None: what was registered.

    Raises:
        BundleError: what the registry holds is not that bundle.
        ValueError: there is no such version.
        TrackingUnavailable: MLflow does not answer and the bundle is not here yet.
    """
    folder = bundle_folder(settings, use_case, version)
    if sha256 is not None and folder.exists():
        try:
            return open_bundle(folder, sha256)
        except BundleError:
            shutil.rmtree(folder)
    with tracking.client(settings) as registry:
        expected = sha256 or _get(registry, use_case, version).sha256
        if folder.exists():
            try:
                return open_bundle(folder, expected)
            except BundleError:
                shutil.rmtree(folder)
        return _download(settings, registry, use_case, version, folder, expected)


def set_aliases(settings: Settings, use_case: UseCase, aliases: Mapping[str, int | None]) -> None:
    """Let each alias point at its version, or at none; idempotent."""
    held = _own_aliases(settings, use_case)
    if held is not None and all(held.get(name) == version for name, version in aliases.items()):
        return
    with tracking.client(settings) as registry:
        now = aliases_of(registry, use_case)
        for name, version in aliases.items():
            if version is None and name in now:
                registry.delete_registered_model_alias(use_case.name, name)
            elif version is not None and now.get(name) != version:
                registry.set_registered_model_alias(use_case.name, name, str(version))


def aliases(settings: Settings, use_case: UseCase) -> dict[str, int]:
    """Alias -> version."""
    held = _own_aliases(settings, use_case)
    if held is not None:
        return held
    with tracking.client(settings) as registry:
        return aliases_of(registry, use_case)


def _own_aliases(settings: Settings, use_case: UseCase) -> dict[str, int] | None:
    """Aliases in the SQLite database that MLflow made in this home; None: only MLflow itself can say.

    A night asks three times, and nights without a training need nothing else of MLflow, whose import and start cost as
    much as all checks of such a night.
    """
    if settings.tracking is not None:
        return None
    file = settings.home / "tracking" / "mlflow.db"
    if not file.exists():
        return {}  # nothing was trained here: a night of it need not make a database to be told so
    query = "select alias, version from registered_model_aliases where name = ?"
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            return {name: int(version) for name, version in connection.execute(query, (use_case.name,))}
    except sqlite3.Error:
        return None  # half made, or damaged, which MLflow mends or says


def every(registry: MlflowClient, use_case: UseCase) -> dict[int, Registered]:
    """All registered versions by number."""
    found = [_registered(version) for version in registry.search_model_versions(f"name = '{use_case.name}'")]
    return {each.version: each for each in sorted(found, key=lambda each: each.version)}


def verify(settings: Settings, registry: MlflowClient, use_case: UseCase, registered: Registered) -> None:
    """Download the bundle of a version and verify it; nothing is kept. Raises BundleError."""
    with unfinished.scratch() as scratch:
        folder = scratch / str(registered.version)
        _download(settings, registry, use_case, registered.version, folder, registered.sha256)


def replace_bundle(registry: MlflowClient, registered: Registered, bundle: Bundle) -> None:
    """Make `bundle` what the registry holds of a version."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # The client itself would remember the place of a run of this id in another home.
    artifacts = get_artifact_repository(registry.get_run(registered.run_id).info.artifact_uri)
    artifacts.delete_artifacts(BUNDLE)
    artifacts.log_artifacts(str(bundle.folder), BUNDLE)


def register_again(
    settings: Settings, registry: MlflowClient, use_case: UseCase, bundles: Mapping[int, Bundle]
) -> list[int]:
    """Register bundles under their numbers where the registry lacks these; returns which it lacked.

    MLflow counts versions up: numbers of no bundle are taken and given back. Raises Invalid if the registry holds
    another bundle under one of the numbers, or went on counting past one that it lacks.
    """
    _ensure_model(registry, use_case)
    held = every(registry, use_case)
    wrong = [n for n, bundle in bundles.items() if (held[n].sha256 if n in held else bundle.sha256) != bundle.sha256]
    lacking = sorted(bundles.keys() - held.keys())
    if wrong or (lacking and held and max(held) > lacking[0]):
        raise Invalid(
            f"{use_case.name}: expected a registry to which versions {wrong or lacking} can be added, found versions "
            f"{sorted(held)} in it; restore MLflow's database from a backup, or move it away and repair again"
        )
    between = set(range(max(held, default=0) + 1, max(lacking, default=0))) - bundles.keys()
    for version in sorted({*lacking, *between}):
        _register_as(settings, registry, use_case, bundles.get(version))
    for version in between:
        registry.delete_model_version(use_case.name, str(version))
    return lacking


def _register_as(settings: Settings, registry: MlflowClient, use_case: UseCase, bundle: Bundle | None) -> None:
    """The next version: of a bundle, or of nothing."""
    if bundle is None:
        registry.create_model_version(use_case.name, source=str(settings.home), await_creation_for=0)
        return
    digest = str(bundle.manifest.training.get("digest", bundle.sha256))
    with tracking.run(settings, registry, use_case, digest, "registered again") as run_id:
        registry.log_artifacts(run_id, str(bundle.folder), BUNDLE)
        _create(registry, use_case, bundle, run_id, digest)


def latest_candidate(settings: Settings, use_case: UseCase) -> int | None:
    """The version of the alias `candidate`, if there is one."""
    return aliases(settings, use_case).get("candidate")


def _download(
    settings: Settings, registry: MlflowClient, use_case: UseCase, version: int, folder: Path, sha256: str
) -> Bundle:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with unfinished.folder_beside(folder) as scratch:
        source, store = _get_source(registry, use_case, version), settings.tracking_url.reveal()
        try:
            downloaded = download_artifacts(artifact_uri=source, dst_path=str(scratch), tracking_uri=store)
        except (OSError, MlflowException) as error:
            if isinstance(error, MlflowException) and error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise BundleError(
                f"{use_case.name} {version}: expected a bundle at {source}, found {in_words(error)}; "
                "restore the artifacts, or train again"
            ) from error
        open_bundle(Path(downloaded), sha256)
        try:
            os.rename(downloaded, folder)
        except OSError:
            if not folder.exists():  # otherwise another process was first
                raise
    return open_bundle(folder, sha256)


def _get(registry: MlflowClient, use_case: UseCase, version: int) -> Registered:
    from mlflow.exceptions import MlflowException

    try:
        return _registered(registry.get_model_version(use_case.name, str(version)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise Invalid(
            f"{use_case.name}: expected model version {version}, found none in the registry; see `mlflow ui`"
        ) from error


def _get_source(registry: MlflowClient, use_case: UseCase, version: int) -> str:
    return str(registry.get_model_version_download_uri(use_case.name, str(version)))


def _find(registry: MlflowClient, use_case: UseCase, digest: str) -> Registered | None:
    versions = registry.search_model_versions(f"name = '{use_case.name}' and tags.digest = '{digest}'")
    return _registered(min(versions, key=lambda version: int(version.version))) if versions else None


def _registered(version: Any) -> Registered:
    tags = version.tags
    return Registered(int(version.version), tags.get("sha256", ""), tags.get("digest", ""), str(version.run_id))


def aliases_of(registry: MlflowClient, use_case: UseCase) -> dict[str, int]:
    """Alias -> version, asked of a registry that is open."""
    models = registry.search_registered_models(f"name = '{use_case.name}'")
    return {name: int(version) for model in models for name, version in model.aliases.items()}


def _ensure_model(registry: MlflowClient, use_case: UseCase) -> None:
    if not registry.search_registered_models(f"name = '{use_case.name}'"):
        registry.create_registered_model(use_case.name, description=use_case.description)

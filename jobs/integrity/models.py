"""The models of a use case: ledger against registry, bundles and the exported model against their hashes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import EvergreenError
from jobs.integrity.databases import damage_of, ledger_file, tracking_file
from jobs.integrity.finding import EXPORTED_MODEL, Finding
from jobs.ledger import promotions
from jobs.ledger.champion_history import contradiction
from jobs.ledger.promotions import LedgerView
from jobs.promotion import export_onnx
from jobs.registry import model_versions, tracking
from jobs.registry.bundle import BundleError, open_bundle
from jobs.registry.model_versions import Registered, bundle_folder
from jobs.settings import Settings
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from mlflow import MlflowClient


def check_models(settings: Settings, use_case: UseCase) -> Iterator[Finding]:
    """All findings about the models of a use case; ledger and registry are asked only if they are whole databases."""
    ledger = _ledger(settings, use_case)
    yield from check_local_models(settings, use_case, ledger)
    file = tracking_file(settings)
    if file is None or (file.exists() and damage_of(file) is None):
        try:
            yield from _check_registry(settings, use_case, ledger)
        except tracking.TrackingUnavailable as error:
            yield Finding("tracking", str(error), "evergreen doctor")


def check_local_models(settings: Settings, use_case: UseCase, ledger: LedgerView | None = None) -> Iterator[Finding]:
    """Findings that need no MLflow: a missing ledger or registry, bundles and the exported model in the home."""
    ledger = ledger or _ledger(settings, use_case)
    yield from _check_presence(settings, use_case, None if ledger is None else bool(ledger.decisions))
    if ledger is not None:
        yield from _check_champions(use_case, ledger)
    yield from check_bundles(settings, use_case, ledger)
    yield from _check_export(settings, use_case, ledger)


def check_before_run(settings: Settings, use_case: UseCase) -> Iterator[Finding]:
    """Findings that a run does not mend by itself: it fetches bundles again, and judges models without a decision."""
    file = ledger_file(settings)
    if file is not None and file.exists() and (damage := damage_of(file)):
        mend = f"evergreen repair ledger --use-case {use_case.name}"
        yield Finding(f"ledger: {file}", f"expected a whole SQLite database, found {damage}", mend)
        return
    ledger = promotions.view(settings, use_case)
    if ledger.decisions or (export_onnx.root(settings, use_case) / export_onnx.POINTER).exists():
        yield from _check_presence(settings, use_case, bool(ledger.decisions))
    yield from _check_champions(use_case, ledger)
    yield from _check_export(settings, use_case, None)


def _check_champions(use_case: UseCase, ledger: LedgerView) -> Iterator[Finding]:
    """Champions against the promotions that they follow from."""
    if text := contradiction(ledger):
        yield Finding(f"ledger: {use_case.name}", text, f"evergreen repair ledger --use-case {use_case.name}")


def _check_presence(settings: Settings, use_case: UseCase, decided: bool | None) -> Iterator[Finding]:
    """Whether ledger and registry are there; `decided` None: the ledger cannot be read."""
    pointer = export_onnx.root(settings, use_case) / export_onnx.POINTER
    kept = kept_versions(settings, use_case)
    if decided is False and (kept or pointer.exists()):
        found = "expected decisions about the models in the home, found an empty ledger"
        mend = "repair ledger" if pointer.exists() else "run --full"
        yield Finding(f"ledger: {use_case.name}", found, f"evergreen {mend} --use-case {use_case.name}")
    file = tracking_file(settings)
    if file is not None and not file.exists() and (kept or decided):
        mend = f"evergreen repair registry --use-case {use_case.name}"
        yield Finding(f"registry: {file}", f"expected the registry of {use_case.name}, found none", mend)


def _ledger(settings: Settings, use_case: UseCase) -> LedgerView | None:
    """Champions and decisions; None if the database is damaged."""
    file = ledger_file(settings)
    if file is not None and file.exists() and damage_of(file):
        return None
    return promotions.view(settings, use_case)


def kept_versions(settings: Settings, use_case: UseCase) -> list[int]:
    """Versions of which the home holds a bundle outside the registry."""
    folder = bundle_folder(settings, use_case, 0).parent
    return sorted(int(p.name) for p in folder.glob("*") if p.name.isdigit()) if folder.is_dir() else []


def known_hashes(ledger: LedgerView | None) -> dict[int, str]:
    """Version -> sha256 of its bundle, of every version that the ledger has a decision about."""
    return {d.model_version: d.sha256 for d in ledger.decisions if d.sha256} if ledger else {}


def check_bundles(settings: Settings, use_case: UseCase, ledger: LedgerView | None = None) -> Iterator[Finding]:
    """Findings about the bundles in the home, of the versions that the ledger knows by their hashes there."""
    known = known_hashes(ledger)
    for version in kept_versions(settings, use_case):
        yield from _check_bundle(bundle_folder(settings, use_case, version), known.get(version), use_case)


def _check_bundle(folder: Path, sha256: str | None, use_case: UseCase) -> Iterator[Finding]:
    try:
        open_bundle(folder, sha256)
    except BundleError as error:
        mend = f"evergreen repair bundles --use-case {use_case.name}"
        yield Finding(f"bundle: {folder}", str(error).removeprefix(f"{folder}: ").partition(";")[0], mend)


def _check_export(settings: Settings, use_case: UseCase, ledger: LedgerView | None) -> Iterator[Finding]:
    mend, folder = f"evergreen repair export --use-case {use_case.name}", export_onnx.root(settings, use_case)
    try:
        exported = export_onnx.current(settings, use_case)
    except BundleError as error:
        yield Finding(f"{EXPORTED_MODEL}: {folder}", str(error).partition(";")[0], mend)
        return
    champion = ledger.champion if ledger else None
    if exported is None and champion is not None and folder.exists():
        yield Finding(f"{EXPORTED_MODEL}: {folder}", f"expected {export_onnx.POINTER}, found none", mend)
    elif exported is not None and champion is not None and exported.bundle.sha256 != champion.sha256:
        found = f"expected the champion, version {champion.version}, found version {exported.version}"
        yield Finding(f"{EXPORTED_MODEL}: {folder}", found, mend)


def _check_registry(settings: Settings, use_case: UseCase, ledger: LedgerView | None) -> Iterator[Finding]:
    """Every version of the ledger is registered as the same bundle, every registered bundle is whole."""
    mend = f"evergreen repair registry --use-case {use_case.name}"
    with tracking.client(settings) as registry:
        registered = model_versions.every(registry, use_case)
        for version, sha256 in sorted(known_hashes(ledger).items()):
            found = registered[version].sha256 if version in registered else "none"
            if found != sha256:
                text = f"expected the bundle {sha256[:16]} of the ledger, found {found[:16]}"
                yield Finding(f"registry: {use_case.name} {version}", text, mend)
        yield from _check_aliases(registry, use_case, ledger, mend)
        for each in registered.values():
            yield from _check_registered(settings, registry, use_case, each)


def _check_aliases(
    registry: MlflowClient, use_case: UseCase, ledger: LedgerView | None, mend: str
) -> Iterator[Finding]:
    alias = model_versions.aliases_of(registry, use_case).get("champion")
    champion = ledger.champion if ledger else None
    if champion is not None and alias != champion.version:
        found = f"expected the alias champion at version {champion.version}, found {alias or 'none'}"
        yield Finding(f"registry: {use_case.name}", found, mend)


def _check_registered(
    settings: Settings, registry: MlflowClient, use_case: UseCase, each: Registered
) -> Iterator[Finding]:
    try:
        model_versions.verify(settings, registry, use_case, each)
    except (EvergreenError, OSError) as error:
        mend = f"evergreen repair bundles --use-case {use_case.name}"
        yield Finding(f"registry: {use_case.name} {each.version}", str(error).partition(";")[0], mend)

"""How bundles, the registry and the ledger are mended from the copies of a bundle that a home holds.

A model's bundle lies in `models`, among the artifacts of its run, and, once it was exported, in `serving`. Its hash
says which copies are whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from jobs import unfinished
from jobs.errors import EvergreenError
from jobs.integrity.databases import aside, damage_of, ledger_file, tracking_file
from jobs.integrity.models import kept_versions, known_hashes
from jobs.ledger import champion_history, promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.promotion import export_onnx, promote
from jobs.registry import model_versions, tracking
from jobs.registry.bundle import Bundle, BundleError, open_bundle
from jobs.registry.model_versions import bundle_folder
from jobs.settings import Settings
from jobs.use_case import UseCase


class NotRestored(EvergreenError, RuntimeError):
    """There is no whole copy to restore from."""


def bundles(settings: Settings, use_case: UseCase) -> list[str]:
    """Replace every damaged copy of a bundle by a whole one; returns what was done, as sentences."""
    with tracking.client(settings) as registry:
        registered = model_versions.every(registry, use_case)
        known = {version: each.sha256 for version, each in registered.items()}
        known |= known_hashes(promotions.view(settings, use_case))
        done = []
        for version, sha256 in known.items():
            copy = whole_copy(settings, use_case, version, sha256)
            if copy is None:
                raise _no_copy(use_case, version, sha256)
            if _put(copy, bundle_folder(settings, use_case, version), sha256):
                done.append(f"version {version}: its bundle was copied from {copy.folder}")
            if version in registered and _is_damaged(settings, use_case, version):
                model_versions.replace_bundle(registry, registered[version], copy)
                done.append(f"version {version}: its artifacts were replaced by {copy.folder}")
    return done


def registry(settings: Settings, use_case: UseCase) -> list[str]:
    """Register again, under their numbers, the versions that ledger or home know; returns what was done."""
    done, file = [], tracking_file(settings)
    if file is not None and file.exists() and damage_of(file):
        done.append(f"what was damaged lies in {aside(file)}")
    ledger = promotions.view(settings, use_case)
    known = known_hashes(ledger)
    versions = {version: known.get(version) for version in {*known, *kept_versions(settings, use_case)}}
    copies = {version: whole_copy(settings, use_case, version, sha256) for version, sha256 in versions.items()}
    for version, copy in copies.items():
        if copy is None:
            raise _no_copy(use_case, version, known.get(version))
    with tracking.client(settings) as client:
        whole = {version: copy for version, copy in copies.items() if copy is not None}
        added = model_versions.register_again(settings, client, use_case, whole)
        done += [f"version {version} is registered again" for version in added]
    if versions:
        model_versions.set_aliases(settings, use_case, {"candidate": max(versions)})
    promote.reconcile(settings, use_case, model_versions)
    return done


def ledger(settings: Settings, use_case: UseCase, now: datetime) -> list[str]:
    """Write champions again that follow from decisions, or the exported model into an empty ledger as its champion;
    returns what was done.

    Former champions, decisions and evidence of a ledger that was lost do not come back: they were nowhere else.
    Raises NotRestored if nothing says which model was in production.
    """
    done, file = [], ledger_file(settings)
    if file is not None and file.exists() and damage_of(file):
        done.append(f"what was damaged lies in {aside(file)}")
    done += champion_history.restore(settings, use_case)
    if promotions.view(settings, use_case).decisions:
        return done
    exported = export_onnx.current(settings, use_case)
    if exported is None:
        raise NotRestored(
            f"{use_case.name}: expected an exported model that says which version was in production, found none; "
            "restore the ledger from a backup, or let `evergreen run --full` judge the newest model"
        )
    manifest = exported.bundle.manifest
    promotions.decide(
        settings,
        PromotionDecision(
            use_case=use_case.name,
            decided_at=now,
            as_of=datetime.fromisoformat(manifest.as_of),
            kind="promotion",
            outcome="promoted",
            reason="the ledger was lost: this model was the exported one, so it is the champion again",
            by=promote.AUTOMATIC,
            authenticated=False,
            model_version=exported.version,
            sha256=exported.bundle.sha256,
            champion_version=None,
            digest=f"repaired ledger of {use_case.name}"[:64],
        ),
    )
    return [*done, f"version {exported.version} is the champion again; earlier decisions are lost"]


def whole_copy(settings: Settings, use_case: UseCase, version: int, sha256: str | None) -> Bundle | None:
    """A copy of a bundle that is whole; of any bundle of that number if the hash is not known."""
    for folder in _copies(settings, use_case, version, sha256 is not None):
        try:
            return open_bundle(folder, sha256)
        except BundleError:
            continue
    return None


def _copies(settings: Settings, use_case: UseCase, version: int, all_runs: bool) -> Iterator[Path]:
    yield bundle_folder(settings, use_case, version)
    yield export_onnx.root(settings, use_case) / str(version) / export_onnx.BUNDLE
    artifacts = settings.home / "tracking" / "artifacts" / use_case.name
    yield from sorted(artifacts.glob(f"*/artifacts/{model_versions.BUNDLE}")) if all_runs else ()


def _put(copy: Bundle, folder: Path, sha256: str) -> bool:
    """Make `folder` a copy of a bundle unless it is; returns whether it was not."""
    try:
        open_bundle(folder, sha256)
        return False
    except BundleError:
        pass
    with unfinished.folder_beside(folder) as scratch:
        shutil.copytree(copy.folder, scratch / "bundle")
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(scratch / "bundle", folder)
    return True


def _is_damaged(settings: Settings, use_case: UseCase, version: int) -> bool:
    with tracking.client(settings) as registry:
        try:
            model_versions.verify(settings, registry, use_case, model_versions.every(registry, use_case)[version])
        except (BundleError, OSError):
            return True
    return False


def _no_copy(use_case: UseCase, version: int, sha256: str | None) -> NotRestored:
    return NotRestored(
        f"{use_case.name} {version}: expected a whole copy of the bundle {sha256 or 'of this number'} in models, "
        "serving or tracking/artifacts of the home, found none; restore one of these folders from a backup"
    )

"""The champion as the online service loads it: a verified copy of its bundle, proven on real rows, behind one pointer.

    home/serving/online/{use_case}/
        current.json          version and sha256 of the manifest to serve; replaced atomically
        {version}/
            manifest.json     what this is, with sha256 of every file
            bundle/           the champion's bundle, byte for byte
            quantised.onnx    an int8 variant, where there is one

See the ledger for who is champion; loading the exported model is what `current` is for.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import unfinished
from jobs.error_messages import in_words
from jobs.errors import Invalid
from jobs.models.features import FeatureRows
from jobs.models.graphs import feature_names
from jobs.models.parity import check_parity
from jobs.models.runtime import OUTPUT
from jobs.promotion.quantise import NotApplicable, quantise
from jobs.registry.bundle import GRAPH, Bundle, BundleError, check_files, hashes, open_bundle
from jobs.settings import Settings
from jobs.state_files import file_lock, replace_json
from jobs.tasks.task import Labels
from jobs.use_case import UseCase

if TYPE_CHECKING:
    import onnxruntime

FORMAT = 1
MANIFEST, POINTER, BUNDLE, INT8 = "manifest.json", "current.json", "bundle", "quantised.onnx"


@dataclass(frozen=True)
class OnlineModel:
    """An exported model whose every file has its hash; made by `export`, `current` and `open_export` alone."""

    folder: Path
    manifest: Mapping[str, Any]
    sha256: str
    """Of the manifest."""
    bundle: Bundle

    @property
    def version(self) -> int:
        return int(self.manifest["model_version"])

    def session(self, int8: bool = False) -> onnxruntime.InferenceSession:
        """An ONNX Runtime session of the graph, or of its int8 variant. Raises BundleError if there is none."""
        from jobs.models.runtime import session

        if not int8:
            return self.bundle.session()
        if INT8 not in self.manifest["files"]:
            raise BundleError(f"{self.folder}: expected {INT8}, found none; export with quantisation, where it applies")
        content = (self.folder / INT8).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.manifest["files"][INT8]:
            raise BundleError(f"{self.folder / INT8}: changed since it was verified; export it again")
        return session(content)


def root(settings: Settings, use_case: UseCase) -> Path:
    return settings.serving / "online" / use_case.name


def export(
    settings: Settings,
    use_case: UseCase,
    version: int,
    bundle: Bundle,
    rows: FeatureRows,
    labels: Labels,
    *,
    int8: bool = False,
) -> OnlineModel:
    """Export `bundle` as model `version` and make it the current one. What is exported already is only pointed to.

    Args:
        rows, labels: real rows, float32 [n, f], n > 0; the graph must say on them what the model says.
        int8: add an int8 variant, if that applies to the graph, with what it costs and gains in the manifest.

    Raises:
        BundleError: the bundle is not what was verified, or its graph has other features than its manifest.
        ParityError: graph and model disagree. What was current stays so.
    """
    with _alone(settings, use_case):
        exported = _exported(settings, use_case, version, bundle, (rows, labels), int8)
        _point_to(exported)
    return exported


def stage(
    settings: Settings, use_case: UseCase, version: int, bundle: Bundle, rows: FeatureRows, labels: Labels
) -> OnlineModel:
    """Export a model beside the current one, as a rollout wants it. Raises as `export` does."""
    with _alone(settings, use_case):
        return _exported(settings, use_case, version, bundle, (rows, labels), int8=False)


def restore(settings: Settings, use_case: UseCase, version: int, bundle_sha256: str) -> OnlineModel | None:
    """Make a model that was exported before the current one, as a rollback wants it: at once, with nothing to prove.

    None if it was never exported, or not as that bundle; what was current stays so.
    """
    with _alone(settings, use_case):
        exported = _existing(root(settings, use_case) / str(version), bundle_sha256, int8=False)
        if exported is not None:
            _point_to(exported)
    return exported


def current(settings: Settings, use_case: UseCase) -> OnlineModel | None:
    """The model to serve, verified; None if nothing was exported yet.

    Raises BundleError if it is incomplete, changed, or not the one that the pointer means.
    """
    pointer = root(settings, use_case) / POINTER
    if not pointer.exists():
        return None
    try:
        pointed_to = json.loads(pointer.read_text())
        version, sha256 = int(pointed_to["version"]), str(pointed_to["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{pointer}: expected version and sha256, found {in_words(error)}; export again") from error
    return open_export(pointer.parent / str(version), sha256)


def open_export(folder: Path, sha256: str | None = None) -> OnlineModel:
    """The exported model in `folder`, once its manifest is the one meant and every file has its hash.

    Raises BundleError otherwise; nothing was loaded then.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        manifest = json.loads(text)
        files, bundle_sha256 = dict(manifest["files"]), str(manifest["bundle_sha256"])
        if manifest["format"] != FORMAT:
            raise Invalid(f"format {manifest['format']}, expected {FORMAT}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{folder}: expected an exported model, found {in_words(error)}; export it again") from error
    actual = hashlib.sha256(text).hexdigest()
    if sha256 is not None and actual != sha256:
        raise BundleError(f"{folder}: expected the manifest {sha256}, found {actual}; export it again")
    check_files(folder, files)
    return OnlineModel(folder, manifest, actual, open_bundle(folder / BUNDLE, bundle_sha256))


def _alone(settings: Settings, use_case: UseCase) -> AbstractContextManager[None]:
    return file_lock(settings.home / "locks" / f"export.{use_case.name}.lock")


def _exported(
    settings: Settings, use_case: UseCase, version: int, bundle: Bundle, proof: tuple[FeatureRows, Labels], int8: bool
) -> OnlineModel:
    folder = root(settings, use_case) / str(version)
    return _existing(folder, bundle.sha256, int8) or _write(folder, version, bundle, *proof, int8)


def _point_to(exported: OnlineModel) -> None:
    target = {"version": exported.version, "sha256": exported.sha256}
    pointer = exported.folder.parent / POINTER
    if not pointer.exists() or pointer.read_bytes() != json.dumps(target, indent=1).encode():
        replace_json(pointer, target)


def _existing(folder: Path, bundle_sha256: str, int8: bool) -> OnlineModel | None:
    """What is exported already, if it is whole and the same model."""
    try:
        export = open_export(folder)
    except BundleError:
        return None
    asked_before = "int8" in export.manifest
    return export if export.bundle.sha256 == bundle_sha256 and (asked_before or not int8) else None


def _write(folder: Path, version: int, bundle: Bundle, rows: FeatureRows, labels: Labels, int8: bool) -> OnlineModel:
    with unfinished.folder_beside(folder) as temporary:
        shutil.copytree(bundle.folder, temporary / BUNDLE)
        # From here on only the copy is read, once it has proved to be the bundle that was meant.
        copy = open_bundle(temporary / BUNDLE, bundle.sha256)
        manifest = _described(version, copy) | {"parity": _parity(copy, rows)}
        if int8:
            manifest["int8"] = _add_int8(temporary, copy, rows, labels)
        manifest["files"] = hashes(temporary)
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True, default=str) + "\n")
        temporary.chmod(0o755)
        open_export(temporary)
        # What lies there is damaged or another model: it fails verification, so it is not served.
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(temporary, folder)
    return open_export(folder)


def _described(version: int, bundle: Bundle) -> dict[str, Any]:
    manifest, classes = bundle.manifest, len(bundle.manifest.learned.classes)
    return {
        "format": FORMAT,
        "use_case": manifest.use_case,
        "model_version": version,
        "bundle_sha256": bundle.sha256,
        "family": manifest.family,
        "features": [list(feature) for feature in manifest.features],
        **{name: {**given, "shape": ["batch", given["shape"][1]]} for name, given in manifest.inputs.items()},
        "output": {"name": OUTPUT, "type": "float32", "shape": ["batch", *([classes] if classes else [])]},
        "threshold": manifest.threshold,
        "opset": manifest.opset,
        "as_of": manifest.as_of,
        "training": dict(manifest.training),
    }


def _parity(bundle: Bundle, rows: FeatureRows) -> dict[str, float]:
    """Largest difference of graph and model by batch size."""
    import onnx

    graph = onnx.load_model_from_string(bundle.read(GRAPH))
    if feature_names(graph) != bundle.manifest.names:
        raise BundleError(
            f"{bundle.folder}: expected a graph of the features {list(bundle.manifest.names)}, found "
            f"{list(feature_names(graph))}; write the bundle again"
        )
    bounded = bundle.manifest.learned.name != "regression"
    return {
        str(size): value for size, value in check_parity(graph, bundle.model().predict, rows, bounded=bounded).items()
    }


def _add_int8(folder: Path, bundle: Bundle, rows: FeatureRows, labels: Labels) -> dict[str, Any]:
    if bundle.manifest.learned.name != "binary":
        return {
            "applies": False,
            "reason": f"an int8 variant is made of binary models, not of {bundle.manifest.learned.name}",
        }
    try:
        graph = quantise(bundle.read(GRAPH), rows, labels)
    except NotApplicable as reason:
        return {"applies": False, "reason": str(reason)}
    (folder / INT8).write_bytes(graph.graph)
    return {"applies": True, **graph.report}

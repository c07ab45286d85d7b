"""The registry: trained models on disk, written whole or not at all and checked when read.

    <root>/<model>/latest                    the version that scores
    <root>/<model>/<version>/model.ubj       the trees with their calibrator (model.json for a simple rule)
    <root>/<model>/<version>/metadata.json   features, parameters, metrics, split, fingerprints
    <root>/<model>/<version>/model_card.md   one page for people, with its pictures beside it

Nothing is pickled: loading a model runs no code from the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from ml.baselines import BaseRate, LogisticBaseline, RecencyRule
from ml.boosting import BoostedTrees
from ml.buy_till_you_die import BuyTillYouDie
from ml.card import model_card
from ml.drift import Reference
from ml.plots import render
from ml.predictor import Predictor
from ml.promotion import Decision
from ml.spec import ModelSpec
from ml.training import LIBRARIES, TrainingResult

_PREDICTORS: dict[str, type[Predictor]] = {
    predictor.name: predictor for predictor in (BoostedTrees, BuyTillYouDie, LogisticBaseline, RecencyRule, BaseRate)
}
_DRAFTS = ".saving-"
_VERSION = re.compile(r"[a-z_]+(-[0-9a-f]+)?")


class RegistryError(Exception):
    """A stored model is missing or is not what its metadata says."""


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model read back: all that scoring needs.

    Attributes:
        spec: The definition it was checked against.
        predictor: What gives the probabilities.
        version: What scores are signed with.
        metadata: Everything stored about its training.
    """

    spec: ModelSpec
    predictor: Predictor
    version: str
    metadata: Mapping[str, Any]

    @property
    def learnt_until(self) -> date | None:
        """The day before which all outcomes end that it learnt from; None of a base rate, which keeps no dates."""
        learnt_from = [
            cutoff for part, cutoffs in self.metadata.get("split", {}).items() if part != "test" for cutoff in cutoffs
        ]
        if not learnt_from:
            return None
        return date.fromisoformat(max(learnt_from)) + timedelta(days=self.metadata["parameters"]["horizon_days"])

    @property
    def reference(self) -> Reference | None:
        """What it was tested on, to compare later nights with."""
        stored = self.metadata.get("reference")
        return Reference.from_dict(stored) if stored else None


@dataclass(frozen=True)
class Registry:
    """Models under one directory.

    Attributes:
        root: The directory; created when the first model is saved.
    """

    root: Path

    def save(self, result: TrainingResult, decision: Decision | None = None) -> Path:
        """Stores a training and, unless it was refused, makes it the latest; returns its directory.

        The directory is filled under a temporary name and renamed, so a reader never meets half a model.
        Saving a version again replaces it.
        """
        home = self.root / result.spec.name
        home.mkdir(parents=True, exist_ok=True)
        final = home / result.version
        for left_by_a_killed_run in home.glob(f"{_DRAFTS}*"):
            shutil.rmtree(left_by_a_killed_run)
        with tempfile.TemporaryDirectory(prefix=_DRAFTS, dir=home) as scratch:
            draft = Path(scratch) / "new"
            draft.mkdir()
            _write(result, draft, decision)
            if final.exists():
                final.rename(Path(scratch) / "old")
            draft.rename(final)
            if decision is None or decision.promoted:
                pointer = Path(scratch) / "latest"
                pointer.write_text(result.version + "\n", encoding="utf-8")
                pointer.replace(home / "latest")
        return final

    def latest(self, model: str) -> str | None:
        """The version that scores, or None before the first save."""
        pointer = self.root / model / "latest"
        return pointer.read_text(encoding="utf-8").strip() if pointer.exists() else None

    def load(self, spec: ModelSpec, version: str | None = None) -> LoadedModel:
        """Reads a model back.

        Args:
            spec: The model's definition today.
            version: Which one; the latest if None.

        Raises:
            RegistryError: There is no such model, a file is missing or unreadable, the model file is not
                the one that was stored, or it reads other features than the definition lists.
        """
        version = version or self.latest(spec.name)
        if version is None:
            raise RegistryError(f"no {spec.name} model under {self.root}; train one first")
        if not _VERSION.fullmatch(version):
            raise RegistryError(f"{version!r} is no version of model {spec.name}; see {self.root / spec.name}")
        home = self.root / spec.name / version
        metadata = _read_metadata(home)
        if tuple(metadata["features"]) != spec.feature_names:
            changed = sorted(set(metadata["features"]) ^ set(spec.feature_names))
            raise RegistryError(
                f"{home} was trained on other features than {spec.name} lists today "
                f"({', '.join(changed) or 'their order differs'}); train it again"
            )
        predictor = _PREDICTORS.get(metadata["estimator"])
        if predictor is None:
            raise RegistryError(f"{home} holds an unknown estimator {metadata['estimator']!r}; train it again")
        path = home / predictor.file_name
        if not path.exists():
            raise RegistryError(f"{path} is missing; train the model again")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != metadata["model_sha256"]:
            raise RegistryError(
                f"{path} is not the file that was stored (its SHA-256 differs); restore it or train again"
            )
        return LoadedModel(spec=spec, predictor=predictor.from_bytes(spec, data), version=version, metadata=metadata)


def _write(result: TrainingResult, home: Path, decision: Decision | None) -> None:
    data = result.predictor.to_bytes()
    pictures = render(result)
    metadata = {
        "model": result.spec.name,
        "version": result.version,
        "estimator": result.estimator,
        "verdict": result.verdict,
        "promoted": decision is None or decision.promoted,
        "decision": decision.reason if decision else "",
        "explanation": result.explanation,
        "trained_at": result.trained_at.isoformat(),
        "label": result.spec.label,
        "features": result.spec.feature_names,
        "parameters": result.parameters,
        "metrics": result.metrics,
        "intervals": result.intervals,
        "back_test": json.loads(result.back_test.to_json(orient="records")),
        "importance": result.importance,
        "split": {name: [str(cutoff) for cutoff in cutoffs] for name, cutoffs in result.split.parts().items()}
        if result.split
        else {},
        "rows": result.rows,
        "n_labelled": result.n_labelled,
        "positives": result.positives,
        "data_fingerprint": result.data_fingerprint,
        "spec_fingerprint": result.spec.fingerprint(),
        "model_file": result.predictor.file_name,
        "model_sha256": hashlib.sha256(data).hexdigest(),
        "libraries": {library: version_of(library) for library in LIBRARIES},
        "reference": result.reference.to_dict() if result.reference else None,
    }
    files = {
        result.predictor.file_name: data,
        "metadata.json": (json.dumps(metadata, indent=2) + "\n").encode(),
        "model_card.md": model_card(result, plots=tuple(pictures), decision=decision).encode(),
        **{f"{name}.png": image for name, image in pictures.items()},
    }
    for name, content in files.items():
        with (home / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _read_metadata(home: Path) -> dict[str, Any]:
    path = home / "metadata.json"
    try:
        metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RegistryError(f"{path} is missing; train the model again") from None
    except ValueError as error:
        # Neither text nor JSON: what a disk leaves of a file may be any bytes.
        raise RegistryError(f"{path} is not JSON ({error}); restore it or train again") from error
    if not isinstance(metadata, dict):
        raise RegistryError(f"{path} is no JSON object; restore it or train again")
    if absent := {"features", "estimator", "model_sha256", "parameters"} - set(metadata):
        raise RegistryError(f"{path} lacks {', '.join(sorted(absent))}; restore it or train again")
    return metadata

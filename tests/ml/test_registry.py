import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from ml import registry as registry_module
from ml.churn import CHURN
from ml.registry import Registry, RegistryError
from ml.rules import fit_rules
from ml.scoring import score
from ml.snapshots import Snapshots
from ml.training import TrainingResult, train
from tests.ml.conftest import HORIZON_DAYS


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, churn_result: TrainingResult) -> Path:
    root = tmp_path_factory.mktemp("filled")
    Registry(root).save(churn_result)
    return root


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


@pytest.fixture
def saved(registry: Registry, filled: Path, churn_result: TrainingResult) -> Path:
    """The directory of the one model in the registry; each test has its own copy to damage."""
    shutil.copytree(filled, registry.root)
    return registry.root / "churn" / churn_result.version


def test_a_model_read_back_scores_the_same(
    registry: Registry, saved: Path, churn_result: TrainingResult, churn_now: pd.DataFrame
) -> None:
    loaded = registry.load(CHURN)
    assert loaded.version == churn_result.version == registry.latest("churn")
    pd.testing.assert_frame_equal(score(loaded, churn_now), score(churn_result, churn_now))


def test_the_metadata_says_where_the_model_comes_from(saved: Path, churn_result: TrainingResult) -> None:
    metadata = json.loads((saved / "metadata.json").read_text())
    assert metadata["features"] == list(CHURN.feature_names)
    assert metadata["metrics"] == churn_result.metrics
    assert metadata["data_fingerprint"] == churn_result.data_fingerprint
    assert metadata["split"]["test"] == [str(day) for day in churn_result.split.test]
    assert metadata["parameters"]["learning_rate"] == CHURN.trees.learning_rate


def test_a_model_knows_until_when_it_has_learnt(
    registry: Registry, saved: Path, churn_result: TrainingResult, churn_now: pd.DataFrame
) -> None:
    newest = max(churn_result.split.before_test).astype(object)
    assert registry.load(CHURN).learnt_until == newest + timedelta(days=HORIZON_DAYS)
    registry.save(train(churn_now, CHURN, horizon_days=HORIZON_DAYS))
    assert registry.load(CHURN).learnt_until is None


def test_card_and_pictures_lie_beside_the_model(saved: Path, churn_result: TrainingResult) -> None:
    card = (saved / "model_card.md").read_text()
    assert churn_result.version in card
    assert "no event in the next 14 days" in card
    assert f"{churn_result.metrics['xgboost.roc_auc']:.4f}" in card
    assert "| recency_days |" in card
    for name in ("precision_recall", "calibration", "gain", "shap_summary"):
        assert f"]({name}.png)" in card
        assert (saved / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_saving_again_replaces_and_leaves_nothing_behind(
    registry: Registry, saved: Path, churn_result: TrainingResult
) -> None:
    (saved / "model.ubj").write_bytes(b"damaged")
    (saved.parent / ".saving-by-a-run-that-was-killed" / "new").mkdir(parents=True)
    registry.save(churn_result)
    assert registry.load(CHURN).version == churn_result.version
    assert sorted(path.name for path in saved.parent.iterdir()) == ["latest", churn_result.version]


def test_a_save_that_fails_half_way_leaves_the_last_model(
    monkeypatch, registry: Registry, saved: Path, churn_result: TrainingResult
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(registry_module, "model_card", fail)
    with pytest.raises(OSError, match="disk full"):
        registry.save(replace(churn_result, version="xgboost-00"))
    assert registry.load(CHURN).version == churn_result.version
    assert sorted(path.name for path in saved.parent.iterdir()) == ["latest", churn_result.version]


def test_older_versions_stay_readable(
    registry: Registry, saved: Path, churn_result: TrainingResult, small_frame: pd.DataFrame
) -> None:
    newer = train(small_frame, CHURN, horizon_days=HORIZON_DAYS)
    registry.save(newer)
    assert registry.latest("churn") == newer.version
    assert registry.load(CHURN, churn_result.version).version == churn_result.version


@pytest.mark.parametrize("rule", ["recency_rule", "logistic_regression", "base_rate"])
def test_simple_rules_are_kept_as_well(
    registry: Registry, churn_result: TrainingResult, churn_frame, churn_now, rule: str
) -> None:
    known = Snapshots.from_frame(churn_frame, CHURN).labelled()
    predictor = next(one for one in fit_rules(known, CHURN, horizon_days=14) if one.name == rule)
    result = replace(churn_result, predictor=predictor, version=rule, verdict="simple_rule", test=pd.DataFrame())
    home = registry.save(result)
    assert (home / "model.json").exists()
    pd.testing.assert_frame_equal(score(registry.load(CHURN), churn_now), score(result, churn_now))


def test_the_untrained_base_rate_is_kept_and_replaced(registry: Registry, churn_now: pd.DataFrame) -> None:
    result = train(churn_now, CHURN, horizon_days=HORIZON_DAYS)
    for _ in range(2):
        home = registry.save(result)
    assert "one number for everyone" in (home / "model_card.md").read_text()
    assert (score(registry.load(CHURN), churn_now)["probability"] == 0.5).all()


def test_a_changed_model_file_is_refused(registry: Registry, saved: Path) -> None:
    model = saved / "model.ubj"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    with pytest.raises(RegistryError, match=r"model\.ubj is not the file that was stored"):
        registry.load(CHURN)


def test_a_model_of_other_features_is_refused(registry: Registry, saved: Path) -> None:
    fewer = tuple(feature for feature in CHURN.features if feature.name != "trend_30d")
    with pytest.raises(RegistryError, match=r"other features .*\(trend_30d\); train it again"):
        registry.load(replace(CHURN, features=fewer))
    with pytest.raises(RegistryError, match="their order differs"):
        registry.load(replace(CHURN, features=CHURN.features[::-1]))


def test_features_swapped_in_the_metadata_are_refused(registry: Registry, saved: Path) -> None:
    """Metadata alone cannot make trees read another column."""
    swapped = replace(CHURN, features=CHURN.features[::-1])
    metadata = json.loads((saved / "metadata.json").read_text())
    metadata["features"] = list(swapped.feature_names)
    (saved / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="grown on other features"):
        registry.load(swapped)


def test_what_is_missing_or_unreadable_is_named(registry: Registry, saved: Path) -> None:
    with pytest.raises(RegistryError, match=r"xgboost-0123.metadata\.json is missing"):
        registry.load(CHURN, "xgboost-0123")
    with pytest.raises(RegistryError, match="no version"):
        registry.load(CHURN, "../elsewhere")
    metadata = json.loads((saved / "metadata.json").read_text())
    (saved / "metadata.json").write_text(json.dumps({**metadata, "estimator": "oracle"}))
    with pytest.raises(RegistryError, match="unknown estimator 'oracle'"):
        registry.load(CHURN)
    (saved / "metadata.json").write_text("{}")
    with pytest.raises(RegistryError, match="lacks estimator, features, model_sha256, parameters"):
        registry.load(CHURN)
    (saved / "metadata.json").write_bytes(b"\xff\x00\x9d")
    with pytest.raises(RegistryError, match="is not JSON"):
        registry.load(CHURN)
    (saved / "metadata.json").write_text("null")
    with pytest.raises(RegistryError, match="is no JSON object"):
        registry.load(CHURN)
    (saved / "metadata.json").write_text("{")
    with pytest.raises(RegistryError, match="is not JSON"):
        registry.load(CHURN)
    (saved / "metadata.json").write_text(json.dumps(metadata))
    (saved / "model.ubj").unlink()
    with pytest.raises(RegistryError, match=r"model\.ubj is missing"):
        registry.load(CHURN)


def test_an_empty_registry_says_so(registry: Registry) -> None:
    assert registry.latest("churn") is None
    with pytest.raises(RegistryError, match="train one first"):
        registry.load(CHURN)

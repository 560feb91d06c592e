"""Fitting, on trials of a made-up task whose truth is known."""

import dataclasses
import json

import numpy as np
import pytest
from surrogate_toys import QUICK, SPACE

from agentopt.errors import UsageError
from agentopt.space import SearchSpace
from agentopt.surrogate.features import Features
from agentopt.surrogate.fit import exported_trees, fit_surrogate
from agentopt.surrogate.model import Surrogate
from agentopt.surrogate.rows import Row, Source, read_source
from agentopt.surrogate.task import load_surrogate_task
from agentopt.surrogate.trees import Forest
from agentopt.surrogate.validate import cross_validate
from agentopt.trial import Status


@pytest.mark.parametrize("how", [{"max_depth": 5}, {"max_depth": None, "max_leaf_nodes": 20}, {"max_depth": 1}])
def test_trees_predict_what_sklearn_predicts(how):
    ensemble = pytest.importorskip("sklearn.ensemble")
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(500, 6)), rng.normal(size=(3000, 6)) * 3
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2]
    model = ensemble.GradientBoostingRegressor(n_estimators=80, init="zero", random_state=1, **how).fit(x, y)
    forest = Forest.of(exported_trees(model), 0.1)
    for candidate in (forest, Forest.from_arrays(forest.to_arrays())):
        np.testing.assert_allclose(candidate.sum(new), model.predict(new), rtol=0, atol=1e-6)
        np.testing.assert_allclose(candidate.sum(x), model.predict(x), rtol=0, atol=1e-6)
        assert candidate.sum(new[:1])[0] == pytest.approx(candidate.sum(new)[0], abs=1e-12)


def test_log_odds_are_those_of_sklearn():
    ensemble = pytest.importorskip("sklearn.ensemble")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 4))
    model = ensemble.GradientBoostingClassifier(n_estimators=50, init="zero", random_state=1).fit(x, x[:, 0] > x[:, 1])
    odds = Forest.of(exported_trees(model), 0.1).sum(x)
    np.testing.assert_allclose(odds, model.decision_function(x), rtol=0, atol=1e-6)


def test_the_truth_is_learned(toy, source):
    many = toy.predict_many([row.params for row in source.rows])
    complete = np.array([row.complete for row in source.rows])
    assert (many.failed == ~complete).mean() > 0.99
    value = np.array([row.value for row in source.rows if row.complete])
    assert np.corrcoef(many.value[complete], value)[0, 1] > 0.97
    assert many.value[complete].min() >= value.min()
    assert np.median(many.seconds[complete]) > 100 > np.median(many.seconds[~complete])
    failed = toy.predict({"lr": 0.01, "width": 64, "kind": "b"})
    assert failed.status is Status.OOM
    assert failed.value is None
    assert failed.failure > 0.5
    assert failed.derived == {"_w": 128.0, "inverse": 1 / 128}


def test_a_saved_model_predicts_the_same(toy, source, tmp_path):
    toy.save(tmp_path / "a.npz")
    toy.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = Surrogate.load(tmp_path / "a.npz")
    configurations = [row.params for row in source.rows]
    one, other = toy.predict_many(configurations), loaded.predict_many(configurations)
    for name in ("failed", "value", "seconds", "failure"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert loaded.features == toy.features
    assert dict(loaded.facts) == dict(toy.facts)


def test_a_fit_is_repeatable(source, toy):
    again = fit_surrogate(source, derived=dict(toy.features.derived), boosting=QUICK)
    configurations = [row.params for row in source.rows[:20]]
    np.testing.assert_array_equal(again.predict_many(configurations).value, toy.predict_many(configurations).value)


def test_no_failures_and_no_durations(source):
    pytest.importorskip("sklearn")
    rows = tuple(dataclasses.replace(row, seconds=None) for row in source.rows if row.complete)
    expected = fit_surrogate(dataclasses.replace(source, rows=rows), boosting=QUICK).predict(rows[0].params)
    assert expected.status is Status.COMPLETE
    assert expected.failure == 0.0
    assert np.isnan(expected.seconds)


def test_too_little_is_refused(source):
    pytest.importorskip("sklearn")
    with pytest.raises(UsageError, match="20 complete trials"):
        fit_surrogate(dataclasses.replace(source, rows=source.rows[:5]))
    with pytest.raises(UsageError, match="give the space"):
        fit_surrogate(dataclasses.replace(source, space=None))
    odd = Row({"lr": 0.1, "width": 8, "kind": "c"}, Status.COMPLETE, 1.0)
    with pytest.raises(UsageError, match=r"Trial 300: .*kind"):
        fit_surrogate(dataclasses.replace(source, rows=(*source.rows, odd)))


def test_rows_of_a_file(jsonl, source):
    read = read_source(jsonl, failure=Status.OOM)
    assert read == Source(source.rows, objective="loss")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"params": {}, "a": 1, "b": 2, "success": True}, "name the value: it may be a, b"),
        ({"params": {}, "a": 1}, "line 1: KeyError: 'success'"),
        ({"params": {}, "a": 1, "status": "fine"}, "fine"),
        ({"params": {}, "a": float("nan"), "success": True}, "not a finite number"),
        (["no"], "not a JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(UsageError, match=message):
        read_source(path)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 torn"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(UsageError, match="is not a surrogate"):
        Surrogate.load(tmp_path / "x.npz")


def test_a_file_with_pickles_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", about=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match="is not a surrogate"):
        Surrogate.load(tmp_path / "x.npz")


def test_a_model_is_a_task(toy, tmp_path):
    toy.save(tmp_path / "toy.npz")
    task = load_surrogate_task(tmp_path / "toy.npz", noise=0.1)
    params = {"lr": 0.01, "width": 32, "kind": "a"}
    values = [task.evaluate(params, seed=seed).values[0] for seed in range(200)]
    assert np.std(values) == pytest.approx(0.1, rel=0.2)
    assert task.evaluate(params, seed=3) == task.evaluate(params, seed=3)
    assert task.objectives[0].name == "loss"


def test_failures_may_be_told_what_they_depend_on(source):
    pytest.importorskip("sklearn")
    model = fit_surrogate(source, failure_features=("width", "kind=b"), boosting=QUICK)
    many = model.predict_many([{"lr": lr, "width": 64, "kind": "b"} for lr in (1e-4, 1e-2, 1.0)])
    assert many.failed.all()
    assert np.ptp(many.failure) == 0
    with pytest.raises(UsageError, match="Did you mean 'width'"):
        fit_surrogate(source, failure_features=("widht",), boosting=QUICK)


def test_features_are_named_and_checked():
    features = Features(SPACE, {"_twice": "2 * width", "both": '_twice + (kind == "b")'})
    assert features.names == ("lr", "width", "kind=a", "kind=b", "both")
    x = features.matrix(features.columns([{"lr": 1.0, "width": 8, "kind": "b"}]))
    np.testing.assert_allclose(x, [[0.0, np.log(8), 0, 1, 17]])
    with pytest.raises(UsageError, match="Unknown"):
        Features(SPACE, {"x": "y + 1", "y": "1"})
    with pytest.raises(UsageError, match="name of a parameter"):
        Features(SearchSpace(SPACE.parameters), {"lr": "1"})


@pytest.mark.parametrize("grouping", ["identical", "regions"])
def test_cross_validation_holds_whole_groups_out(source, grouping):
    pytest.importorskip("sklearn")
    doubled = dataclasses.replace(source, rows=source.rows + source.rows[:50])
    figures = cross_validate(doubled, grouping=grouping, below=1.5, folds=3, repeats=1, boosting=QUICK)
    assert figures["accuracy"].folds == 3
    assert figures["accuracy"].mean > 0.9
    assert figures["spearman"].mean > (0.9 if grouping == "identical" else 0.5)
    assert figures["spearman_below"].mean > 0.3

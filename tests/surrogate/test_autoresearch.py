"""The shipped surrogate of autoresearch: what it says, and, where the trials are at hand, how good its fit is."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from agentopt.errors import UsageError
from agentopt.surrogate.fit import Boosting
from agentopt.surrogate.model import Surrogate
from agentopt.surrogate.rows import read_source
from agentopt.surrogate.validate import cross_validate
from agentopt.task import load_task
from agentopt.trial import Status

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = REPOSITORY / "tasks" / "autoresearch-surrogate" / "model.npz"
TRIALS = "autoresearch_h200_trials.jsonl.gz"


@pytest.fixture(scope="module")
def task():
    return load_task("autoresearch-surrogate")


@pytest.fixture(scope="module")
def quiet():
    return load_task("autoresearch-surrogate", noise=False)


def trials_file():
    folders = [Path(os.environ["AGENTOPT_DATA"])] if "AGENTOPT_DATA" in os.environ else []
    folders.extend(sorted(REPOSITORY.parent.glob("*/data")))
    return next((folder / TRIALS for folder in folders if (folder / TRIALS).is_file()), None)


def test_the_space_is_the_papers(task):
    space = task.space
    assert len(space) == 14
    assert space == Surrogate.load(MODEL).features.space
    assert space["HEAD_DIM"].grid == (64, 128, 256)
    assert space["DEVICE_BATCH_SIZE"].grid == (32, 64, 128, 256)
    assert space["TOTAL_BATCH_SIZE"].grid == (2**16, 2**17, 2**18, 2**19, 2**20, 2**21)
    small = {**space.defaults(), "DEVICE_BATCH_SIZE": 256, "TOTAL_BATCH_SIZE": 65536}
    assert task.repair(small)["TOTAL_BATCH_SIZE"] == 256 * 2048


def test_the_default_configuration(quiet):
    outcome = quiet.evaluate(quiet.space.defaults())
    assert outcome.status is Status.COMPLETE
    assert 0.988 <= outcome.values[0] <= 0.994
    assert outcome.metrics["training_seconds"] == pytest.approx(300, abs=3)
    assert outcome.metrics["num_params_M"] == pytest.approx(50.3, abs=0.1)


def test_a_model_too_large_for_memory(task):
    outcome = task.evaluate({**task.space.defaults(), "DEPTH": 24, "ASPECT_RATIO": 128, "DEVICE_BATCH_SIZE": 256})
    assert outcome.status is Status.OOM
    assert outcome.values == ()
    assert outcome.metrics["training_seconds"] < 120


def test_random_configurations(quiet):
    rng = np.random.default_rng(0)
    model = Surrogate.load(MODEL)
    many = model.predict_many([quiet.space.sample(rng) for _ in range(2000)])
    assert 0.50 <= many.failed.mean() <= 0.64
    assert many.value.min() > 0.974
    assert np.isfinite(many.seconds).all()


def test_noise_is_decided_by_the_seed(task, quiet):
    params = task.space.defaults()
    values = np.array([task.evaluate(params, seed=seed).values[0] for seed in range(400)])
    assert values.std() == pytest.approx(0.0007, rel=0.15)
    assert values.mean() == pytest.approx(quiet.evaluate(params).values[0], abs=0.0002)
    assert task.evaluate(params, seed=7) == task.evaluate(params, seed=7)
    assert quiet.evaluate(params, seed=1) == quiet.evaluate(params, seed=2)


def test_one_and_many_agree(quiet):
    rng = np.random.default_rng(1)
    configurations = [quiet.space.sample(rng) for _ in range(50)]
    model = Surrogate.load(MODEL)
    many = model.predict_many(configurations)
    for i, params in enumerate(configurations):
        one = model.predict(params)
        assert (one.status is Status.OOM) == many.failed[i]
        assert one.value is None or one.value == pytest.approx(many.value[i], abs=1e-12)


def test_a_wrong_option_is_refused():
    with pytest.raises(UsageError, match="noise is true or false"):
        load_task("autoresearch-surrogate", noise="maybe")


def test_the_file_is_small_and_has_no_pickle():
    assert MODEL.stat().st_size < 2_000_000
    with zipfile.ZipFile(MODEL) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                np.lib.format.read_array(file, allow_pickle=False)


def test_it_loads_fast_and_without_sklearn():
    code = (
        "import sys, time; start = time.perf_counter()\n"
        "from pathlib import Path; from agentopt.surrogate.model import Surrogate\n"
        f"Surrogate.load(Path({str(MODEL)!r})); seconds = time.perf_counter() - start\n"
        "assert 'sklearn' not in sys.modules and 'scipy' not in sys.modules\n"
        "print(seconds)"
    )
    best = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
        for _ in range(3)
    )
    assert best < 1.0


def test_a_prediction_takes_about_a_millisecond(quiet):
    params, laps = quiet.space.defaults(), []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(50):
            quiet.evaluate(params)
        laps.append((time.perf_counter() - start) / 50)
    assert min(laps) < 0.005


def test_the_prompt_says_what_matters(task):
    text = task.describe()
    for word in ("val_bpb", "lower is better", "76 GB", "DEVICE_BATCH_SIZE", "5 minutes"):
        assert word in text


def test_a_refit_is_good_on_unseen_trials():
    pytest.importorskip("sklearn")
    path = trials_file()
    if path is None:
        pytest.skip(f"the measured trials are not here: set AGENTOPT_DATA to the folder of {TRIALS}")
    features = Surrogate.load(MODEL).features
    figures = cross_validate(
        read_source(path, value="val_bpb", failure=Status.OOM),
        space=features.space,
        derived=features.derived,
        below=1.0,
        folds=2,
        repeats=1,
        boosting=Boosting(trees=75, learning_rate=0.2, members=1),
    )
    assert figures["accuracy"].mean >= 0.995
    assert figures["spearman"].mean >= 0.94
    assert figures["spearman_below"].mean >= 0.53

"""Fitting from files, as the command line does it."""

import json

import pytest
from surrogate_toys import SPACE

from agentopt.errors import UsageError
from agentopt.surrogate.command import fit_file
from agentopt.surrogate.model import Surrogate


def test_a_file_of_trials(jsonl, tmp_path):
    pytest.importorskip("sklearn")
    (tmp_path / "space.json").write_text(json.dumps(SPACE.to_json()))
    (tmp_path / "derived.json").write_text(json.dumps({"inverse": "1 / width"}))
    out = tmp_path / "new" / "model.npz"
    done = fit_file(jsonl, out, space=tmp_path / "space.json", derived=tmp_path / "derived.json", folds=2)
    assert done["objective"] == "loss"
    assert done["trials"] == 300
    assert done["figures"]["accuracy"]["mean"] > 0.95
    assert done["bytes"] == out.stat().st_size
    assert Surrogate.load(out).features.derived == {"inverse": "1 / width"}
    json.dumps(done, allow_nan=False)


@pytest.mark.parametrize(
    ("complete", "folds", "said"),
    [
        (22, 5, "22 complete trials, and a surrogate needs 25 or more: each of the 5 folds .* With --folds 0"),
        (22, 2, "22 complete trials, and a surrogate needs 40 or more"),
        (19, 0, "19 complete trials, and a surrogate needs 20 or more.$"),
    ],
)
def test_too_few_trials_are_told_how_many_it_takes(complete, folds, said, tmp_path):
    pytest.importorskip("sklearn")
    (tmp_path / "space.json").write_text(json.dumps(SPACE.to_json()))
    lines = [
        {"params": {"lr": 0.01 + n / 1000, "width": 8, "kind": "a"}, "success": n < complete, "loss": n / 7}
        for n in range(complete + 10)
    ]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UsageError, match=said):
        fit_file(tmp_path / "few.jsonl", tmp_path / "m.npz", space=tmp_path / "space.json", folds=folds)


def test_the_fix_is_named(jsonl, tmp_path):
    out = tmp_path / "m.npz"
    with pytest.raises(UsageError, match="add --task NAME or --space FILE"):
        fit_file(jsonl, out)
    with pytest.raises(UsageError, match="There is no file"):
        fit_file(jsonl, out, space=tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(UsageError, match="not a JSON object"):
        fit_file(jsonl, out, space=tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"parameters": []}')
    with pytest.raises(UsageError, match="is not a search space"):
        fit_file(jsonl, out, space=tmp_path / "bad.json")
    (tmp_path / "formulas.json").write_text('{"x": 1}')
    (tmp_path / "space.json").write_text(json.dumps(SPACE.to_json()))
    with pytest.raises(UsageError, match="not a formula"):
        fit_file(jsonl, out, space=tmp_path / "space.json", derived=tmp_path / "formulas.json")
    assert not out.exists()

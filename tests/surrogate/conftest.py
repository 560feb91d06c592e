import json

import numpy as np
import pytest
from surrogate_toys import QUICK, SPACE, row

from agentopt.surrogate.rows import Source


@pytest.fixture(scope="session")
def source():
    rng = np.random.default_rng(0)
    return Source(tuple(row(SPACE.sample(rng)) for _ in range(300)), objective="loss", space=SPACE)


@pytest.fixture(scope="session")
def toy(source):
    pytest.importorskip("sklearn")
    from agentopt.surrogate.fit import fit_surrogate

    return fit_surrogate(source, derived={"_w": "width * 2", "inverse": "1 / _w"}, boosting=QUICK)


@pytest.fixture
def jsonl(tmp_path, source):
    path = tmp_path / "trials.jsonl"
    lines = [
        {"params": dict(r.params), "loss": r.value, "success": r.complete, "seconds": r.seconds} for r in source.rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path

"""A small corpus and its dataset, built once, in a cache of the tests' own."""

import numpy as np
import pytest

from agentopt.lm.dataset import load_dataset
from agentopt.sandbox import Tier, why_not

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sees",
    "likes",
    "small",
    "red",
    "house",
    "tree",
    "with",
    "of",
    "and",
    "under",
    "quickly",
    "Ünïcode",
    "12",
    "345",
    "(x)",
    "==",
    "return",
]


def make_text(characters, seed):
    """Sentences over a few words: deterministic, with blank lines every now and then."""
    rng = np.random.default_rng(seed)
    parts, length = [], 0
    while length < characters:
        line = " ".join(rng.choice(WORDS, size=int(rng.integers(4, 12)))) + ("\n\n" if rng.random() < 0.1 else "\n")
        parts.append(line)
        length += len(line)
    return "".join(parts)


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory):
    pytest.importorskip("tokenizers", reason="needs the extra lm")
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "text.txt").write_text(make_text(600_000, seed=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTOPT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield load_dataset(str(folder / "text.txt"), 300)


@pytest.fixture
def bubblewrap():
    reason = why_not(Tier.BUBBLEWRAP)
    if reason:
        pytest.skip(f"bubblewrap does not work here: {reason}")
    return Tier.BUBBLEWRAP

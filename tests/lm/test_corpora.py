"""Corpora and their datasets: the splits hold, the tokens are exact, the cache is whole or absent."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lm.conftest import make_text

from agentopt.errors import RunError, UsageError
from agentopt.lm import corpora
from agentopt.lm import dataset as datasets
from agentopt.lm.corpora import LEAVES, SECTION_CHARS, Split, find_corpus, sections, split_of
from agentopt.lm.dataset import Dataset, find_manifest, load_dataset
from agentopt.lm.exam import make_exam
from agentopt.lm.rdata import character_vectors
from agentopt.lm.tokenizer import Tokenizer

pytest.importorskip("tokenizers", reason="needs the extra lm")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def text_file(folder, characters=60_000, seed=1, name="text.txt"):
    path = folder / name
    path.write_text(make_text(characters, seed))
    return path


def test_sections_are_the_whole_text_cut_at_blank_lines():
    text = make_text(50_000, seed=2)
    parts = list(sections(text))
    assert "".join(parts) == text
    assert len(parts) > 5
    assert all(len(part) >= SECTION_CHARS and part.endswith("\n\n") for part in parts[:-1])


def test_a_text_that_grows_keeps_its_splits(tmp_path):
    path = text_file(tmp_path)
    before = {text: split for split, text in find_corpus(str(path)).documents()}
    path.write_text(path.read_text() + make_text(60_000, seed=9))
    after = {text: split for split, text in find_corpus(str(path)).documents()}
    kept = list(before)[:-1]
    assert len({before[text] for text in kept}) > 1
    assert all(after[text] is before[text] for text in kept)


def test_the_splits_have_about_the_stated_shares():
    splits = [split_of(f"document {n}") for n in range(5000)]
    for held_out in (Split.VAL, Split.TEST):
        assert 0.045 < splits.count(held_out) / 5000 < 0.075


def test_no_text_is_in_two_splits(small_dataset):
    read = {
        split: small_dataset.held_out(split) if split is not Split.TRAIN else small_dataset.train for split in Split
    }
    documents = {split: set(small_dataset.tokenizer().decode(a).split("\n\n")) for split, a in read.items()}
    long = {split: {d for d in found if len(d) > 200} for split, found in documents.items()}
    assert all(long.values())
    assert not long[Split.TRAIN] & (long[Split.VAL] | long[Split.TEST])
    assert not long[Split.VAL] & long[Split.TEST]


def test_a_document_that_comes_twice_is_kept_once(cache, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    text_file(folder, name="a.txt")
    text_file(folder, name="b.txt")
    once = load_dataset(str(folder / "a.txt"), 300).manifest
    assert load_dataset(str(folder), 300).manifest.documents == once.documents


def test_text_that_is_held_out_is_not_trained_on_where_it_comes_again(tmp_path):
    library = tmp_path / "python3"
    library.mkdir()
    for name in ("turtle.py", "abc.py", "zlib.py"):
        (library / name).write_text("same = 1\n" if name != "zlib.py" else "other = 1\n")
    found = list(datasets._distinct(corpora._stdlib(library)))
    assert [text for split, text in found if split is Split.TRAIN] == ["other = 1\n"]
    assert len(found) == 2


def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(small_dataset):
    manifest = small_dataset.manifest
    for split in (Split.VAL, Split.TEST):
        tokens = small_dataset.held_out(split)
        assert int(small_dataset.token_bytes[tokens].sum()) == manifest.text_bytes[split]
        assert len(tokens) == manifest.tokens[split]
        assert int((tokens == 0).sum()) == manifest.documents[split]


@pytest.mark.parametrize("text", ["", "a\n\tb", "naïve 😀 \u0000 \ufeff", "<|document|> is text", "\r\n\x85\u2028"])
def test_every_text_comes_back_from_its_tokens(small_dataset, text):
    tokenizer = small_dataset.tokenizer()
    (tokens,) = tokenizer.encode([text])
    assert tokens[0] == 0
    assert 0 not in tokens[1:]
    assert tokenizer.decode(tokens) == text


def test_the_same_text_gives_the_same_tokenizer():
    texts = [make_text(20_000, seed=n) for n in range(5)]
    first, second = (Tokenizer.train(iter(texts), 320) for _ in range(2))
    assert first.pieces == second.pieces


def test_a_dataset_is_built_once_and_found_again(cache, tmp_path, monkeypatch):
    path = text_file(tmp_path)
    assert find_manifest(str(path), 300) is None
    first = load_dataset(str(path), 300)
    assert find_manifest(str(path), 300) == first.manifest
    monkeypatch.setattr(datasets, "_build", None)
    again = load_dataset(str(path), 300)
    assert again.folder == first.folder
    assert [p.name for p in first.folder.parent.iterdir() if p.is_dir()] == [first.folder.name]


def test_a_build_that_breaks_leaves_nothing_that_counts(cache, tmp_path, monkeypatch):
    path = text_file(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Tokenizer, "save", lambda self, path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load_dataset(str(path), 300)
    assert not [p for p in (cache / "lm").iterdir() if p.is_dir()]
    assert load_dataset(str(path), 300).manifest.tokens["train"] > 0


def test_builders_side_by_side_make_one_dataset(cache, tmp_path):
    path = text_file(tmp_path)
    code = f"from agentopt.lm.dataset import load_dataset; print(load_dataset({str(path)!r}, 300).key.hex())"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({process.communicate()[0] for process in running}) == 1


def test_held_out_tokens_that_were_changed_are_noticed(cache, tmp_path):
    found = load_dataset(str(text_file(tmp_path, 300_000)), 300)
    tokens = np.load(found.folder / "val.npy")
    tokens[3] += 1
    np.save(found.folder / "val.npy", tokens)
    with pytest.raises(RunError, match="not what was built"):
        Dataset(found.folder, found.manifest).held_out(Split.VAL)


@pytest.mark.parametrize(
    ("name", "words"),
    [("stdlb", "stdlib"), ("/no/such/file", "a path to text"), ("hub:a/b", "pip install datasets")],
)
def test_a_corpus_that_is_not_there_says_what_is(name, words, monkeypatch, cache):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=words):
        load_dataset(name)


def test_text_that_is_too_short_or_none_says_so(cache, tmp_path):
    (tmp_path / "tiny.txt").write_text("Too short.")
    with pytest.raises(UsageError, match="too short"):
        load_dataset(str(tmp_path / "tiny.txt"), 1024)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty folder"):
        load_dataset(str(tmp_path / "empty"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load_dataset(str(tmp_path / "binary.txt"))
    short = load_dataset(str(text_file(tmp_path, 30_000)), 300)
    with pytest.raises(UsageError, match="Give more text"):
        make_exam(short, Split.VAL, 4096, salt=b"")


def test_the_standard_library_holds_out_modules_that_no_training_imports():
    corpus = find_corpus("stdlib")
    held_out, trained = [], []
    for split, text in corpus.documents():
        (trained if split is Split.TRAIN else held_out).append(text)
    assert sum(map(len, held_out)) > 500_000
    assert sum(map(len, trained)) > 4_000_000
    here = Path(json.__file__).parents[1]
    for leaf in ("_pydecimal", "turtle", "mailbox"):
        assert leaf in LEAVES
        assert (here / f"{leaf}.py").read_text() in held_out
        assert here / f"{leaf}.py" in corpus.hidden
    assert Path(json.__file__).read_text() in trained


def test_no_training_library_imports_a_held_out_module():
    pytest.importorskip("torch", reason="needs the extra lm")
    code = "import torch, torch._dynamo, torch._inductor.compile_fx, safetensors.torch, numpy, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in done.stdout.split()} & set(LEAVES)


def test_the_exam_is_fixed_but_its_cuts_follow_the_weights(small_dataset):
    exams = [make_exam(small_dataset, Split.VAL, 64, salt=salt, tokens=2048) for salt in (b"1", b"1", b"2")]
    assert all((exam.rows == exams[0].rows).all() for exam in exams)
    assert (exams[0].cuts == exams[1].cuts).all()
    assert (exams[0].order == exams[1].order).all()
    assert (exams[0].cuts != exams[2].cuts).any()
    assert exams[0].rows.shape == (32, 65)
    assert len(exams[0].cuts) >= 512


def test_every_probe_differs_from_its_row_at_the_cut_and_not_before(small_dataset):
    exam = make_exam(small_dataset, Split.VAL, 64, salt=b"")
    seen = []
    for question in exam.probes(10):
        assert question.tokens.shape == (10, 64)
        for n in range(question.count):
            probe, cut = question.ids[n], question.last[n]
            row = exam.rows[exam.probed[probe], :-1]
            assert (question.tokens[n, :cut] == row[:cut]).all()
            assert question.tokens[n, cut] != row[cut]
            assert question.first[n] == max(0, cut - 16)
            seen.append(probe)
    assert sorted(seen) == list(range(len(exam.cuts)))


def test_every_row_is_asked_once(small_dataset):
    exam = make_exam(small_dataset, Split.VAL, 64, salt=b"")
    seen = [i for question in exam.questions(7) for i in question.ids[: question.count]]
    assert sorted(seen) == list(range(len(exam.rows)))
    assert seen != sorted(seen)


def test_character_vectors_of_r_are_read(tmp_path):
    import struct
    import zlib

    def vector(strings, version):
        head = b"X\n" + struct.pack(">iii", version, 0x040000, 0x020300)
        head += struct.pack(">i", 5) + b"UTF-8" if version == 3 else b""
        body = b"".join(struct.pack(">Ii", 0x00040009, len(s.encode())) + s.encode() for s in strings)
        return head + struct.pack(">Ii", 16, len(strings)) + body

    number = b"X\n" + struct.pack(">iii", 2, 0x040000, 0x020300) + struct.pack(">Iid", 14, 1, 2.5)
    objects = [vector(["Emma", "", "é"], 2), number, vector(["x"], 3)]
    data = b"".join(struct.pack(">I", len(o)) + zlib.compress(o) for o in objects)
    (tmp_path / "data.rdb").write_bytes(data)
    assert list(character_vectors(tmp_path / "data.rdb")) == [["Emma", "", "é"], ["x"]]

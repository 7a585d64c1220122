"""Several jobs prepare parts of a corpus, and the next one joins them to what one job would have packed."""

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_cremad

from ser_lightning.cli import main
from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.prepare import packing
from ser_lightning.data.prepare.cache import find, pack_part, prepare

CREMAD = load_corpus("cremad")


@pytest.fixture
def root(tmp_path):
    return make_cremad(tmp_path / "corpus", speakers=("1001",))


@pytest.fixture
def in_cache(tmp_path, monkeypatch):
    def use(name):
        monkeypatch.setenv("SER_CACHE", str(tmp_path / name))
        return tmp_path / name

    return use


def packed_files(corpus):
    return {path.name: path.read_bytes() for path in corpus.folder.iterdir()}


@pytest.mark.parametrize("numbers", [(2, 3, 1), (3, 1), (1, 1, 2, 3)])
def test_they_are_joined_to_the_same_bytes(root, in_cache, monkeypatch, numbers):
    spoilt = sorted((root / "AudioWAV").iterdir())[4]
    spoilt.write_bytes(spoilt.read_bytes()[:1000])
    in_cache("whole")
    expected = prepare(CREMAD, root, on_bad="exclude")
    cache = in_cache("parts")
    n_files = {number: pack_part(CREMAD, find(CREMAD, root), number, 3) for number in numbers}
    assert set(n_files.values()) == {4}
    decoded = []
    monkeypatch.setattr(packing, "decode", lambda path, decode=packing.decode: decoded.append(path) or decode(path))
    joined = prepare(CREMAD, root, on_bad="exclude")
    assert len(decoded) == 12 - 4 * len(n_files)
    assert packed_files(joined) == packed_files(expected) and joined.folder.name == expected.folder.name
    assert list(joined.manifest) == list(expected.manifest) and joined.report == expected.report
    assert np.array_equal(joined.gather([0, 10])[0], expected.gather([0, 10])[0])
    assert pack_part(CREMAD, find(CREMAD, root), 1, 3) == 4
    assert not list(cache.glob("*part-*"))


def test_a_part_that_was_damaged_or_cut_short_is_decoded_again(root, in_cache):
    in_cache("whole")
    expected = packed_files(prepare(CREMAD, root))
    cache = in_cache("parts")
    for number in (1, 2, 3):
        pack_part(CREMAD, find(CREMAD, root), number, 3)
    damaged, killed, _ = sorted(cache.glob("*.part-?-of-3"))
    content = bytearray((damaged / "samples.i16").read_bytes())
    content[100] ^= 1
    (damaged / "samples.i16").write_bytes(content)
    killed.rename(killed.with_name(killed.name + ".partial"))
    assert packed_files(prepare(CREMAD, root)) == expected
    assert not list(cache.glob("*part-*"))


def test_a_corpus_may_have_fewer_files_than_parts(root, in_cache):
    in_cache("whole")
    expected = packed_files(prepare(CREMAD, root))
    in_cache("parts")
    assert sum(pack_part(CREMAD, find(CREMAD, root), number, 20) for number in range(1, 21)) == 12
    assert packed_files(prepare(CREMAD, root)) == expected


def test_the_command_prepares_a_part_and_then_all(root, in_cache):
    in_cache("parts")
    command = ["data", "prepare", "cremad", "--root", str(root)]
    part = CliRunner().invoke(main, [*command, "--shard", "2/3"])
    assert part.exit_code == 0 and "part 2 of 3 ready, 4 files" in part.output
    assert "12 clips of 1 speaker ready" in CliRunner().invoke(main, command).output
    for text in ("0/3", "4/3", "2", "a/b"):
        wrong = CliRunner().invoke(main, [*command, "--shard", text])
        assert wrong.exit_code != 0 and f"--shard {text}: say K/N" in (wrong.output + str(wrong.exception))

"""The encoder computes what its package computes, in any batch, and once; without its weights there is no audit."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import config

from ser_lightning.cli import main
from ser_lightning.data.audit import speaker_encoder
from ser_lightning.data.audit.speaker_encoder import (
    WIDTH,
    SpeakerEncoder,
    embed_clips,
    load_encoder,
    weights_file,
    window_starts,
)
from ser_lightning.data.prepare.decoding import padded
from ser_lightning.training.experiment import unsplit_data
from ser_lightning.utils.errors import UserError


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file like the package's, of an encoder that has learnt nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "pretrained.pt"
    torch.save({"step": 0, "model_state": SpeakerEncoder().state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def clips(cremad_root):
    return unsplit_data(config("data=cremad", f"data.root={cremad_root}")).clips


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def chirp():
    t = np.arange(36_000) / 16_000
    swelling = np.sin(2 * np.pi * (150 + 40 * t) * t) * (1 + np.sin(2 * np.pi * 3 * t)) / 2
    return np.round(3000 * swelling + 300 * np.sin(2 * np.pi * 1800 * t)).astype(np.int16)


@pytest.mark.parametrize(
    ("n_samples", "starts"),
    [(1, [0]), (25_600, [0]), (30_000, [0]), (31_520, [0, 77]), (40_000, [0, 77]), (60_000, [0, 77, 154, 231])],
)
def test_windows_overlap_and_cover_a_clip_as_far_as_they_are_three_quarters_full(n_samples, starts):
    assert window_starts(n_samples) == starts


def test_a_clips_embedding_does_not_depend_on_its_batch(weights):
    encoder = load_encoder(weights)
    clips = [chirp()[:length] for length in (3_000, 25_601, 36_000)]
    together = encoder.embed(*padded(clips))
    alone = np.concatenate([encoder.embed(*padded([clip])) for clip in clips])
    assert np.abs(together - alone).max() < 1e-6
    assert np.linalg.norm(together, axis=1) == pytest.approx(1)


def test_loudness_is_no_matter_below_the_level_that_clips_are_raised_to(weights):
    encoder = load_encoder(weights)
    quiet, quieter = (np.round(chirp() / factor).astype(np.int16) for factor in (4, 8))
    one, other = encoder.embed(*padded([quiet, quieter]))
    assert one @ other > 0.999


def test_it_computes_what_the_package_does():
    try:
        encoder = load_encoder(weights_file())
    except UserError:
        pytest.skip("the weights of Resemblyzer are not installed")
    embeddings = encoder.embed(*padded([chirp(), (chirp() // 20)[:12_345]]))
    largest = [  # as Resemblyzer 0.1.4 with librosa 0.11 computes them
        {138: 0.27549, 9: 0.25015, 20: 0.23466, 13: 0.20945, 191: 0.20897, 120: 0.19246},
        {20: 0.31891, 9: 0.27124, 191: 0.22567, 83: 0.19283, 16: 0.1839, 180: 0.16774},
    ]
    for embedding, expected in zip(embeddings, largest, strict=True):
        assert embedding[list(expected)] == pytest.approx(list(expected.values()), abs=2e-5)


def test_clips_are_embedded_once(clips, weights, own_cache, monkeypatch):
    rows = [5, 3, 80]
    first = embed_clips(clips, rows, weights)
    assert first.shape == (3, WIDTH)
    more = embed_clips(clips, [80, *range(10)], weights)
    assert np.array_equal(more[[6, 4, 0]], first)
    monkeypatch.setattr(speaker_encoder, "load_encoder", None)
    assert np.array_equal(embed_clips(clips, rows, weights), first)
    (store,) = (own_cache / "speaker_embeddings").glob("*.npz")
    monkeypatch.undo()
    monkeypatch.setenv("SER_CACHE", str(own_cache))
    store.write_bytes(store.read_bytes()[:1000])
    assert np.array_equal(embed_clips(clips, rows, weights), first)


def test_batches_hold_every_clip_and_little_padding():
    lengths = sorted(np.random.default_rng(0).integers(1, 9_000_000, 50).tolist())
    batches = speaker_encoder._batches([str(length) for length in lengths], lengths)
    assert [int(each) for batch in batches for each in batch] == lengths
    assert all(len(batch) == 1 or len(batch) * int(batch[-1]) <= 600 * 16_000 for batch in batches)


def test_a_cache_that_cannot_be_written_is_one_line(clips, weights, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be written .* set SER_CACHE to a directory"):
        embed_clips(clips, [0], weights)


@pytest.mark.parametrize("content", [b"", b"something", None])
def test_weights_of_something_else_are_refused(tmp_path, content):
    path = tmp_path / "pretrained.pt"
    if content is None:
        torch.save({"model_state": {"lstm.weight_ih_l0": torch.zeros(2)}}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="holds no weights of the speaker encoder: pip install"):
        load_encoder(path)


def test_without_the_weights_the_audit_says_how_to_get_them(monkeypatch, cremad_root):
    monkeypatch.setattr(speaker_encoder, "find_spec", lambda name: None)
    monkeypatch.setattr("ser_lightning.training.experiment.unsplit_data", None)  # nothing is decoded before
    result = CliRunner().invoke(main, ["data", "audit", "cremad", "--root", str(cremad_root), "--voices"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "failed: --voices needs the weights of a speaker encoder: pip install --no-deps"
    )
    assert len(result.stderr.splitlines()) == 1


def test_the_audit_says_what_it_cannot_tell(monkeypatch, cremad_root, weights, own_cache):
    monkeypatch.setattr(speaker_encoder, "weights_file", lambda: weights)
    command = ["data", "audit", "cremad", "--root", str(cremad_root), "--voices"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0
    assert "speakers cannot be told apart by embeddings: 10 speakers with 60 s" in " ".join(result.stdout.split())
    plain = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert plain["speaker_similarity"]["not_compared"][0] == "1001"
    assert "speakers_not_compared" in {finding["kind"] for finding in plain["findings"]}
    plain = json.loads(CliRunner().invoke(main, [*command[:-1], "--json"]).stdout)
    assert plain["speaker_similarity"] is None

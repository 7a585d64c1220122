"""Pretrained models: every family against transformers itself, what is cached, what is learnt, what is said."""

import csv
import json
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import config, tiny_checkpoint
from lightning.pytorch import Callback
from tiny_checkpoints import FAMILIES, make_checkpoint
from torch.nn import functional

from ser_lightning import cli, load_model
from ser_lightning.inference.checkpoint import read_checkpoint
from ser_lightning.inference.over_collection import logits_of
from ser_lightning.models.nets.pretrained import Pretrained
from ser_lightning.models.pretrained import checkpoint, feature_cache
from ser_lightning.models.pretrained.checkpoint import read_encoder, remake_encoder
from ser_lightning.models.pretrained.contamination import contamination
from ser_lightning.models.pretrained.feature_cache import Clip, FeatureCache
from ser_lightning.models.pretrained.wav2vec2 import Wav2Vec2Encoder
from ser_lightning.models.pretrained.whisper_layers import WhisperLayers, read_layers
from ser_lightning.models.raw_waveform import RawWaveform
from ser_lightning.models.schedule import warmup_cosine
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.tasks.classification import Classification
from ser_lightning.training import experiment
from ser_lightning.training.experiment import make_data, make_module, train
from ser_lightning.utils.errors import UserError

transformers = pytest.importorskip("transformers", reason="pretrained models need the extra pretrained")

LENGTHS = torch.tensor([20_000, 9_001, 400, 90])  # from over a second, Whisper's window here, to less than a frame
RATE_HZ = 16_000


def clips(lengths=LENGTHS, extra=0):
    """Noise, float, with ``extra`` samples of padding beyond the longest."""
    generator = torch.Generator().manual_seed(1)
    waveform = torch.zeros(len(lengths), int(lengths.max()) + extra)
    for clip, length in zip(waveform, lengths.tolist(), strict=True):
        clip[:length] = 0.1 * torch.randn(length, generator=generator) + 0.05
    return waveform


def by_transformers(folder, samples):
    """What its own preprocessor and model make of a clip alone: (L, F, H)."""
    model, preprocessor = (
        kind.from_pretrained(folder) for kind in (transformers.AutoModel, transformers.AutoFeatureExtractor)
    )
    inputs = preprocessor(samples.numpy(), sampling_rate=RATE_HZ, return_tensors="pt")
    with torch.inference_mode():
        if "input_features" in inputs:
            output = model.get_encoder()(inputs.input_features, output_hidden_states=True)
        else:
            output = model.eval()(inputs.input_values, output_hidden_states=True)
    return torch.cat([*output.hidden_states[:-1], output.last_hidden_state])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clip_in_a_batch_is_as_transformers_makes_it_alone(family):
    encoder, source = read_encoder(str(tiny_checkpoint(family)))
    assert source.family == family.removesuffix("-group")
    encoder.eval()
    lengths = torch.tensor([16_000, 9_001, 400])
    waveform = clips(lengths, extra=3_000)
    with torch.inference_mode():
        states, frames = encoder(waveform, lengths)
    assert torch.equal(frames, encoder.frames(lengths))
    assert states.shape[1:] == (encoder.n_layers, int(frames.max()), encoder.width)
    for clip, length, own, n_frames in zip(waveform, lengths, states, frames, strict=True):
        expected = by_transformers(tiny_checkpoint(family), clip[:length])
        assert n_frames == (-(-length // 320) if family == "whisper" else expected.shape[1])
        torch.testing.assert_close(own[:, :n_frames], expected[:, :n_frames], atol=2e-5, rtol=0)


@pytest.mark.parametrize("context", ["clip", "window"])
def test_whisper_in_a_folder_is_read_as_transformers_reads_it(context, monkeypatch):
    waveform, folder = clips(), str(tiny_checkpoint("whisper"))
    encoder, source = read_encoder(folder, context=context)
    monkeypatch.setattr(checkpoint, "read_layers", lambda folder: None)
    reference, expected = read_encoder(folder, context=context)
    assert isinstance(encoder.model, WhisperLayers) and not isinstance(reference.model, WhisperLayers)
    assert (source.digest, source.contamination) == (expected.digest, expected.contamination)
    assert encoder.state_dict().keys() == reference.state_dict().keys()
    torch.testing.assert_close(encoder.filters, reference.filters)
    with torch.inference_mode():
        for states, others in zip(encoder(waveform, LENGTHS), reference.eval()(waveform, LENGTHS), strict=True):
            torch.testing.assert_close(states, others)
    remade, _ = remake_encoder(folder, source.architecture, context=context)
    remade.load_state_dict(encoder.state_dict())


@pytest.mark.parametrize("change", [{"activation_function": "relu"}, {"scale_embedding": True}, {"d_model": None}])
def test_what_is_other_than_usual_is_left_to_transformers(change, tmp_path):
    folder = make_checkpoint(tmp_path / "whisper", "whisper")
    assert read_layers(folder) is not None
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert read_layers(folder) is None


def test_whisper_encodes_a_long_clip_in_windows():
    encoder, _ = read_encoder(str(tiny_checkpoint("whisper")))
    lengths = torch.tensor([40_001, 16_000, 33])  # 2.5 windows, one, and next to nothing
    waveform = clips(lengths)
    with torch.inference_mode():
        states, frames = encoder.eval()(waveform, lengths)
        assert frames.tolist() == [126, 50, 1]
        for second, (begin, n_frames) in enumerate([(0, 50), (16_000, 50), (32_000, 26)]):
            alone, _ = encoder(waveform[:1, begin : begin + 16_000], torch.tensor([min(16_000, 40_001 - begin)]))
            torch.testing.assert_close(states[0, :, 50 * second :][:, :n_frames], alone[0])


def test_a_clip_context_costs_what_the_clip_lasts(monkeypatch):
    attended = []
    attend = functional.scaled_dot_product_attention

    def counted(q, *others, **options):
        attended.append(q.shape[-2])
        return attend(q, *others, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", counted)
    lengths = torch.tensor([4_000, 1_600])
    states = {}
    for context in ("clip", "window"):
        encoder, _ = read_encoder(str(tiny_checkpoint("whisper")), context=context)
        with torch.inference_mode():
            states[context], frames = encoder.eval()(clips(lengths), lengths)
        assert frames.tolist() == [13, 5]
    assert attended == [23, 23, 50, 50]  # two layers each; 0.2 s of silence follow the longest clip
    torch.testing.assert_close(states["clip"][:, 0, :5], states["window"][:, 0, :5])  # before any attention
    assert not torch.allclose(states["clip"][:, 1, :5], states["window"][:, 1, :5])
    with pytest.raises(UserError, match=r"context=all is not known: use clip or window"):
        read_encoder(str(tiny_checkpoint("whisper")), context="all")


def test_statistics_are_of_a_clips_own_frames():
    lengths = torch.tensor([4_000, 1_500])
    with torch.inference_mode():
        states, frames = net().backbone(clips(lengths), lengths)
        statistics, ones = net(pooling="statistics").backbone(clips(lengths), lengths)
    assert ones.tolist() == [1, 1]
    for own, n_frames, found in zip(states, frames, statistics, strict=True):
        own = own[:, :n_frames]
        torch.testing.assert_close(
            found[:, 0], torch.cat([own.mean(1), own.std(1, correction=0)], 1), atol=2e-3, rtol=0
        )


def test_a_checkpoint_from_before_there_were_statistics_fits():  # by the names of today, see below
    held = {key for key in net().state_dict() if not key.startswith("pool.")}
    assert held == {
        "layer_weights",
        "backbone._extra_state",
        *(f"{layer}.{part}" for layer in ("project", "classify") for part in ("weight", "bias")),
        *(f"norm.{part}" for part in ("running_mean", "running_var", "num_batches_tracked")),
    }
    assert net("whisper").backbone.encoder.context == "window"  # as it was, where a config says nothing of it


@pytest.mark.parametrize("mode", ["frozen", "lora", "finetune"])
def test_a_state_of_an_older_version_loads(mode):
    torch.manual_seed(0)
    network = net(mode=mode)
    older = {re.sub("^backbone", "listener", key): value for key, value in network.state_dict().items()}
    assert older.keys() != network.state_dict().keys()
    again = Pretrained(n_mels=1, n_classes=6, name=str(tiny_checkpoint()), mode=mode)
    again.load_state_dict(older)
    for key, value in network.state_dict().items():
        if not key.endswith("_extra_state"):
            assert torch.equal(again.state_dict()[key], value)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_learn_in_a_model_that_stays_as_it_is(family):
    network = net(family, mode="lora", pooling="statistics", n_hidden=8).train()
    before = {key: value.clone() for key, value in network.backbone.encoder.state_dict().items()}
    optimizer = torch.optim.SGD([{"params": group["params"]} for group in network.parameter_groups()], lr=0.5)
    for _ in range(2):  # the first step reaches but one of two matrices, as the other is 0
        optimizer.zero_grad()
        loss_of(network).backward()
        optimizer.step()
    after = network.backbone.encoder.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed and all("lora_" in key for key in changed)
    assert all(parameter.grad.any() for parameter in network.backbone.adapters)
    held = set(network.state_dict())
    assert not any("encoder" in key for key in held) and any("adapters" in key for key in held)
    again = net(family, mode="lora", pooling="statistics", n_hidden=8)
    again.load_state_dict(network.state_dict())
    with torch.inference_mode():
        learnt = answer(network.eval(), clips(), LENGTHS)
        torch.testing.assert_close(answer(again.eval(), clips(), LENGTHS), learnt)
        network.backbone.merge_adapters()
        torch.testing.assert_close(answer(network, clips(), LENGTHS), learnt, atol=1e-4, rtol=1e-4)
    assert not any("lora" in key for key in network.backbone.encoder.state_dict())


def test_adapters_for_no_layer_are_named():
    with pytest.raises(UserError, match=r"lora_targets=\['fc9'\] is not among this model's layers"):
        net("whisper", mode="lora", lora_targets=["fc9"])


@pytest.mark.parametrize(
    ("family", "targets", "said"),
    [
        ("whisper", ["q_proj", "nothing"], "nothing is none of the linear ones that can be adapted, fc1, fc2"),
        ("whisper", ["embed_positions"], "embed_positions is none of the linear ones"),
        ("whisper", "q_proj", "lora_targets=q_proj cannot be used: it is a list"),
        ("whisper", [1], r"lora_targets=\[1\] cannot be used"),
        ("wavlm", ["q_proj"], "q_proj is none of the linear ones"),  # its attention reads past any adapter
    ],
)
def test_adapters_that_could_not_learn_are_refused(family, targets, said):
    with pytest.raises(UserError, match=said):
        net(family, mode="lora", lora_targets=targets)


def test_a_rank_is_no_larger_than_what_it_adapts():
    with pytest.raises(UserError, match=r"model\.net\.lora_rank=100000 is out of range: .* at most"):
        net("whisper", mode="lora", lora_rank=100_000)


def net(family="wav2vec2", **arguments):
    torch.manual_seed(0)
    return Pretrained(n_mels=1, n_classes=6, name=str(tiny_checkpoint(family)), **arguments)


def answer(network, waveform, lengths):
    return network(*RawWaveform(sample_rate_hz=RATE_HZ)(waveform, lengths))


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("frozen", {"average_frames": 4}),
        ("frozen", {"pooling": "statistics", "context": "clip"}),
        ("lora", {"pooling": "statistics", "context": "clip"}),
        ("finetune", {"context": "clip"}),
        ("finetune", {}),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_padding_does_not_change_the_answer(family, mode, options):
    network = net(family, mode=mode, **options).eval()
    with torch.inference_mode():
        alone = torch.cat(
            [answer(network, clips()[i : i + 1, :n], LENGTHS[i : i + 1]) for i, n in enumerate(LENGTHS)]
        )
        for extra in (0, 1, 30_000):
            torch.testing.assert_close(answer(network, clips(extra=extra), LENGTHS), alone, atol=1e-4, rtol=0)


def test_averaged_frames_are_means_of_a_clips_own():
    lengths = torch.tensor([4_000, 1_500])
    with torch.inference_mode():
        (whole, frames), (averaged, fewer) = (
            net(average_frames=n).backbone(clips(lengths), lengths) for n in (1, 4)
        )
    assert (frames.tolist(), fewer.tolist()) == ([12, 4], [3, 1])
    torch.testing.assert_close(averaged[0, :, 1], whole[0, :, 4:8].mean(1))
    lengths = torch.tensor([4_000, 2_000])  # 12 and 6 frames
    with torch.inference_mode():
        (whole, _), (averaged, _) = (net(average_frames=n).backbone(clips(lengths), lengths) for n in (1, 4))
    torch.testing.assert_close(averaged[1, :, 1], whole[1, :, 4:6].mean(1))


def loss_of(network):
    logits = answer(network, clips(), LENGTHS)
    return functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3]))


@pytest.mark.parametrize("family", FAMILIES)
def test_fine_tuning_reaches_all_but_what_is_frozen(family):
    network = net(family, mode="finetune").train()
    loss_of(network).backward()
    still = {key for key, parameter in network.named_parameters() if parameter.grad is None}
    first = "conv1|conv2|embed_positions" if family == "whisper" else "feature_extractor"
    assert still == {key for key, _ in network.named_parameters() if re.search(rf"model\.({first})", key)}
    lowest = [p for key, p in network.named_parameters() if re.search(r"(?<!conv_)layers\.0\..*weight", key)]
    assert lowest and all(parameter.grad.any() for parameter in lowest)


def _without_dropout(network):
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        for name in ("dropout", "activation_dropout"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)


@pytest.mark.parametrize("family", ["wav2vec2-group", "whisper"])
def test_checkpointed_gradients_are_the_same(family):
    gradients = []
    for checkpointing in (False, True):
        network = net(
            family, mode="finetune", gradient_checkpointing=checkpointing, freeze_feature_encoder=False
        ).train()
        _without_dropout(network)
        loss_of(network).backward()
        gradients.append({key: p.grad for key, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for key in gradients[0]:
        torch.testing.assert_close(gradients[0][key], gradients[1][key], msg=key)


def module(*overrides, family="wav2vec2"):
    cfg = config("model=pretrained", f"model.net.name={tiny_checkpoint(family)}", *overrides)
    made = make_module(cfg, task=Classification(("a", "b", "c")), sample_rate_hz=RATE_HZ)
    made.trainer = type("Trainer", (), {"estimated_stepping_batches": 100})()
    return made


@pytest.mark.parametrize("family", ["wav2vec2", "wav2vec2-group", "data2vec-audio", "whisper"])
def test_deeper_layers_learn_more_slowly(family):
    tuned = module(
        "model.net.mode=finetune", "model.net.freeze_feature_encoder=false", "model.scheduler=null", family=family
    )
    groups = tuned.configure_optimizers().param_groups
    rates = [group["lr"] for group in groups]
    torch.testing.assert_close(rates, [1e-3, 3e-5, 3e-5 * 0.9, 3e-5 * 0.9**2])
    names = {parameter: key for key, parameter in tuned.net.named_parameters()}
    held = [{names[parameter] for parameter in group["params"]} for group in groups]
    assert not any("backbone" in key for key in held[0])
    assert all("layers.1." in key or "layer_norm" in key for key in held[1])
    assert all("layers.0." in key for key in held[2])
    assert any("conv" in key for key in held[3])
    assert sum(map(len, held)) == sum(p.requires_grad for p in tuned.net.parameters())
    assert len(module(family=family).make_optimizer().param_groups) == 1  # a probe's head


def test_a_schedule_that_flattens_the_rates_is_refused():
    one_cycle = "model.scheduler={_target_: torch.optim.lr_scheduler.OneCycleLR, _partial_: true, max_lr: 0.001}"
    flat = module("model.net.mode=finetune", "~model.scheduler", f"+{one_cycle}")
    with pytest.raises(UserError, match="sets one learning rate for all layers"):
        flat.configure_optimizers()
    (optimizer,), (schedule,) = module("model.net.mode=finetune").configure_optimizers()
    assert schedule["interval"] == "step"
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.03 * optimizer.param_groups[0]["lr"])


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, total_steps=20, warmup_share=0.2)
    rates = []
    for _ in range(20):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert rates[12] == pytest.approx(1.0)
    assert schedule.get_last_lr()[0] == pytest.approx(0.0)


def test_a_single_clip_trains():
    network = net().train()
    one = answer(network, clips()[:1], LENGTHS[:1])
    assert one.isfinite().all()
    assert not network.norm.running_mean.any()  # it has no statistics to give


# what is cached


def states_of(clip):
    generator = torch.Generator().manual_seed(clip.row)
    return torch.randn(3, clip.n_frames, 4, generator=generator)


def stored(folder, some, make=None):
    encoded = []

    def encode(batch):
        encoded.extend(clip.audio_hash for clip in batch)
        longest = max(clip.n_frames for clip in batch)
        padded = [functional.pad(states_of(clip), (0, 0, 0, longest - clip.n_frames)) for clip in batch]
        return torch.stack(padded), torch.tensor([clip.n_frames for clip in batch])

    kept = FeatureCache(folder, n_layers=3, width=4, title="a model")
    kept.fill(some, make or encode)
    return kept, encoded


CLIPS = [Clip(row, f"sound{row}", n_samples=320 * (row + 1), n_frames=row + 1) for row in range(9)]


def test_what_goes_in_comes_out(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "_PART_BYTES", 200)
    monkeypatch.setattr(feature_cache, "_BATCH_SAMPLES", 5_000)
    stored(tmp_path / "m", CLIPS[:4])
    twice = Clip(20, "sound3", n_samples=9, n_frames=9)  # the same sound under another name
    kept, encoded = stored(tmp_path / "m", [*CLIPS, twice])
    assert sorted(encoded) == [f"sound{row}" for row in range(4, 9)]
    reopened = FeatureCache(tmp_path / "m", n_layers=3, width=4, title="")
    for layers in ([0, 1, 2], [2], [2, 0]):
        for one in (kept, reopened):
            states, frames = one.gather(["sound3", "sound8", "sound0"], layers)
            assert frames.tolist() == [4, 9, 1]
            assert states.shape == (3, len(layers), 9, 4)
            for row, own, n_frames in zip((3, 8, 0), states, frames, strict=True):
                assert torch.equal(own[:, :n_frames], states_of(CLIPS[row])[layers].half())
                assert not own[:, n_frames:].any()
    assert len([path for path in (tmp_path / "m").iterdir() if path.is_dir()]) > 3


@pytest.mark.parametrize(("limit", "most"), [("_PART_BYTES", 200), ("_PART_CLIPS", 2)])
def test_a_broken_filling_goes_on_where_it_was(tmp_path, monkeypatch, limit, most):
    monkeypatch.setattr(feature_cache, limit, most)
    monkeypatch.setattr(feature_cache, "_BATCH_SAMPLES", 2_000)
    first = []

    def dies(batch):
        first.extend(clip.audio_hash for clip in batch)
        if len(first) > 5:
            raise KeyboardInterrupt
        return torch.stack([states_of(clip) for clip in batch]), torch.tensor([clip.n_frames for clip in batch])

    alike = [Clip(row, f"sound{row}", n_samples=960, n_frames=3) for row in range(9)]
    with pytest.raises(KeyboardInterrupt):
        stored(tmp_path / "m", alike, dies)
    assert not list((tmp_path / "m").glob("*.partial"))
    _, encoded = stored(tmp_path / "m", alike)
    assert set(encoded) | set(first) == {clip.audio_hash for clip in alike}
    assert 0 < len(encoded) < 9


def test_of_two_that_fill_at_once_one_encodes(tmp_path):
    encoded = []

    def slowly(batch):
        time.sleep(0.2)
        encoded.extend(clip.audio_hash for clip in batch)
        return torch.stack([states_of(clip) for clip in batch]), torch.tensor([clip.n_frames for clip in batch])

    alike = [Clip(row, f"sound{row}", n_samples=960, n_frames=3) for row in range(9)]
    with ThreadPoolExecutor(2) as pool:
        for kept, _ in pool.map(lambda _: stored(tmp_path / "m", alike, slowly), range(2)):
            assert kept.gather(["sound5"], [0])[1].tolist() == [3]
    assert len(encoded) == 9


def test_no_room_is_said_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 100))
    with pytest.raises(UserError, match=r"SER_CACHE.*average_frames=4.*store=false"):
        stored(tmp_path / "m", CLIPS)


# whole runs


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache, and a model to start from, of this module's own."""
    home = tmp_path_factory.mktemp("pretrained")
    make_checkpoint(home / "backbone", "wav2vec2-group")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", str(home / "cache"))
        yield home


@pytest.fixture(scope="module")
def tiny(home, cremad_root):
    def overrides(*more, name=home / "backbone"):
        return config(
            "model=pretrained",
            f"model.net.name={name}",
            "model.net.n_hidden=16",
            "model.augment=null",
            "data=cremad",
            f"data.root={cremad_root}",
            "data.batch_size=16",
            "trainer.max_epochs=2",
            "trainer.precision=32-true",
            "logger=none",
            *more,
        )

    return overrides


@pytest.fixture(scope="module")
def encoded():
    """How long the clips were that the backbone encoded."""
    encoded_lengths = []
    encode = Wav2Vec2Encoder.forward

    def counted(self, waveform, lengths):
        encoded_lengths.extend(lengths.tolist())
        return encode(self, waveform, lengths)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wav2Vec2Encoder, "forward", counted)
        yield encoded_lengths


@pytest.fixture(scope="module")
def probe(tiny, home, encoded):
    """A finished run, in which every clip was encoded."""
    run = RunDirectory(home / "probe")
    train(tiny(), run)
    assert len(encoded) == 96
    return run


def result_of(run):
    return json.loads(run.result.read_text())


def predicted(run):
    """Probabilities of the test clips, by id."""
    with run.predictions.open() as file:
        rows = list(csv.DictReader(file))
    return {row["id"]: [float(value) for key, value in row.items() if key.startswith("p_")] for row in rows}


def from_waveforms(run, cfg):
    """The same of a checkpoint that is given waveforms."""
    data, model = make_data(cfg), load_model(run.best)
    rows = list(data.split.test)
    waveform, lengths = (torch.from_numpy(array) for array in data.clips.gather(rows))
    with torch.inference_mode():
        probabilities = model(waveform, lengths).tolist()
    return {data.manifest[row].id: values for row, values in zip(rows, probabilities, strict=True)}


def assert_alike(some, others, *, within):
    assert some.keys() == others.keys()
    for key in some:
        assert some[key] == pytest.approx(others[key], abs=within)


class PowerCut(Callback):
    """Ends a run in the middle of its second epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == 1:
            raise RuntimeError("power cut")


def test_a_broken_probe_goes_on_and_nothing_is_encoded_twice(tiny, probe, encoded, tmp_path, monkeypatch):
    before = len(encoded)
    broken = RunDirectory(tmp_path / "broken")
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "progress", PowerCut)
        with pytest.raises(RuntimeError):
            train(tiny(), broken)
    train(tiny(), broken)
    assert len(encoded) == before
    assert result_of(broken)["metrics"] == result_of(probe)["metrics"]
    assert broken.predictions.read_text() == probe.predictions.read_text()


def test_training_on_cached_features_is_as_on_waveforms(tiny, probe, encoded, tmp_path):
    before = len(encoded)
    live = RunDirectory(tmp_path / "live")
    train(tiny("model.net.store=false"), live)
    assert len(encoded) - before == 2 * (48 + 24) + 24  # in every epoch, and the test
    losses = [result_of(run)["metrics"]["val"]["loss"] for run in (probe, live)]
    assert losses[0] == pytest.approx(losses[1], abs=2e-2)  # in bf16 where the hardware has it
    assert_alike(predicted(probe), predicted(live), within=2e-2)


def test_evaluation_and_calibration_read_cached_features(tiny, probe, encoded, tmp_path, monkeypatch):
    before = len(encoded)
    for command in (["eval", "--to", tmp_path / "to"], ["calibrate", "--output", tmp_path / "calibrated.ckpt"]):
        done = CliRunner().invoke(cli.main, [str(word) for word in (*command, probe.path)])
        assert done.exit_code == 0 or "does not help" in done.stderr, done.stderr
    assert len(encoded) == before
    assert_alike(predicted(RunDirectory(tmp_path / "to")), predicted(probe), within=1e-6)
    saved = read_checkpoint(probe.best)
    saved.write(tmp_path / "halved.ckpt", temperature=2.0)
    model, data = load_model(tmp_path / "halved.ckpt"), make_data(tiny())
    rows = list(data.split.test)
    waveform, lengths = (torch.from_numpy(array) for array in data.clips.gather(rows))
    with torch.inference_mode():
        expected = model.logits(waveform, lengths).numpy()
    np.testing.assert_allclose(logits_of(model, data.clips, rows, what="", batch_seconds=None), expected, atol=2e-2)


@pytest.mark.parametrize(
    ("asked", "used"),
    [("32-true", "32-true"), ("bf16-mixed", "bf16-mixed"), ("16", "bf16-mixed")],  # on a CPU, as Lightning has it
)
def test_features_are_in_the_number_format_that_is_asked_for(tiny, encoded, home, tmp_path, asked, used):
    run, again = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "again")
    caches = home / "cache" / "features"
    before = set(caches.glob("*"))
    train(tiny(f"trainer.precision={asked}", name=make_checkpoint(tmp_path / "own", seed=len(asked))), run)
    (cache,) = set(caches.glob("*")) - before
    assert cache.name.endswith("-bf16") is (used == "bf16-mixed")
    n_encoded = len(encoded)
    done = CliRunner().invoke(cli.main, ["eval", "--to", str(again.path), str(run.path)])
    assert done.exit_code == 0, done.stderr
    assert len(encoded) == n_encoded and result_of(again)["environment"]["precision"] == used
    assert_alike(predicted(again), predicted(run), within=1e-6)


def test_a_whisper_that_is_made_again_has_the_same_filters(tmp_path):
    read, source = read_encoder(str(make_checkpoint(tmp_path / "whisper", "whisper")))
    made, _ = remake_encoder(None, source.architecture)
    assert torch.equal(read.filters, made.filters)


@pytest.mark.parametrize("mode", ["frozen", "lora", "finetune"])
def test_what_learns_is_averaged_and_a_frozen_model_is_not(tiny, home, tmp_path, mode):
    make_checkpoint(tmp_path / "whisper", "whisper")
    kept = {}
    for average in ("null", "2"):
        run = RunDirectory(tmp_path / average)
        options = (f"model.net.mode={mode}", "model.net.store=false", "model.net.backbone_lr_scale=1")
        train(tiny(*options, f"callbacks.average_weights.epochs={average}", name=tmp_path / "whisper"), run)
        kept[average] = torch.load(run.last, weights_only=True)["state_dict"]
        assert load_model(run.best).task.labels
    learnt = [name for name in kept["2"] if "adapters" in name or ("encoder" in name and "fc1.weight" in name)]
    assert bool(learnt) is (mode != "frozen")
    for name in learnt or ["net.head.hidden.weight"]:
        assert torch.equal(kept["2"][name], kept["null"][name]) is (mode == "frozen")


def test_a_probe_may_know_the_speaker_from_other_clips(tiny, encoded, tmp_path):
    run, before = RunDirectory(tmp_path / "run"), len(encoded)
    cfg = tiny("model.net.pooling=statistics", "model.net.normalise=speaker")
    train(cfg, run)
    assert_alike(predicted(run), from_waveforms(run, cfg), within=2e-2)  # the clip alone
    model, data = load_model(run.best), make_data(cfg)
    rows = list(data.split.test)
    outputs = {}
    for known in (1, 3, None):
        model.speaker_clips = known
        cached, encoded_anew = (
            logits_of(model, data.clips, rows, what="", batch_seconds=None, change=change)
            for change in (None, lambda _, samples: samples)
        )
        np.testing.assert_allclose(cached, encoded_anew, atol=5e-2)
        outputs[known] = cached
    assert len({tuple(values.round(3).flatten()) for values in outputs.values()}) == 3
    one = [row for row in rows if data.manifest[row].speaker == data.manifest[rows[0]].speaker]
    clips = [clip[:length] for clip, length in zip(*data.clips.gather(one), strict=True)]
    speaker = model.fit_speaker_on_clips(clips)
    answer = model.predict(clips[0], RATE_HZ, speaker=speaker)
    expected = torch.from_numpy(outputs[None][:1]).softmax(1)[0].tolist()
    assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-2)
    assert len(encoded) > before


def test_normalised_by_speaker_statistics_have_mean_0_and_variance_1(tiny, tmp_path):
    cfg = tiny("model.net.pooling=statistics", "model.net.normalise=speaker", "+model.net.prior_clips=0")
    torch.manual_seed(0)
    data = make_data(cfg)
    module = make_module(cfg, task=data.task, sample_rate_hz=RATE_HZ).eval()
    module.speaker_statistics.alone_share = 0.0
    rows = sorted({*data.split.train, *data.split.val, *data.split.test})
    module.cache_features(data.clips, rows, training_rows=rows)
    experiment.fit_statistics(module, data)
    given = []
    module.net.head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    for speaker in data.clips.pieces_by_speaker(data.split.train):
        module.net.forward_cached(torch.tensor(speaker))
        normalised = given.pop()
        torch.testing.assert_close(normalised.mean(0), torch.zeros(normalised.shape[1]), atol=1e-2, rtol=0)
        assert normalised.var(0, correction=0).median() == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        (["model.net.normalise=speaker", "model.net.pooling=attentive"], "needs pooling=statistics"),
        (["model.net.normalise=speaker", "model.net.store=false"], "store=true"),
        (["model.net.normalise=speaker", "model.net.mode=finetune"], "mode=frozen"),
        (["model.net.normalise=clip"], "use null or speaker"),
        (["model.net.normalise=speaker", "+model.net.prior_clips=-1"], "prior_clips=-1"),
    ],
)
def test_a_probe_that_cannot_know_speakers_says_why(tiny, override, complaint):
    with pytest.raises(UserError, match=complaint):
        make_module(tiny(*override), task=Classification(("a", "b")), sample_rate_hz=RATE_HZ)


def test_a_probe_can_be_a_teacher(tiny, probe, tmp_path):
    run = RunDirectory(tmp_path / "student")
    overrides = [text for text in probe.read_overrides() if text.startswith("data")]
    root = tiny().data.root
    small = ["model.net.channels=[4,4]", "trainer.max_epochs=1", "logger=none", "data=cremad", f"data.root={root}"]
    train(config("model=cnn", *small, *overrides, f"model.teacher={probe.path}"), run)
    assert result_of(run)["teacher"]["name"] == "pretrained"


def test_a_probe_that_knows_speakers_tries_a_batch_without_encoding_all(tiny, encoded, tmp_path):
    before = len(encoded)
    more = ["model.net.pooling=statistics", "model.net.normalise=speaker", "trainer.fast_dev_run=true"]
    train(tiny(*more), RunDirectory(tmp_path / "run"))
    assert 0 < len(encoded) - before < 96


def test_what_is_said_of_a_probe(probe, home):
    told = result_of(probe)["model"]
    assert told["parameters"] < told["pretrained"]["parameters"]
    assert told["pretrained"] | {"digest": "", "parameters": 0} == {
        "name": str(home / "backbone"),
        "family": "wav2vec2",
        "mode": "frozen",
        "digest": "",
        "parameters": 0,
    }
    assert result_of(probe)["contamination"] is None


def test_a_probes_checkpoint_takes_waveforms_and_the_same_model_only(tiny, probe, home):
    checkpoint = torch.load(probe.best, weights_only=True)
    assert not any("encoder" in key for key in checkpoint["state_dict"])
    assert_alike(predicted(probe), from_waveforms(probe, tiny()), within=2e-2)
    (home / "backbone").rename(home / "elsewhere")
    try:
        with pytest.raises(UserError, match=r"backbone is no folder"):
            load_model(probe.best)
        make_checkpoint(home / "backbone", "wav2vec2-group", seed=1)
        with pytest.raises(UserError, match="not the model that this checkpoint was trained on"):
            load_model(probe.best)
    finally:
        shutil.rmtree(home / "backbone", ignore_errors=True)
        (home / "elsewhere").rename(home / "backbone")


def test_a_tuned_model_needs_nothing_but_its_checkpoint(tiny, home, tmp_path):
    run, backbone = RunDirectory(tmp_path / "run"), tmp_path / "backbone"
    shutil.copytree(home / "backbone", backbone)
    before, source = read_encoder(str(backbone))
    cfg = tiny("model.net.mode=finetune", "trainer.max_epochs=1", "model.optimizer.lr=0.1", name=backbone)
    train(cfg, run)
    shutil.rmtree(backbone)
    assert_alike(predicted(run), from_waveforms(run, cfg), within=1e-4)
    content = torch.load(run.best, weights_only=True)  # as an older version wrote it
    weights = content["state_dict"]
    older = {key.replace("net.backbone.", "net.listener."): value for key, value in weights.items()}
    torch.save({**content, "state_dict": older}, tmp_path / "older.ckpt")
    (own, same) = (load_model(path).state_dict() for path in (run.best, tmp_path / "older.ckpt"))
    assert own.keys() == same.keys() and all(torch.equal(own[key], same[key]) for key in own if "_extra" not in key)
    model = load_model(run.best)
    assert model.net.description()["pretrained"] == result_of(run)["model"]["pretrained"]
    assert model.net.description()["pretrained"]["digest"] == source.digest  # what it began as
    tuned = model.net.backbone.encoder.state_dict()
    changed = {key for key, value in before.state_dict().items() if not torch.equal(value, tuned[key])}
    assert any("layers.0." in key for key in changed)
    assert not any("feature_extractor" in key for key in changed)


def test_emotional_pretraining_is_said_with_the_result(tiny, home, tmp_path, capsys):
    labels = {"id2label": {0: "angry", 1: "happy"}, "label2id": {"angry": 0, "happy": 1}}
    run, tainted = RunDirectory(tmp_path / "run"), make_checkpoint(tmp_path / "tainted", seed=2, **labels)
    caches = home / "cache" / "features"
    before = set(caches.glob("*"))
    train(tiny("trainer=debug", name=tainted), run)
    assert set(caches.glob("*")) == before  # it was one batch of each
    said = "tainted was trained on emotional speech (its labels are angry, happy)"
    assert result_of(run)["contamination"].startswith(said)
    printed = " ".join(capsys.readouterr().out.split())
    assert said in printed
    assert f"built on {tainted}" in printed


@pytest.mark.parametrize(
    ("name", "labels", "corpora"),
    [
        ("emotion2vec/emotion2vec_plus_large", (), "MSP-Podcast"),
        ("superb/wav2vec2-base-superb-er", (), "IEMOCAP"),
        ("audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim", (), "MSP-Podcast"),
        ("ehcalabres/wav2vec2-lg-xlsr-en-speech-emotion-recognition", (), "RAVDESS"),
        ("speechbrain/emotion-recognition-wav2vec2-IEMOCAP", (), "IEMOCAP"),
        ("somebody/hubert-large-ser-v2", (), "emotional speech"),
        ("somebody/wavlm-cremad", (), "emotional speech"),
        ("mine", ("ANG", "HAP"), "emotional speech"),
        ("facebook/wav2vec2-base", ("LABEL_0", "LABEL_1"), None),
        ("microsoft/wavlm-base-plus", (), None),
        ("facebook/hubert-large-ls960-ft", (), None),
        ("openai/whisper-small", (), None),
        ("superb/wav2vec2-base-superb-ks", ("yes", "no", "up"), None),
    ],
)
def test_which_models_were_trained_on_emotional_speech(name, labels, corpora):
    said = contamination(name, labels)
    assert said is None if corpora is None else f"trained on {corpora}" in said or f"{corpora}" in said


def test_what_whisper_was_trained_on_is_not_known():
    assert "is not known, and may hold published corpora" in contamination("whisper-base", family="whisper")


# what cannot be had


def spoil(folder, what):
    """A checkpoint without, or with a broken, part."""
    make_checkpoint(folder)
    config_file, weights = folder / "config.json", folder / "model.safetensors"
    settings = json.loads(config_file.read_text())
    if what in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (folder / what).unlink()
    elif what == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif what == "deeper":
        config_file.write_text(json.dumps(settings | {"num_hidden_layers": 3}))
    elif what == "text":
        config_file.write_text(json.dumps({"model_type": "bert"}))
    elif what == "rate":
        transformers.Wav2Vec2FeatureExtractor(sampling_rate=8_000).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("config.json", r"cannot be read: config\.json is not there, or not whole"),
        ("preprocessor_config.json", r"cannot be read: preprocessor_config\.json is not there"),
        ("model.safetensors", r"cannot be read: the file of weights is not there"),
        ("cut", r"cannot be read: the file of weights is not there, or not whole"),
        ("deeper", r"lacks \d+ of its weights, encoder\.layers\.2"),
        ("text", "is a bert: known are wav2vec2, hubert, wavlm, data2vec-audio, whisper"),
        ("rate", "takes 8000 samples a second"),
    ],
)
def test_a_broken_folder_is_said_in_a_line(tmp_path, what, said):
    with pytest.raises(UserError, match=said) as error:
        read_encoder(spoil(tmp_path / "folder", what))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "needs to know which: model.net.name="),
        ("facebook/wav2vec2-base", "no connection to the hub, or no such model. Put its files in a folder"),
        ("/nowhere/at/all", "is no folder"),
        ("./nowhere", "is no folder"),
        ("models/of/mine", "is no folder"),
    ],
)
def test_what_is_nowhere_is_said_in_a_line(name, said):
    with pytest.raises(UserError, match=said) as error:
        read_encoder(name)
    assert "\n" not in str(error.value)


def test_without_transformers_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"needs transformers: pip install .*\[pretrained\]"):
        read_encoder("facebook/wav2vec2-base")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "freeze"}, "use frozen, lora, finetune"),
        ({"layers": [3]}, r"layers=\[3\] is not among the layers of this model, 0 to 2"),
        ({"average_frames": 0}, "less than 1"),
        ({"n_mels": 80}, "takes waveforms"),
    ],
)
def test_options_that_are_not_there_are_named(arguments, said):
    with pytest.raises(UserError, match=said):
        Pretrained(**{"n_mels": 1, "n_classes": 2, "name": str(tiny_checkpoint())} | arguments)


def test_a_digest_is_of_what_decides_the_answer(tmp_path):
    def digest(name, **changes):
        return read_encoder(str(make_checkpoint(tmp_path / name, **changes)))[1].digest

    one = digest("one")
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    assert read_encoder(str(tmp_path / "copy"))[1].digest == one
    model = transformers.AutoModel.from_pretrained(tmp_path / "one")
    model.config.name_or_path = "elsewhere"
    model.save_pretrained(tmp_path / "copy")
    assert read_encoder(str(tmp_path / "copy"))[1].digest == one
    assert len({one, digest("other", seed=1), digest("activation", hidden_act="relu")}) == 3


def test_waveforms_become_floats_without_their_padding():
    waveform = torch.tensor([[16_384, -32_768, 5], [100, 100, 100]], dtype=torch.int16)
    lengths = torch.tensor([3, 1])
    features, same = RawWaveform(sample_rate_hz=RATE_HZ)(waveform, lengths)
    assert features.tolist() == [[[0.5, -1.0, 5 / 32_768]], [[100 / 32_768, 0, 0]]]
    assert same is lengths
    with pytest.raises(UserError, match="16000 samples a second, and clips have 8000"):
        RawWaveform(sample_rate_hz=8_000)

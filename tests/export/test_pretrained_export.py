"""Exported pretrained models: every family, mode, pooling and context answers as PyTorch does, at any length."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import tiny_checkpoint
from made_export import make_telling
from tiny_checkpoints import FAMILIES, WHISPER_TINY

from ser_lightning import cli, load_model
from ser_lightning.export.exportable import exportable
from ser_lightning.export.parity import probes
from ser_lightning.models.nets.pretrained import Pretrained

pytest.importorskip("transformers", reason="pretrained models need the extra pretrained")

RATE_HZ = 16_000
SECONDS = ((2.6, 0.01, 1.0, 0.3), (0.7, 0.7), (0.1,), (0.00007,))  # the tiny Whisper has windows of a second
VARIANTS = (("frozen", "statistics"), ("lora", "attentive"), ("finetune", "mean_max"))
CONTEXTS = [(family, "clip") for family in FAMILIES] + [("whisper", "window")]


def telling_net(family, context, mode, pooling):
    """A network with norms and adapters as after training."""
    torch.manual_seed(0)
    options = {"context": context, "mode": mode, "pooling": pooling, "n_hidden": 16, "average_frames": 3}
    net = Pretrained(n_mels=1, n_classes=6, name=str(tiny_checkpoint(family)), **options).eval()
    for name, tensor in net.state_dict().items():
        if name.endswith("running_mean") or ".adapters." in name:
            tensor.uniform_(-0.5, 0.5)
    return net


@pytest.mark.parametrize(("mode", "pooling"), VARIANTS)
@pytest.mark.parametrize(("family", "context"), CONTEXTS)
def test_what_is_exported_answers_as_the_network(family, context, mode, pooling):
    pytest.importorskip("peft", reason="adapters need the extra pretrained")
    net = telling_net(family, context, mode, pooling)
    batches = [probes(seconds, RATE_HZ, padding_s=0.4) for seconds in SECONDS]
    with torch.inference_mode():
        expected = [net(waveform[:, None], lengths) for waveform, lengths in batches]
        twin = exportable(net)
        for (waveform, lengths), answer in zip(batches, expected, strict=True):
            torch.testing.assert_close(twin(waveform[:, None], lengths), answer, atol=1e-5, rtol=1e-4)
            assert torch.equal(net(waveform[:, None], lengths), answer)  # is as it was
    assert not any(hasattr(module, "lora_A") for module in twin.modules())


def export(checkpoint, capsys):
    """What the command wrote: a session of onnxruntime, and its lines."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="exporting needs the extra export")
    pytest.importorskip("onnxscript", reason="exporting needs the extra export")
    file = checkpoint.with_suffix(".onnx")
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", str(checkpoint)])
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    assert file.parent == checkpoint.parent and [path.suffix for path in sorted(file.parent.iterdir())] == [
        ".ckpt",
        ".onnx",
    ]
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]), said.out.splitlines()


def logits(session, waveform, lengths):
    """The answer's logarithms, in which no difference is lost that a probability near 1 would hide."""
    (found,) = session.run(None, {"waveform": np.asarray(waveform), "lengths": np.asarray(lengths)})
    return np.log(found)


def compare(session, model, batches, *, tolerance):
    """Batches in both; and their clips alone, without padding, in onnxruntime."""
    for seconds in batches:
        waveform, lengths = probes(seconds, RATE_HZ, padding_s=0.5)
        with torch.inference_mode():
            expected = model.logits(waveform, lengths).log_softmax(-1).numpy()
        together = logits(session, waveform, lengths)
        assert np.abs(together - expected).max() < tolerance
        for clip, length, own in zip(waveform, lengths, together, strict=True):
            assert (
                np.abs(logits(session, clip[None, :length], lengths[:0].new_tensor([length])) - own).max()
                < tolerance
            )


def test_a_model_with_adapters_becomes_one_file(tmp_path, capsys):
    pytest.importorskip("peft", reason="adapters need the extra pretrained")
    settings = ("model=pretrained", "model.net.mode=lora", "model.net.pooling=attentive")
    folder = tiny_checkpoint("whisper")
    checkpoint = make_telling(tmp_path / "best.ckpt", "data=toy", f"model.net.name={folder}", *settings)
    session, (where, difference, _) = export(checkpoint, capsys)
    assert where.startswith("pretrained: ") and "of 0.01 to 35 s" in difference
    compare(session, load_model(checkpoint), SECONDS, tolerance=1e-3)
    said = session.get_modelmeta().custom_metadata_map
    about = json.loads(said["pretrained"])
    assert (about["name"], about["family"], about["mode"]) == (str(folder), "whisper", "lora")
    assert len(json.loads(said["labels"])) == session.get_outputs()[0].shape[1]
    assert (said["model"], said["sample_rate_hz"]) == ("pretrained", "16000")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "pooling"), VARIANTS)
@pytest.mark.parametrize(("family", "context"), CONTEXTS)
def test_every_family_and_mode_is_exported(family, context, mode, pooling, tmp_path, capsys):
    pytest.importorskip("peft", reason="adapters need the extra pretrained")
    named = {"name": tiny_checkpoint(family), "context": context, "mode": mode, "pooling": pooling}
    settings = [f"model.net.{key}={value}" for key, value in named.items()]
    overrides = ("data=toy", "model=pretrained", "+model.net.architecture=null", *settings)
    checkpoint = make_telling(tmp_path / "best.ckpt", *overrides)
    compare(export(checkpoint, capsys)[0], load_model(checkpoint), SECONDS, tolerance=1e-3)


@pytest.mark.skipif(not WHISPER_TINY.is_dir(), reason=f"{WHISPER_TINY} is not there")
def test_whisper_itself_is_exported(tmp_path, capsys):
    settings = ("data=toy", "experiment=whisper", f"model.net.name={WHISPER_TINY}")
    checkpoint = make_telling(tmp_path / "best.ckpt", *settings)
    session, _ = export(checkpoint, capsys)
    model = load_model(checkpoint)
    compare(session, model, ((0.1,), (2.5, 0.4), (35.0, 1.1), (29.9,)), tolerance=1e-3)
    answer = logits(session, *probes((2.5,), RATE_HZ))
    assert np.ptp(answer) > 1 and math.isfinite(answer.sum())  # or nothing was compared

"""An exported file: what it says of itself, that it runs without PyTorch, and that none is left that is wrong."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import torch
from conftest import names_in
from made_export import TEMPERATURE, make_telling_checkpoint

from ser_lightning import __version__, cli, load_model
from ser_lightning.data.corpora.cremad import EMOTIONS
from ser_lightning.export import custom_ops
from ser_lightning.inference.checkpoint import read_checkpoint
from ser_lightning.models.layers.gru import BidirectionalGRU

pytest.importorskip("onnxruntime", reason="exporting needs the extra export")
pytest.importorskip("onnxscript", reason="exporting needs the extra export")

SMALL = ("model=cnn_gru", "model.net.channels=[8,16]", "model.net.n_units=16", "model.frontend.n_mels=16")
LENGTHS_S = ((0.01,), (2.5,), (12, 0.011, 3.3333, 1.0001), (0.7, 0.7))
ALONE = """
import sys
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
given = np.load(sys.argv[2])
for number in range(len(given.files) // 3):
    inputs = {name: given[f"{name}{number}"] for name in ("waveform", "lengths")}
    (found,) = session.run(["probabilities"], inputs)
    assert found.dtype == np.float32
    print(float(np.abs(found - given[f"expected{number}"]).max()))
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def checkpoint(folder, cremad_root):
    return make_telling_checkpoint(folder / "best.ckpt", cremad_root, *SMALL)


@pytest.fixture(scope="module")
def exported(folder, checkpoint):
    """The file, and what the command said: on stdout, on stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        cli.main(["export", str(checkpoint), "--to", "onnx"])
    assert not ended.value.code, err.getvalue()
    return folder / "best.onnx", out.getvalue().splitlines(), err.getvalue().splitlines()


def clips(seconds, *, extra=500):
    """Noise, each clip at its own level: (waveform, lengths)."""
    random = np.random.default_rng(7)
    lengths = np.array([round(s * 16_000) for s in seconds])
    waveform = np.zeros((len(lengths), lengths.max() + extra), np.float32)
    for clip, length in zip(waveform, lengths, strict=True):
        clip[:length] = random.uniform(0.01, 0.3) * random.standard_normal(length)
    return waveform.clip(-1, 1), lengths


def differences_alone(file, checkpoint, place):
    """Of each batch of `LENGTHS_S`, how far a process without PyTorch is off what PyTorch says."""
    model, given = load_model(checkpoint), {}
    for number, seconds in enumerate(LENGTHS_S):
        waveform, lengths = clips(seconds)
        with torch.inference_mode():
            expected = model(torch.from_numpy(waveform), torch.from_numpy(lengths)).numpy()
        given |= {f"waveform{number}": waveform, f"lengths{number}": lengths, f"expected{number}": expected}
    telling = max(given[f"expected{number}"].max() for number in range(len(LENGTHS_S)))
    assert telling > 0.25  # or the comparison would say little
    np.savez(place, **given)
    code = [sys.executable, "-c", ALONE, str(file), str(place)]
    done = subprocess.run(code, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [float(line) for line in done.stdout.split()]


def test_the_translations_are_the_operators():
    import onnxruntime

    from ser_lightning.export.onnx_ops import TRANSLATIONS

    gru, recurrence = TRANSLATIONS.values()
    torch.manual_seed(0)
    x, lengths = torch.randn(7, 3, 5), torch.tensor([7, 1, 4])
    weights = torch.randn(2, 12, 5), torch.randn(2, 12, 4), torch.randn(2, 12), torch.randn(2, 12)
    found = gru(*(tensor.numpy() for tensor in (x, lengths, *weights)))
    expected = custom_ops.bidirectional_gru(x, lengths, *weights).numpy()
    np.testing.assert_allclose(found.value, expected, atol=1e-5)

    v, delta, B, C = torch.randn(9, 2, 6), torch.rand(9, 2, 6), torch.randn(9, 2, 4), torch.randn(9, 2, 4)
    given = {"v": v, "delta": delta, "B": B, "C": C, "A": -torch.rand(4, 6)}
    session = onnxruntime.InferenceSession(recurrence.to_model_proto().SerializeToString())
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
    np.testing.assert_allclose(found, custom_ops.recurrence(*given.values()).numpy(), atol=1e-5)


def test_it_runs_without_pytorch_and_says_the_same(exported, checkpoint, tmp_path):
    differences = differences_alone(exported[0], checkpoint, tmp_path / "given.npz")
    assert len(differences) == len(LENGTHS_S) and max(differences) < 1e-4


def test_padding_does_not_change_the_answer(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported[0], providers=["CPUExecutionProvider"])
    waveform, lengths = clips((1.9, 0.01, 0.777))
    (together,) = session.run(None, {"waveform": waveform, "lengths": lengths})
    for clip, length, expected in zip(waveform, lengths, together, strict=True):
        (alone,) = session.run(None, {"waveform": clip[None, :length], "lengths": np.array([length])})
        assert np.allclose(alone[0], expected, atol=1e-5)


def test_the_file_says_how_to_use_it(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported[0], providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape, each.type) for each in session.get_inputs()] == [
        ("waveform", ["batch", "samples"], "tensor(float)"),
        ("lengths", ["batch"], "tensor(int64)"),
    ]
    (output,) = session.get_outputs()
    assert (output.name, output.shape) == ("probabilities", ["batch", 6])
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["labels"]) == sorted(EMOTIONS.values())
    assert (said["sample_rate_hz"], said["model"], said["ser_lightning"]) == ("16000", "cnn_gru", __version__)
    assert float(said["temperature"]) == TEMPERATURE
    assert json.loads(said["protocol"])["corpus"] == "cremad"
    assert "\n" not in said["usage"] and "16000 Hz" in said["usage"] and "float32" in said["usage"]


def test_the_command_says_what_matters_and_no_more(exported):
    file, (where, difference, speed), remarks = exported
    assert str(file) in where and "MB" in where
    assert float(difference.split()[2]) < 1e-4
    assert speed.count(" ms ") == 2
    assert remarks == ["exporting cnn_gru, which takes some ten seconds"]


def test_a_file_that_is_off_is_not_written(exported, checkpoint, tmp_path, capsys, monkeypatch):
    content = exported[0].read_bytes()
    monkeypatch.setattr("ser_lightning.export.onnx_file.to_onnx", lambda model: content)
    other = tmp_path / "other.ckpt"
    read_checkpoint(checkpoint).write(other, temperature=2 * TEMPERATURE)  # the file is of another temperature
    place = tmp_path / "model.onnx"
    place.write_bytes(b"as it was")
    assert failure(capsys, "export", other, "--output", place).startswith(
        "failed: cnn_gru was not exported: probabilities would be up to 0."
    )
    assert place.read_bytes() == b"as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "other.ckpt"]
    assert failure(capsys, "export", checkpoint, "--output", tmp_path / "no" / "model.onnx").endswith(
        "is not there"
    )


def test_what_cannot_run_is_not_written(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ser_lightning.export.onnx_file.to_onnx", lambda model: b"nonsense")
    assert "onnxruntime cannot run" in failure(capsys, "export", checkpoint, "--output", tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_exported_is_said_in_a_line(checkpoint, tmp_path, capsys, monkeypatch):
    from ser_lightning.export import onnx_file

    place = tmp_path / "model.onnx"
    command = ("export", checkpoint, "--output", place)
    with monkeypatch.context() as patch:
        patch.setattr(onnx_file, "_MOST_BYTES", 1000)
        assert "cnn_gru cannot be exported: its weights take" in failure(capsys, *command)
    with monkeypatch.context() as patch:
        patch.setattr(onnx_file, "LogMel", torch.nn.Identity)  # a front-end of someone else
        assert failure(capsys, *command).endswith("only LogMel and RawWaveform can be, and it has LogMel")
    with monkeypatch.context() as patch:
        patch.setattr(BidirectionalGRU, "forward", lambda self, x, lengths: x[:, : int(lengths.max())])
        patch.setattr(onnx_file, "exportable", lambda net: net)
        assert "cnn_gru cannot be exported: Could not" in failure(capsys, *command)
    assert not any(tmp_path.iterdir())


def test_without_the_extra_it_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ser_lightning.commands.export.find_spec", lambda name: None)
    assert "pip install -c constraints.txt -e '.[export]'" in failure(capsys, "export", tmp_path)


def failure(capsys, *arguments):
    """The one line that a command fails with."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(map(str, arguments)))
    assert ended.value.code == 1
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if not line.startswith("exporting")]
    assert said.out == "" and len(lines) == 1
    return lines[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [*(name for name in names_in("model") if name not in ("opensmile", "pretrained")), "cnn experiment=by_speaker"],
)
def test_every_network_can_be_exported(name, cremad_root, tmp_path):
    checkpoint = make_telling_checkpoint(tmp_path / "best.ckpt", cremad_root, *f"model={name}".split())
    file = tmp_path / "model.onnx"
    command = [sys.executable, "-m", "ser_lightning.cli", "export", str(checkpoint), "--output", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert all(line.startswith(("exporting ", "the selective scan ")) for line in done.stderr.splitlines())
    differences = differences_alone(file, checkpoint, tmp_path / "given.npz")
    assert len(differences) == len(LENGTHS_S) and max(differences) < 1e-4

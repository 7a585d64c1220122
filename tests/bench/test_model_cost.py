"""What `ser models` measures, against counts by hand."""

import io
import json

import pytest
import torch
from rich.console import Console

from ser_lightning.bench import model_cost as module
from ser_lightning.bench.model_cost import model_table
from ser_lightning.commands.models import print_models
from ser_lightning.utils.errors import UserError

# four 3×3 convolutions and the 1×1 shortcut over 80 mel bins, and 101 frames with their margins, padded to 112
STACK = 9 * (80 * 112 * 32 + 40 * 56 * 32 * 64 + 20 * 28 * 64 * 128 + 10 * 14 * 128 * 256) + 40 * 56 * 64
# queries, keys, values and their sum, the feed-forward part, and the two products of attention, on seven frames
LAYER = 7 * (4 * 128 * 128 + 2 * 128 * 512) + 2 * 7 * 7 * 128
HAND_COUNTED = {
    "cnn": STACK + 7 * 1280 * 256 + 7 * (256 * 64 + 64) + 512 * 6,
    "cnn_transformer": STACK + 7 * 1280 * 128 + 2 * LAYER + 7 * (128 * 64 + 64) + 256 * 6,
}


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(module, "BATCH_SIZE", 2)
    monkeypatch.setattr(module, "N_TIMED", 1)


def printed(table):
    console = Console(width=100, file=io.StringIO(), markup=False, highlight=False)
    print_models(table, console)
    return console.file.getvalue()


def test_multiplications_are_those_counted_by_hand():
    table = model_table(list(HAND_COUNTED))
    assert {cost.name: cost.macs for cost in table.models} == HAND_COUNTED
    cnn = table.models[0]
    assert cnn.parameters == 736_454
    assert min(cnn.train_clips_per_s, cnn.inference_clips_per_s) > 0
    row = next(line.split() for line in printed(table).splitlines() if line.startswith("cnn "))
    assert row[:4] == ["cnn", "736,454", "129", "M"]
    assert json.loads(json.dumps(table.to_json()))["models"][0]["macs"] == HAND_COUNTED["cnn"]


def test_a_model_that_cannot_be_made_says_what_it_needs(monkeypatch):
    make = module.make_module

    def without_transformers(config, **options):
        if config.model.name == "cnn_gru":
            raise UserError("pip install -e '.[pretrained]' brings transformers")
        return make(config, **options)

    monkeypatch.setattr(module, "make_module", without_transformers)
    table = model_table(["cnn_gru", "cnn"])
    assert [cost.parameters for cost in table.models] == [None, 736_454]
    text = printed(table)
    assert "cnn_gru needs more: pip install -e '.[pretrained]' brings transformers" in text
    assert json.loads(json.dumps(table.to_json()))["models"][0]["train_clips_per_s"] is None


def test_a_slow_model_is_not_timed_for_ever(monkeypatch):
    clock = iter(range(0, 1000, 15))
    monkeypatch.setattr(module, "N_TIMED", 5)
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    calls = []
    assert module._clips_per_s(lambda: calls.append(1), torch.device("cpu")) == 2 / 15
    assert len(calls) == 3

"""The notebook's later networks against their literal form."""

import torch
from torch.nn import functional

from ser_lightning.models.nets.notebook import NotebookCNNTransformer, NotebookResNet18


def test_the_notebooks_cnn_transformer_to_the_letter():
    torch.manual_seed(0)
    net = NotebookCNNTransformer(n_mels=128, n_classes=6).eval()
    features = torch.rand(2, 128, 130)
    x = functional.pad(features, (0, 30))[:, None]  # (2, 1, 128, 160)
    for conv in net.convs:
        x = functional.max_pool2d(conv(x), 2)
        x = functional.relu(functional.layer_norm(x, x.shape[1:]))  # as they begin: of weight 1 and bias 0
    assert x.shape == (2, 256, 8, 10)
    x = net.project(x.permute(0, 3, 1, 2).reshape(2, 10, 2048))
    positions = torch.zeros(10, 256)
    for position in range(10):
        for pair in range(128):
            angle = torch.tensor(position / 10_000 ** (2 * pair / 256))
            positions[position, 2 * pair] = angle.sin()
            positions[position, 2 * pair + 1] = angle.cos()
    x = x + positions
    for layer in net.encoder.layers:
        x = layer.norm1(x + layer.self_attn(x, x, x)[0])
        x = layer.norm2(x + layer.linear2(functional.relu(layer.linear1(x))))
    expected = net.head[2](functional.relu(net.head[0](x.mean(1))))
    torch.testing.assert_close(net(features, torch.tensor([130, 130])), expected, atol=1e-5, rtol=1e-4)


def test_the_notebooks_layer_norms_are_kept():
    kept = NotebookCNNTransformer(n_mels=128, n_classes=6).state_dict()
    assert [kept[f"norms.{number}.weight"].shape for number in range(4)] == [
        (32, 64, 80),
        (64, 32, 40),
        (128, 16, 20),
        (256, 8, 10),
    ]


def test_the_notebooks_resnet_uses_all_of_160_frames():
    torch.manual_seed(0)
    net = NotebookResNet18(n_mels=128, n_classes=6).eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == 11_173_318
    features, lengths = torch.rand(2, 128, 130), torch.tensor([130, 70])
    whole = functional.pad(features, (0, 30))
    x, steps = net.stack(whole, torch.tensor([160, 160]))
    assert steps.tolist() == [5, 5]
    torch.testing.assert_close(net(features, lengths), net.classify(x.mean((2, 3))))

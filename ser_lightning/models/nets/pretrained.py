"""A small head on a pretrained speech model, which is frozen (a probe), adapted or fine-tuned.

B: clips.  T: samples of the longest clip.  L: layers that are used, what goes into the first one counted as one.
F: frames of the longest clip.  D: width.  M: statistics of a clip, L times D.  K: classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.pooling import make_pooling
from ser_lightning.models.nets.network import Network
from ser_lightning.models.pretrained.backbone import Backbone
from ser_lightning.models.pretrained.feature_cache import Clip, FeatureCache
from ser_lightning.models.pretrained.statistics import StatisticsHead, batch_standardised
from ser_lightning.models.speaker_statistics import ClipMoments, SpeakerStatistics
from ser_lightning.models.state_dicts import rename_keys
from ser_lightning.utils.errors import UserError, check, check_choice
from ser_lightning.utils.files import cache_root

STATISTICS = "statistics"
_EPS = 1e-6


class Pretrained(Network):
    """A head over the layers of a model that is frozen, has adapters, or learns itself.

    With the pooling "statistics" it is a `StatisticsHead`: mean and standard deviation of every layer over the
    clip, joined, and a small network over them. With any other: a learnt mean of the layers, a projection, pooling
    over time and a linear layer. That is as in SUPERB (Yang et al., 2021, arXiv 2105.01051), but that layers are
    normalised first, and that what was pooled is standardised over the batch, as in the linear probes of He et al.,
    2021 (arXiv 2111.06377, A.1).

    Args:
        n_mels, n_classes: 1, that of a `RawWaveform`, and K.
        name: a model on the hub, or the folder of one.
        mode: "frozen" (a probe; its checkpoints name the model), "lora" (adapters learn; its checkpoints hold
            these, and name the model) or "finetune" (its checkpoints hold the model).
        context: of Whisper: "clip", or "window", 30 s as in its training.
        layers: which are used, from 0; None takes all.
        average_frames: how many neighbouring frames become one.
        store: cache the features of a frozen model on disk; see `cache_features`.
        n_hidden: of the projection, at each frame, or of the `StatisticsHead`.
        pooling: over time, "statistics" or a name in `layers.pooling.POOLINGS`.
        dropout: before the last layer.
        input_dropout: of the `StatisticsHead`.
        normalise: "speaker": the statistics of a clip by those of its speaker's clips
            (`models.speaker_statistics`), which come from the clip alone where none are given; None: not.
        prior_clips: with "speaker", of `SpeakerStatistics`.
        lora_rank, lora_alpha, lora_dropout, lora_targets: of `add_adapters`.
        freeze_feature_encoder, gradient_checkpointing, architecture: of the `Backbone`.
        backbone_lr_scale: the learning rate of the uppermost layer, or its adapters, over the head's.
        layer_lr_decay: each layer's learning rate over that of the layer above it.
    """

    def __init__(
        self,
        *,
        n_mels: int,
        n_classes: int,
        name: str | None = None,
        mode: str = "frozen",
        context: str = "window",
        layers: Sequence[int] | None = None,
        average_frames: int = 1,
        store: bool = True,
        n_hidden: int = 256,
        pooling: str = "attentive",
        dropout: float = 0.2,
        input_dropout: float = 0.5,
        normalise: str | None = None,
        prior_clips: float = 3.0,
        lora_rank: int = 8,
        lora_alpha: float = 16.0,
        lora_dropout: float = 0.0,
        lora_targets: Sequence[str] | None = None,
        freeze_feature_encoder: bool = True,
        gradient_checkpointing: bool = False,
        backbone_lr_scale: float = 0.03,
        layer_lr_decay: float = 0.9,
        architecture: str | None = None,
    ):
        super().__init__()
        if n_mels != 1:
            raise UserError("a pretrained model takes waveforms: model.frontend must be a RawWaveform")
        self.backbone = Backbone(
            name=name,
            mode=mode,
            context=context,
            statistics=pooling == STATISTICS,
            average_frames=average_frames,
            adapters={"rank": lora_rank, "alpha": lora_alpha, "dropout": lora_dropout, "targets": lora_targets},
            freeze_feature_encoder=freeze_feature_encoder,
            gradient_checkpointing=gradient_checkpointing,
            architecture=architecture,
        )
        self._layers = _used_layers(layers, self.backbone.n_layers)
        self._lr_scale, self._lr_decay = backbone_lr_scale, layer_lr_decay
        self._may_cache = store and mode == "frozen"
        self._cache: FeatureCache | None = None
        self._hashes: Sequence[str] = ()
        self.head: StatisticsHead | None = None
        self.speaker_statistics: SpeakerStatistics | None = None
        n_inputs = len(self._layers) * self.backbone.width
        check_choice("model.net.", (None, "speaker"), normalise=normalise)
        if normalise == "speaker":
            if pooling != STATISTICS or not self._may_cache:
                raise UserError("model.net.normalise=speaker needs pooling=statistics, mode=frozen and store=true")
            check("model.net.", at_least=0, prior_clips=prior_clips)
            self.speaker_statistics = SpeakerStatistics(n_inputs, prior_clips=prior_clips, untrained=(0.0, 1.0))
        if pooling == STATISTICS:
            self.head = StatisticsHead(
                n_inputs=n_inputs,
                n_classes=n_classes,
                n_hidden=n_hidden,
                input_dropout=input_dropout,
                dropout=dropout,
            )
            return
        self.layer_weights = nn.Parameter(torch.zeros(len(self._layers)))
        self.project = nn.Linear(self.backbone.width, n_hidden)
        self.pool = make_pooling(pooling, n_hidden)
        self.norm = nn.BatchNorm1d(self.pool.n_outputs, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.pool.n_outputs, n_classes)

    def forward(self, features: Tensor, lengths: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Map (B, 1, T), (B,) samples to logits (B, K).

        ``statistics`` (B, 2, M): of each clip's speaker, where it normalises by speaker.
        """
        return self.forward_head(*self.forward_features(features, lengths), statistics)

    def forward_features(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 1, T), (B,) to (B, L, F, D), (B,)."""
        states, frames = self.backbone(features[:, 0], lengths)
        return states[:, self._layers], frames

    def forward_head(self, states: Tensor, frames: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Map (B, L, F, D), (B,) to logits (B, K); statistics of layers have F 1.

        ``statistics`` (B, 2, M): of each clip's speaker, from the clip alone where they are None.
        """
        if self.head is not None:
            if self.speaker_statistics is not None:
                x = states.flatten(1).float()  # (B, M)
                if statistics is None:
                    statistics = self.speaker_statistics.from_single_clips(_moments(x))
                mean, variance = statistics.unbind(1)
                states = (x - mean) / (variance + _EPS).sqrt()
            return self.head(states)
        with torch.autocast(states.device.type, enabled=False):  # layers are averaged in 32 bits
            weights = self.layer_weights.softmax(0).expand(states.shape[0], 1, -1)  # (B, 1, L)
            mixed = weights.bmm(states.flatten(2).float()).view(states.shape[0], *states.shape[2:])  # (B, F, D)
        x = functional.relu(self.project(mixed)).transpose(1, 2)  # (B, n_hidden, F)
        return self.classify(self.dropout(batch_standardised(self.norm, self.pool(x, frames))))

    def forward_cached(self, index: Tensor) -> Tensor:
        """Map rows (B,) of clips whose features are cached to logits (B, K)."""
        states, frames = (tensor.to(index.device) for tensor in self._cached(index.tolist()))
        statistics = None
        if self.speaker_statistics is not None:
            alone = self.speaker_statistics.from_single_clips(_moments(states))
            statistics = self.speaker_statistics.look_up(index, alone)
        return self.forward_head(states, frames, statistics)

    def moments(self, features: Tensor, lengths: Tensor) -> ClipMoments:
        """Return what the statistics of speakers are estimated from, of clips (B, 1, T), (B,)."""
        return _moments(self.forward_features(features, lengths)[0])

    def of(self, rows: Sequence[int]) -> ClipMoments:
        """Return the moments of clips whose features are cached, by row: see `speaker_statistics.SomeMoments`."""
        return _moments(self._cached(rows)[0].to(next(self.parameters()).device))

    def cache_features(
        self,
        make: Callable[[list[int]], tuple[Tensor, Tensor]],
        *,
        rows: Sequence[int],
        hashes: Sequence[str],
        n_samples: Sequence[int],
    ) -> bool:
        """Run a frozen model on these clips and keep its features on disk, see `Network.cache_features`.

        Raises: UserError where the disk has no room.
        """
        if not self._may_cache:
            return False
        backbone = self.backbone
        cache = FeatureCache(
            cache_root() / "features" / backbone.cache_name,
            n_layers=backbone.n_layers,
            width=backbone.width,
            title=backbone.source.name,
        )
        n_frames = backbone.frames(torch.as_tensor(n_samples)).tolist()

        def encode(clips: list[Clip]) -> tuple[Tensor, Tensor]:
            features, lengths = make([clip.row for clip in clips])
            return backbone(features[:, 0], lengths)

        cache.fill([Clip(row, hashes[row], n_samples[row], n_frames[row]) for row in rows], encode)
        self._cache, self._hashes = cache, hashes
        return True

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the head, then the layers from the top down, each with its share of the learning rate."""
        head = self.backbone.n_layers  # lies above them
        depths: dict[int, list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                depth = self.backbone.depth(name) if name.startswith("backbone.") else head
                depths.setdefault(depth, []).append(parameter)
        scales = {depth: self._lr_scale * self._lr_decay ** (head - 1 - depth) for depth in depths} | {head: 1.0}
        return [{"params": depths[depth], "lr_scale": scales[depth]} for depth in sorted(depths, reverse=True)]

    @property
    def contamination(self) -> str | None:
        """Return a sentence where it was, or may have been, pretrained on emotional speech; else None."""
        return self.backbone.source.contamination

    @property
    def can_be_averaged(self) -> bool:
        """Return False for a frozen model: it is large, and its head gains nothing by an average."""
        return any(parameter.requires_grad for parameter in self.backbone.parameters())

    def description(self) -> dict[str, Any]:
        """Return which pretrained model it is, as plain values."""
        return {"pretrained": self.backbone.description()}

    def checkpoint_arguments(self) -> dict[str, Any]:
        """Return where the pretrained model lies, or its architecture where a checkpoint holds its weights."""
        return self.backbone.checkpoint_arguments()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        rename_keys(state_dict, f"{prefix}listener.", f"{prefix}backbone.")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _cached(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        assert self._cache is not None, "cache_features() comes first"
        return self._cache.gather([self._hashes[row] for row in rows], self._layers)


def _moments(states: Tensor) -> ClipMoments:
    """Return the moments of clips whose features are (B, …), M in all: each has one frame."""
    x = states.flatten(1).float()
    return ClipMoments(torch.stack([x, x.square()], dim=1), torch.ones(len(x), dtype=torch.int64, device=x.device))


def _used_layers(layers: Sequence[int] | None, n_layers: int) -> list[int]:
    """Return the layers to use, all where ``layers`` is None. Raises: UserError for one that is not there."""
    if layers is not None and not isinstance(layers, Sequence):
        raise UserError(f"model.net.layers={layers} is no list: say [{layers}]")
    chosen = list(range(n_layers) if layers is None else layers)
    if not chosen or not all(type(layer) is int and 0 <= layer < n_layers for layer in chosen):
        raise UserError(f"model.net.layers={chosen} is not among the layers of this model, 0 to {n_layers - 1}")
    return chosen

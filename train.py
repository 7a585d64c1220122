"""Train and test a model: ``python train.py model=cnn_gru data=cremad data.root=DIR``; see conf/ and README.md."""

import hydra
from omegaconf import DictConfig

from ser_lightning.training.job import run_job, start


@hydra.main(config_path="conf", config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> float | None:
    """Compose, train, and return what a sweep optimises."""
    return run_job(cfg)


if __name__ == "__main__":
    start(main)

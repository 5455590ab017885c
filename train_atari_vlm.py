"""The trainer and its command line under the names of the document the project was asked for."""

from atari_vlm.cli.train_atari_vlm import main as main
from atari_vlm.trainer import VLMTrainer as VLMTrainer

__all__ = ["VLMTrainer", "main"]

if __name__ == "__main__":
    main()

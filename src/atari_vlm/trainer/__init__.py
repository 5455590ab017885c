"""`play` and `VLMTrainer`: synchronous, recorded, resumable.

It may import everything but the bench, reports and the command line. Start reading at `trainer.py`;
`session.py` plays one run, `curve.py` training and evaluations side by side.
"""

from atari_vlm.trainer.one_call import PlayOptions as PlayOptions
from atari_vlm.trainer.one_call import play as play
from atari_vlm.trainer.trainer import VLMTrainer as VLMTrainer

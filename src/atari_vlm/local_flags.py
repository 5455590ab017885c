"""Flags of the command line that say how a model in this process is held and asked."""

from __future__ import annotations

from typing import Annotated

import typer

DecideOption = Annotated[
    str,
    typer.Option(help="words, or score: rate every answer in one pass (embedded, local models)."),
]
QuantizeOption = Annotated[
    str | None, typer.Option(help="Local models: hold weights in 4bit, 8bit or int8.")
]
AttentionOption = Annotated[
    str | None, typer.Option(help="Local models: sdpa, eager, flash_attention_2.")
]
DtypeOption = Annotated[
    str | None, typer.Option(help="Local models: float32, bfloat16, float16, auto.")
]
DeviceOption = Annotated[
    str | None, typer.Option(help="Local models: cpu, cuda, cuda:1, auto for all GPUs.")
]
ThreadsOption = Annotated[int | None, typer.Option(help="Local models: threads on a CPU.", min=1)]
VideoOption = Annotated[
    bool | None,
    typer.Option(
        "--video/--pictures", help="Local models: several screens as one video, or as pictures."
    ),
]
TrustOption = Annotated[
    str | None,
    typer.Option(
        help="Run the Python code of this one checkpoint: ORG/NAME@COMMIT, or its folder."
    ),
]

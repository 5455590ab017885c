"""Options of the prompts: what they show and ask for."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.atari.images import check_size
from atari_vlm.atari.repetition import STUCK_AFTER
from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.options import check_numbers, option
from atari_vlm.prompts.strategies import PromptSettings

HISTORY = 8
"""Default number of recent actions in a prompt."""

MOST_PER_CALL = 60
"""Most decisions that one answer may plan."""


def read_size(text: str) -> tuple[int, int]:
    """Read "224x224" as (224, 224)."""
    width, _, height = text.lower().partition("x")
    if not all(number.isdecimal() and len(number) < 9 for number in (width, height)):
        raise InvalidSetting(f"An image size looks like 224x224, not {text!r}.")
    size = (int(width), int(height))
    if not all(1 <= number <= 4096 for number in size):
        raise InvalidSetting(
            f"An image size looks like 224x224, each number 1 to 4096, not {text!r}."
        )
    return size


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """Options of the prompts; None leaves the choice to the strategy."""

    frames_in_prompt: int | None = option(
        None,
        "Screens in the prompt, newest last; default: 2.",
        flag="--frames",
        least=1,
        most=10_000,
    )
    resize_shape: tuple[int, int] | None = option(
        None,
        "Size of the pictures sent, e.g. 224x224; default: native.",
        flag="--image-size",
        read=read_size,
    )
    history: int | None = option(
        None, "Recent actions in the prompt; default: 8.", least=0, most=10_000
    )
    plans: bool = option(True, "Let the model say how long to hold an action.")
    decisions_per_call: int = option(
        1,
        "Decisions the model plans in one answer; a lost life ends the plan.",
        least=1,
        most=MOST_PER_CALL,
    )
    nudge: bool = option(False, "Tell the model in one sentence when it is stuck.", flag="--nudge")
    stuck_after: int = option(
        STUCK_AFTER,
        "Decisions with the same action, or the same screen, that count as stuck.",
        least=2,
        most=10_000,
    )
    num_examples: int = option(3, "Moments that in-context learning shows.", least=1, most=10_000)

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.resize_shape is not None:
            check_size(self.resize_shape)

    def prompt_settings(self, frame_stack: int) -> PromptSettings:
        """The settings of a general prompt.

        Args:
            frame_stack: screens that an observation holds.

        Raises:
            InvalidSetting: the stack has fewer screens than the prompt shows.
        """
        if (self.frames_in_prompt or 1) > frame_stack:
            raise InvalidSetting(
                f"A prompt cannot show {self.frames_in_prompt} frames of a stack of {frame_stack}; "
                f"raise {setting('frame_stack')}."
            )
        return PromptSettings(
            history=HISTORY if self.history is None else self.history,
            frames=self.frames_in_prompt or min(2, frame_stack),
            plans=self.plans,
            image_size=self.resize_shape,
            chunk_size=self.decisions_per_call,
            nudge=self.stuck_after if self.nudge else None,
        )

    @property
    def stuck_record(self) -> dict[str, int]:
        """From when a player counts as stuck, for the record of a run, if it is not the default."""
        return {} if self.stuck_after == STUCK_AFTER else {"stuck_after": self.stuck_after}

    @property
    def general_only(self) -> dict[str, object]:
        """Options that only general prompts support: name -> value, None if not set."""
        return {
            "history": self.history,
            "frames_in_prompt": self.frames_in_prompt,
            "resize_shape": self.resize_shape,
            "plans": None if self.plans else False,
            "decisions_per_call": self.decisions_per_call if self.decisions_per_call > 1 else None,
            "nudge": self.nudge or None,
        }

"""`play`: one call that plays a game."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting
from atari_vlm.options import documented_options, option, takes, values
from atari_vlm.players import Options
from atari_vlm.protocols import Model, Policy, check_parts
from atari_vlm.runs.results import Summary
from atari_vlm.runs.seeds import EVALUATION
from atari_vlm.trainer.continued import continued
from atari_vlm.trainer.parts import Parts
from atari_vlm.trainer.trainer import VLMTrainer


@dataclass(frozen=True, kw_only=True)
class PlayOptions(Options, Parts):
    """Keywords of `play`."""

    episodes: int = option(1, "Episodes of the run, in all.", flag="", least=1, most=EVALUATION)


@takes(PlayOptions)
def play(game: str, player: str | Policy | Model, options: PlayOptions) -> Summary:
    """Play a game, and return what came of it.

        from atari_vlm import Decision, play

        class Up:
            name = "up"

            async def decide(self, observation, history, rng):
                return Decision(observation.legal[2], frames=observation.interval)

        play("pong", Up(), episodes=1, max_decisions=30)

    It is recorded and continues when it is called again, as with `VLMTrainer`, and it can be called
    in a notebook. Ctrl-C stops it; the same call continues.

    Args:
        game: any spelling of a game.
        player: a name such as "embedded" or "gpt-4o+blank", a policy, or a model.
        options: keywords: `episodes` of the run in all, and:
        strategy: a prompt of your own, used in place of `prompt_type`.
        learner: a learner of your own.
        watch: called with (episode, step) during play.
        progress: a line of progress on standard error, after the estimate of a paid player; None
            for a terminal and a notebook only, unless `watch` is given.
    {options}
    """
    parts: dict[str, Any] = {}
    if isinstance(player, str):
        name = player
    else:
        kind = "model" if isinstance(player, Model) else "policy"
        if player is None:
            raise InvalidSetting("A game needs a player: a name, a policy or a model.")
        check_parts(**{kind: player})
        name = player.name
        parts[kind] = player
    chosen = values(options)
    episodes = chosen.pop("episodes")

    def make(folder: str | Path | None, seed: int) -> VLMTrainer:
        return VLMTrainer(game, name, **{**chosen, **parts, "run_folder": folder, "seed": seed})

    trainer = continued(make, options, options.seed, lambda begun: begun.ended(episodes))
    return trainer.train(episodes)


if play.__doc__:  # absent under python -OO
    play.__doc__ = play.__doc__.replace("    {options}", documented_options(Options))

"""Policy wrappers as a user writes them: one mirrors the screen, the other asks the emulator."""

from __future__ import annotations

from dataclasses import dataclass, replace

from atari_vlm import Policy

MIRRORED = {"LEFT": "RIGHT", "RIGHT": "LEFT", "LEFTFIRE": "RIGHTFIRE", "RIGHTFIRE": "LEFTFIRE"}


@dataclass(frozen=True)
class Mirror:
    """Shows every `every`th screen mirrored, with LEFT and RIGHT exchanged."""

    policy: Policy
    every: int = 1
    version: str = "1"

    @property
    def name(self):
        return f"{self.policy.name}+mine:{self.every}"

    async def decide(self, observation, history, rng):
        if observation.step % self.every:
            return await self.policy.decide(observation, history, rng)
        frames = tuple(
            replace(frame.foreign(), pixels=frame.pixels[:, ::-1]) for frame in observation.frames
        )
        legal = tuple(MIRRORED.get(action, action) for action in observation.legal)
        mirrored = replace(observation, frames=frames, legal=legal)
        decision = await self.policy.decide(mirrored, history, rng)
        return replace(decision, action=MIRRORED.get(decision.action, decision.action))


def mirror(policy, game, every="1"):
    """For `policies.registry.WRAPPERS`."""
    return Mirror(policy, int(every))


@dataclass(frozen=True)
class Peek:
    """Notes the frame counter of the emulator beside each decision."""

    policy: Policy
    name: str = "peek"
    privileges = frozenset({"emulator"})

    async def decide(self, observation, history, rng):
        decision = await self.policy.decide(observation, history, rng)
        assert observation.state is not None
        return replace(decision, reason="The emulator was read.")


def peek(policy, game):
    """For `policies.registry.WRAPPERS`."""
    return Peek(policy)

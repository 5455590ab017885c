"""Base of models around another one: they change how it is asked, or keep what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.protocols import Model, Scorer, scorer_of


@dataclass(frozen=True)
class WrappedModel:
    """Passes on what the model inside is; a subclass says how it answers."""

    model: Model

    @property
    def name(self) -> str:
        """The name of the model inside."""
        return self.model.name

    @property
    def prompt_type(self) -> str:
        """The default prompt of the model inside."""
        return self.model.prompt_type

    @property
    def scorer(self) -> Scorer | None:
        """The model inside if it can score. Scores are free, and not recorded."""
        return scorer_of(self.model)

    async def close(self) -> None:
        """Nothing: the model inside is closed by whoever opened it."""

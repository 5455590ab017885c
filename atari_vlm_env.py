"""The environment under the module name of the document this project was asked for."""

from atari_vlm.env import AtariVLMEnvironment as AtariVLMEnvironment

__all__ = ["AtariVLMEnvironment"]

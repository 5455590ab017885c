"""The snippets of the document this project was asked for.

They stand here word for word. A test says what it changes to run one: a server on the loopback
interface, fewer decisions. docs/promises.md goes through the whole document.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from importlib.metadata import metadata
from pathlib import Path

import ale_py
import pytest

from atari_vlm.errors import MissingExtra, ModelUnusable
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

ROOT = Path(__file__).resolve().parent.parent
ANSWER = Answer(text='{"reasoning": "Wait.", "action": "NOOP", "frames": 2}')

TRAINERS = {
    "gpt-4o": """
        from train_atari_vlm import VLMTrainer
        trainer = VLMTrainer(
            game_name="Pong-v5",
            vlm_type="gpt-4o",
            api_key="YOUR_OPENAI_API_KEY"
        )
        """,
    "claude": """
        trainer = VLMTrainer(
            game_name="Breakout-v5",
            vlm_type="claude",
            api_key="YOUR_ANTHROPIC_API_KEY",
            prompt_type="expert"  # Use expert-level prompts
        )
        """,
    "qwen-vl": """
        trainer = VLMTrainer(
            game_name="Pong-v5",
            vlm_type="qwen-vl",  # Runs locally, no API key needed
            prompt_type="cot"
        )
        """,
    "in-context learning": """
        trainer = VLMTrainer(
            game_name="Pong-v5",
            vlm_type="qwen-vl",
            use_in_context_learning=True  # Add successful examples to prompts
        )
        """,
}

BASIC_USAGE = """
from atari_vlm_env import AtariVLMEnvironment

# Create environment
env = AtariVLMEnvironment(
    game_name="Pong-v5",
    frame_stack=4,
    resize_shape=(224, 224)
)

# Reset and play
obs = env.reset()
for _ in range(100):
    action = env.action_space.sample()  # Random action
    obs, reward, terminated, truncated, info = env.step(action)
    
    if terminated or truncated:
        break

env.close()
"""

COMMANDS = """
# Train with open-source Qwen-VL (no API key needed)
python train_atari_vlm.py --game Pong-v5 --vlm qwen-vl --use-icl --num-episodes 50

# Train with GPT-4V
python train_atari_vlm.py --game Breakout-v5 --vlm gpt-4o --api-key YOUR_KEY --prompt-type expert

# Train with Claude
export ANTHROPIC_API_KEY=your_key_here
python train_atari_vlm.py --game SpaceInvaders-v5 --vlm claude --use-icl

# Show all VLM recommendations
python train_atari_vlm.py --show-recommendations
"""

ADAPTIVE = """
def get_adaptive_prompt(score, episode):
    if score > 100:
        return "expert"  # Doing well, use advanced strategies
    elif episode < 10:
        return "basic"   # Learning, keep it simple
    else:
        return "cot"     # Medium, use reasoning
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Server(ANSWER) as running:
        serve_as(monkeypatch, openai=running, anthropic=running)
        monkeypatch.setenv("OPENAI_API_KEY", "planted")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "planted")
        yield running


def made_by(code):
    """The trainer that a snippet makes; later snippets rely on the import of the first."""
    namespace = {}
    exec("from train_atari_vlm import VLMTrainer\n" + textwrap.dedent(code), namespace)
    return namespace["trainer"]


@pytest.mark.parametrize("name", ["gpt-4o", "claude"])
def test_a_trainer_is_made_and_plays(name, server):
    made_by(TRAINERS[name])
    code = TRAINERS[name].replace("\n        )", "\n            , max_decisions=2)")
    trained = made_by(code).train(num_episodes=1)
    assert trained.usage.calls == 2
    assert server.count == 2


@pytest.mark.parametrize("name", ["qwen-vl", "in-context learning"])
def test_an_open_model_needs_no_key(name, server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Word for word it loads 16 GB of weights; where they are not, it says how to have them served.
    with pytest.raises((ModelUnusable, MissingExtra), match="vllm serve Qwen/Qwen2-VL-7B-Instruct"):
        made_by(TRAINERS[name])
    served = f"\n            , base_url={server.base_url!r}, max_decisions=2)"
    trained = made_by(TRAINERS[name].replace("\n        )", served)).train(num_episodes=2)
    assert trained.usage.calls == 4


def test_gemini_needs_no_code_of_its_own():
    from train_atari_vlm import VLMTrainer

    trainer = VLMTrainer("Pong-v5", "gemini", api_key="planted")
    assert "gemini" in str(trainer.settings["model"])


def test_the_classes_of_the_open_models():
    transformers = pytest.importorskip("transformers", reason="needs the 'local' extra")
    assert transformers.LlavaNextProcessor
    assert transformers.LlavaNextForConditionalGeneration
    assert transformers.AutoModelForCausalLM
    assert not hasattr(transformers, "AutoModelForVision2Seq")
    assert transformers.AutoModelForImageTextToText


def test_game_cartridges_come_with_the_emulator():
    assert "accept-rom-license" not in metadata("gymnasium").get_all("Provides-Extra")
    assert ale_py.roms.get_rom_path("montezuma_revenge").exists()


def test_the_basic_loop_runs_word_for_word():
    exec(BASIC_USAGE, {})


def test_the_training_commands_run(server, tmp_path):
    changes = {
        "python train_atari_vlm.py": f"{sys.executable} {ROOT / 'train_atari_vlm.py'}",
        " --num-episodes 50": "",
        "--vlm qwen-vl": f"--vlm qwen-vl --base-url {server.base_url}",
    }
    code = COMMANDS
    for old, new in changes.items():
        assert old in code
        code = code.replace(old, new)
    few = "--num-episodes 1 --num-eval-episodes 1 --max-decisions 2"
    code = re.sub(r"(--vlm .*)", rf"\1 {few}", code)
    done = subprocess.run(
        ["bash", "-euc", code],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Evaluation, on seeds never trained on") >= 3
    assert "GPT-4o" in done.stdout
    asked = Counter(request.body["model"] for request in server.requests)
    assert set(asked) == {"Qwen/Qwen2-VL-7B-Instruct", "gpt-4o", "claude-sonnet-5-5"}
    assert min(asked.values()) >= 4


def test_the_three_prompts():
    from atari_vlm_env import AtariVLMEnvironment

    env = AtariVLMEnvironment("Pong-v5")
    basic, cot, expert = (env.get_vlm_prompt(kind) for kind in ("basic", "cot", "expert"))
    assert re.search(r"What action should you take\? Respond with action number", basic)
    assert [cot.index(step) for step in ("Observe", "Analyse", "Plan", "Decide")] == sorted(
        cot.index(step) for step in ("Observe", "Analyse", "Plan", "Decide")
    )
    assert all(part in expert for part in ("Strategy", "Risks", "Patterns"))


def test_the_adaptive_function_chooses_the_prompt(server):
    """The document's function, as a strategy: the score so far and the number of the episode."""
    from atari_vlm.prompts.strategies import get_strategy
    from train_atari_vlm import VLMTrainer

    namespace = {}
    exec(ADAPTIVE, namespace)

    def chosen(observation, history, lessons):
        kind = namespace["get_adaptive_prompt"](observation.score, lessons.episodes)
        return get_strategy(kind)(observation, history, lessons)

    VLMTrainer("Pong-v5", "gpt-4o", strategy=chosen, max_decisions=1).train(1)
    (request,) = server.requests
    assert "Think in four short steps" not in str(request.body)
    assert [namespace["get_adaptive_prompt"](*case) for case in ((0, 20), (101, 0))] == [
        "cot",
        "expert",
    ]


def test_the_cost_tips_are_keywords(server):
    from atari_vlm_env import AtariVLMEnvironment
    from train_atari_vlm import VLMTrainer

    env = AtariVLMEnvironment("Pong-v5", resize_shape=(112, 112), frame_skip=8)
    assert env.reset(seed=0)[0].shape == (4, 112, 112, 3)
    trainer = VLMTrainer(
        game_name="Pong-v5",
        vlm_type="gpt-4o",
        resize_shape=(112, 112),  # Instead of (224, 224)
        frame_skip=8,  # Instead of 4
        temperature=0.3,  # Instead of 0.7
        max_decisions=1,
    )
    trainer.train(1)
    (request,) = server.requests
    assert request.body["temperature"] == 0.3


def test_the_citation_is_the_documents():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "title: Atari Game RL Environment for Pretrained VLMs" in text
    assert "type: software" in text
    assert "2026" in text
    assert "your-repo" not in text
    assert "Your Name" not in text

"""Listings fit a terminal of 80 columns and are complete."""

from __future__ import annotations

from datetime import date
from functools import partial
from io import StringIO

import pytest
from rich.console import Console

from atari_vlm.advice.estimate import estimate_run
from atari_vlm.atari.games import GAMES, SUGGESTED
from atari_vlm.cli.flags import flag_of, with_flags
from atari_vlm.cli.listings import games_table, print_estimate, print_recommendations
from atari_vlm.cli.model_listings import named_model, print_model, print_models, print_prices
from atari_vlm.cli.train_atari_vlm import FLAGS as SEED_FLAGS
from atari_vlm.errors import InvalidSetting, UnknownName, setting
from atari_vlm.models.catalogue import MODELS, claims, recommendations
from atari_vlm.models.hosted.vendors import VENDORS
from atari_vlm.players import Options


def printed(show, width: int = 80) -> list[str]:
    out = StringIO()
    show(Console(file=out, width=width))
    return out.getvalue().splitlines()


LISTINGS = {
    "games": lambda console: console.print(games_table([GAMES[name] for name in SUGGESTED])),
    "all games": lambda console: console.print(games_table(list(GAMES.values()))),
    "models": print_models,
    "prices": print_prices,
    "model": lambda console: print_model(console, MODELS["gemini-4-argon"]),
    "recommendations": print_recommendations,
    "estimate": lambda console: print_estimate(
        console, estimate_run("montezuma_revenge", "gemini-3.5-flash-lite", episodes=30)
    ),
}


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("show", LISTINGS.values(), ids=LISTINGS)
def test_a_listing_fits_any_screen_and_cuts_nothing(show, width):
    lines = printed(show, width)
    assert max(map(len, lines)) <= width or width < 80  # a command is not wrapped
    assert "…" not in "".join(lines)
    cut = "".join("".join(lines).split())
    words = {word for line in printed(show, 200) for word in line.split() if word.isalnum()}
    first = {"game", "name", "model"}  # headings of first columns are not part of lists
    assert [word for word in words - first if word not in cut] == []
    assert not [line for line in lines if len(line.strip()) == 1]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 30), (40, 40)])
def test_the_names_of_all_models_are_on_one_screen(width, height):
    lines = printed(print_models, width)
    assert len(lines) < height
    words = {word.strip(",;") for line in lines for word in line.split()}
    assert words >= {*MODELS, "random", "noop", "iw", "uct"}
    assert "unsupported" not in " ".join(lines)


def test_no_name_or_price_in_the_model_tables_is_wrapped():
    lines = printed(print_prices)
    for spec in MODELS.values():
        (row,) = [line for line in lines if line.split()[:1] == [spec.name] and ":" not in line]
        if spec.prices:
            price, today = spec.price, date.today()
            costs = [f"{cost:g}" for cost in (price.input, price.cached, price.output)]
            assert row.split()[-4:] == [*costs, str(spec.price_day(today))]


def test_a_model_is_shown_with_all_of_its_catalogue_row():
    for spec in MODELS.values():
        text = " ".join(
            " ".join(printed(lambda console, spec=spec: print_model(console, spec))).split()
        )
        for known in (spec.status, spec.successor, spec.best_for, spec.price_note, spec.serve):
            assert known in text
        if spec.provider != "embedded":
            assert f"counted by the rule '{spec.images}'" in text
        if spec.provider == "local":
            assert spec.hardware in text
            assert spec.context
        if spec.price:
            assert f"${spec.price.input:g} in" in text
        assert "specialist" not in text
    assert MODELS["gpt-4o"].successor == "gpt-6-luna"
    names = " ".join(printed(print_models))
    for vendor in ("openai", "anthropic", "google"):
        assert f"{VENDORS[vendor].label} (key in {VENDORS[vendor].key_variables[0]})" in names


def test_the_claims_of_the_seed_document_are_listed_with_a_verdict():
    text = " ".join(" ".join(printed(print_recommendations)).split())
    rows = recommendations()
    for row in rows:
        for words in (row.strengths, row.use, row.claim, row.evidence):
            assert words
            assert words in text
        assert row.price
    assert {row.model: row.scores for row in rows if row.scores} == {
        "GPT-4o": ("15-20", "200-300", "500-800"),
        "Claude 3.5": ("12-18", "150-250", "400-700"),
        "Qwen2-VL-7B": ("8-15", "100-200", "300-500"),
    }
    assert {row.model for row in rows if row.latency} == {"GPT-4o", "Claude 3.5", "Gemini 1.5 Pro"}
    for claim in claims():
        assert f'"{claim.claim}": {claim.verdict}. {claim.evidence}' in text


def test_a_claim_measured_here_names_its_benchmark():
    verdicts = {claim.claim: claim.verdict for claim in claims()}
    assert verdicts["expert prompts improve scores by 30-50%"] == "unsupported"
    for claim in claims():
        if claim.verdict == "measured here":
            assert "benchmarks/" in claim.evidence


def test_an_estimate_prints_its_three_cases_and_every_assumption():
    options = Options(max_decisions=50)
    made = estimate_run("pong", "gpt-6-luna", options=options)
    text = " ".join(" ".join(printed(lambda console: print_estimate(console, made))).split())
    assert any("(max_decisions)" in assumption for assumption in made.assumptions)
    for assumption in made.marked_assumptions:
        assert with_flags(assumption) in text
    for case in (made.low, made.expected, made.worst):
        assert f"{case.calls:,} {case.input_tokens:,} {case.output_tokens:,}" in text
    assert "(--max-decisions)" in text
    assert "Price of 2026-11-22: $0.1 in, $0.5 out per million tokens." in text


@pytest.mark.parametrize(
    ("message", "typed", "python"),
    [
        (
            f"{setting('max_decisions')} must be at least 1, not 0.",
            "--max-decisions must be at least 1, not 0.",
            "max_decisions must be at least 1, not 0.",
        ),
        (
            f"follow {setting('resize_shape')}, {setting('plans', False)};",
            "follow --image-size, --no-plans;",
            "follow resize_shape, plans=False;",
        ),
        (
            f"{setting('repeat_action_probability')} is within 0 and 1",
            "--sticky is within 0 and 1",
            "repeat_action_probability is within 0 and 1",
        ),
        (
            f"it has {setting('frames_in_prompt')} 1, not 2",
            "it has --frames 1, not 2",
            "it has frames_in_prompt 1, not 2",
        ),
        (
            f"{setting('cache_mode', 'readwrite')} asks, {setting('video', False)} shows",
            "--cache-mode readwrite asks, --pictures shows",
            "cache_mode='readwrite' asks, video=False shows",
        ),
        ("No model is called 'max_tokens'.",) * 3,
        ("Cannot use runs/max_tokens: full.",) * 3,
        (
            f"raise {setting('round_minutes', 5)}.",
            "raise --round-minutes 5.",
            "raise round_minutes=5.",
        ),
    ],
)
def test_errors_name_settings_as_flags_or_arguments(message, typed, python):
    error = InvalidSetting(message)
    assert error.worded(flag_of) == typed
    assert str(error) == python


def test_a_command_may_have_flags_of_its_own():
    error = InvalidSetting(f"leave out {setting('prompt_type')}")
    assert error.worded(partial(flag_of, own=SEED_FLAGS)) == "leave out --prompt-type"
    assert error.worded(flag_of) == "leave out --prompt"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("random", "random plays without a model"),
        ("iw-12000", "play it with `atari-vlm play --model iw-12000`"),
        ("embedded+blank", "try `atari-vlm models embedded`"),
        ("embedde", "Did you mean 'embedded'?"),
    ],
)
def test_a_player_that_is_no_model_is_told_apart(name, message):
    with pytest.raises(UnknownName, match=message):
        named_model(name)

"""The grammar of one answer: "LEFT", "3", "UP-RIGHT x2", "RIGHT (paddle up) for 3 frames".

An answer is resolved against the legal actions of a game; `plan_parser` finds it in the reply.
Every pattern is bounded, so that matching takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple

from atari_vlm.replies.action_names import ATOMS
from atari_vlm.replies.action_names import CHORD as CHORD
from atari_vlm.replies.explanations import explains
from atari_vlm.replies.patterns import pattern
from atari_vlm.types import Plan


class ParsedPlan(NamedTuple):
    """One legal plan of a reply."""

    plan: Plan
    note: str = ""
    """Adjustment for the record: the reply asked for more frames than allowed."""


class UnclearReply(Exception):
    """The reply contains no plan that can be played; the message is a sentence for the model."""


class Refused(UnclearReply):
    """The model refuses to play."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer at the beginning of a text, not yet resolved."""

    end: int
    """One past its last character in the text."""
    name: str = ""
    """The words of the action, e.g. "up-right"; empty if it has a number only."""
    index: str = ""
    """Its number, if that comes first; `also` is a name behind it."""
    also: str = ""
    n: str = ""
    """How long to hold it, as written; empty if it is not said."""
    how: str = ""
    """The word before `n`, e.g. "x" or "for"; `unit` is the one behind it."""
    unit: str = ""
    paren: bool = False
    """Whether `n` stands in brackets."""


NUMBERS = {
    **{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8},
    **{"nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "single": 1},
    **{"once": 1, "twice": 2, "couple": 2, "few": 3, "thrice": 3},
}
UNIT = (
    r"(?:frames?|fotogramas?|cuadros?|quadros?|fotogrammi|klatk\w{1,2}|кадр\w{0,3}"
    r"|帧|幀|フレーム|프레임)"
)
DURATION = rf"""
    [ ]{{0,2}}(?:[,;|]|-(?=[ ]hold))?[ ]{{0,2}}(?P<paren>[(]?)[ ]?
    (?P<how>x|for|over|during|fur|pendant|durante|por|per|на|持续|を|을|를
      |(?:(?:and|then)[ ])?(?:I[ ]|I'll[ ])?(?:will[ ]|keep[ ])?
      (?:hold(?:ing)?|keep(?:ing)?(?=[ ](?:it|this|that|on|going)\b))
      (?:[ ](?:it|this|that|them|down|the[ ](?:button|key|action|move|direction|stick))){{0,2}}
      (?:[ ]for)?|(?:kept[ ]|to[ ]be[ ])?held(?:[ ]for)?
      |(?:frames?|duration)[ ]?[:=])?(?:(?<=[or][rng])[ ](?:the|all|exactly|about|another
        |only|just))?
    (?:[ ](?:next|full|whole))?
    [ ]{{0,2}}(?:an?[ ](?=single|few|couple))?[<\[]?
    (?!(?:once|twice|thrice)[ ]as\b)
    (?P<n>-?[0-9]{{1,9}}(?:[.][0-9]{{1,6}})?|{"|".join(NUMBERS)})(?:[ ]of)?
    (?:[ ]?(?P<unit>{UNIT}|times|f|x))?
    (?![0-9A-Za-z]|[.][0-9]|[ ]?-[ ]?[0-9]|[ ](?:to|or)[ ][0-9])[ ]?[)>\]]?"""
"""Pattern of the time to hold an action: x3, for 3 frames, (two frames), `, 3`."""
_DURATION = pattern(DURATION, re.IGNORECASE | re.VERBOSE)

_THING = r"(?:paddle|ship|player|sub(?:marine)?|car|cannon|gun|chicken|frog|joystick|stick|cursor)"
_ANSWER = pattern(
    rf"""[\s("'\[<.{{]{{0,8}}(?!player[ ]?[0-9])
    (?P<before>(?:(?:I|I'll|I'd|I'm|we|will|would|should|must|let's|please|the|my|best|final|next|answer
        |action|move|moving|press|pressing|push|go|going|keep|hold|choose|select|pick|option|number|with
        |is|arrow|player[ _]a|k|key)(?:[ ]{{1,3}}|:[ ]?|[._][ ]?)|arrow){{0,6}})
    (?:(?:the|my)?[ ]?{_THING}[ ](?:to[ ]the[ ]|towards[ ]the[ ])?)?[\#"'(<]{{0,3}}
    (?:(?P<index>-?[0-9]{{1,9}})(?![0-9%]|[.][0-9]|[ ]?{UNIT}|[ ]?x[ ]?[A-Z]|[ ]?/[ ]?[0-9])["']?
        (?:[ ]?[-:=.)]{{0,2}}[ ]?["'(]{{0,2}}(?P<also>{CHORD})(?![\w-])[)]?)?
      |(?P<name>{CHORD})(?!(?!x[ ]?[0-9])[^\W\d]|-[A-Za-z]))
    ["'>\]]{{0,2}}(?:[ _](?:action|button|arrow|key)\b)?["']{{0,2}}""",
    re.IGNORECASE | re.VERBOSE,
)
_ECHO = pattern(
    rf"[ ]{{0,2}}\((?!{CHORD}\)|(?:or|and|then|not|if|maybe)\b|x ?[0-9]|for )(?=[A-Za-z])"
    r"(?P<words>[^()\n?]{1,80})\)",
    re.IGNORECASE,
)
"""What an action does, in brackets behind its name: RIGHT (paddle up) x3."""
_DIRECTION = pattern(r"[ ]{0,2}\((?P<words>up|down|left|right)\)")
_TOLD = pattern(
    r"[ ]{0,2}(?::|=|-)[ ]{1,2}(?P<words>[a-z][a-z+ -]{1,80}?)(?=$|[ ,]{1,2}(?:x[ ]?[0-9]|for[ ]))"
)
"""The same without brackets, as the prompt says it: RIGHT: paddle up."""
ENDS = pattern(r"""[\s.,;!)\]"'}>]{0,12}$""")
"""Pattern of what may follow an answer at the end of the text."""
_COUNT = pattern(
    r"(?:x|for)? ?(?:an? (?=single))?"
    rf"(-?[0-9]{{1,12}}(?:[.][0-9]{{1,12}})?|[a-z]{{3,6}}) ?(?:{UNIT}|x|f)?"
)
_AND = pattern(
    r"""(?P<lead>[\s("'\[<.{]{0,8}(?:(?:I'll|I|we|will|should|must|let's|please|action|move|moving|press|go|going|hold|fly|swim|steer)
        (?:[ ]|:[ ]?)){0,4})(?P<diagonally>diagonally[ ](?:to[ ]the[ ])?)?
    (?P<one>up|down|left|right)(?P<and>[ ,]{0,2}(?:and|&)[ ](?P<to>to[ ]the[ ])?(?P<two>left
        |right|up|down))?
    (?P<fire>[ ,]{1,2}(?:while[ ](?:also[ ])?(?:firing|shooting)|and[ ](?:also[ ])?(?:fire
        |firing|shoot|shooting)
        |with[ ](?:fire|firing)))?
    (?P<both>[ ](?:together|diagonally|at[ ]once|simultaneously|at[ ]the[ ]same[ ]time))?
    (?![\w-]|[ ](?:and|or|then|if|when)\b|[ ]?[,/|&][ ]?(?:fire|up|down|left|right|then)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Parts of one action that are joined by words: "up and to the right while firing"."""
_JOINS = pattern(r"and |& |while |with ", re.IGNORECASE)
_ARROWS = {
    **{"\u2190": "LEFT", "\u2191": "UP", "\u2192": "RIGHT", "\u2193": "DOWN"},
    **{"\u2196": "UPLEFT", "\u2197": "UPRIGHT", "\u2198": "DOWNRIGHT", "\u2199": "DOWNLEFT"},
}
_CEASE = pattern(r"\bhold[ ]{1,3}(?:the )?$", re.IGNORECASE)
_TOGETHER = pattern(
    rf"[ ](?:and|&|with|plus|while)[ ](?:(?P<name>{CHORD})(?![\w-])|(?P<fire>firing|shooting)\b)",
    re.IGNORECASE,
)
"""Another button at the same time: RIGHT and FIRE, UP while firing."""
_WITHOUT = pattern(
    r"[ ,(]{1,3}(?:but[ ])?(?:without|no|not|don't|do[ ]not)[ ](?:pressing[ ]|going[ ])?"
    rf"(?P<name>{CHORD}|firing|shooting)(?![\w-])[)]?",
    re.IGNORECASE,
)
"""A button that is not pressed: UP without FIRE."""


class ReplyGrammar:
    """Parses answers for one list of legal actions.

    Args:
        legal: legal action names; a number in an answer is an index into them.
        longest: most frames a plan may hold its action. An answer without a duration holds its
            action this long.
    """

    def __init__(self, legal: Sequence[str], longest: int) -> None:
        self.legal, self.longest = tuple(legal), longest
        self._chords = {chord_of(name): name for name in self.legal}

    def match(self, text: str, told: bool = False) -> Answer | None:
        """Match an answer at the start of `text`.

        Args:
            text: of one answer, or with more behind it.
            told: whether the answer has a label, so that its name may be followed by what it does
                or by another button: "RIGHT: paddle up", "RIGHT and FIRE", "UP without FIRE".
        """
        text, shift = _joined(*_without_arrow(text))
        found = _ANSWER.match(text)
        if found is None:
            return None
        name, end = found["name"] or "", found.end()
        if told and end < len(text):
            name, end = self._with_buttons(text, name, end)
        time = _DURATION.match(text, end)
        if time is None:
            echo = (
                _ECHO.match(text, end)
                or self._foreign_echo(text, end)
                or (_TOLD.match(text, end) if told else None)
            )
            if echo and explains(echo["words"]):
                end = echo.end()
                time = _DURATION.match(text, end)
        n = time["n"] if time else ""
        if _CEASE.search(found["before"]) and name.upper() == "FIRE" and not n:
            return None  # "Hold fire!"
        return Answer(
            end=(time.end() if time else end) + shift,
            name=name,
            index=found["index"] or "",
            also=found["also"] or "",
            n=n,
            how=(time["how"] or "") if time else "",
            unit=(time["unit"] or "") if time else "",
            paren=bool(time and time["paren"]),
        )

    def _with_buttons(self, text: str, name: str, end: int) -> tuple[str, int]:
        """A name with the buttons that are pressed, or not pressed, at the same time; its end."""
        while name and (other := _TOGETHER.match(text, end)):
            both = f"{name} {other['name'] or 'FIRE'}"
            if chord_of(both) not in self._chords or same_action(both, name):
                break
            name, end = both, other.end()
        other = _WITHOUT.match(text, end) if name else None
        if other and not set(chord_of(other["name"])) & set(chord_of(name)):
            end = other.end()
        return name, end

    def _foreign_echo(self, text: str, end: int) -> re.Match[str] | None:
        """A direction in brackets that is no action of the game: LEFT (down), in Pong."""
        found = _DIRECTION.match(text, end)
        return None if found and chord_of(found["words"]) in self._chords else found

    def only(self, text: str, told: bool = False) -> Answer | None:
        """The answer of a text that is nothing else."""
        answer = self.match(text, told)
        return answer if answer and ENDS.match(text, answer.end) else None

    def plan(self, answer: Answer) -> ParsedPlan:
        """The plan of an answer. Raises UnclearReply if it is not legal."""
        index, also = answer.index, answer.also
        action = self.named(answer.name) if answer.name else self.numbered(int(index))
        if also and self.named(also) != action:
            raise UnclearReply(f"Number {index} is {action}, not {also}.")
        n = answer.n or None
        if n and not (answer.how or answer.unit):
            own_index = answer.paren and n == str(self.legal.index(action))
            if own_index or (index and not also):
                raise UnclearReply(f"It is not clear whether {n} is a number of frames.")
        frames, note = self.frames(n)
        return ParsedPlan(Plan(action, frames), note)

    def named(self, name: str) -> str:
        """The legal action of that name, with its parts joined and ordered in any way."""
        action = self._chords.get(chord_of(name))
        if action is None:
            raise self.illegal(name)
        return action

    def numbered(self, index: int) -> str:
        """The legal action at that index."""
        if not 0 <= index < len(self.legal):
            last = len(self.legal) - 1
            asked = str(index)[:12]
            raise UnclearReply(f"There is no action number {asked}: numbers go from 0 to {last}.")
        return self.legal[index]

    def frames(self, value: Any) -> tuple[int, str]:
        """Frames to hold an action, and a note if they were shortened.

        Args:
            value: a number, text such as "3" or "two frames", or None for no duration.
        """
        count = self.longest if value is None else _count(value)
        if count is None or count < 1:
            limits = f"frames must be a whole number from 1 to {self.longest}"
            raise UnclearReply(f"{quoted(str(value))} is no number of frames: {limits}.")
        if count <= self.longest:
            return count, ""
        asked = count if count < 1_000_000 else "far more"
        return self.longest, f"The reply asked for {asked} frames; {self.longest} is the most."

    def illegal(self, name: str) -> UnclearReply:
        """The fault for a name that is not legal, with the nearest legal name."""
        asked = quoted(" ".join(name[:200].split()))
        near = get_close_matches(_letters(name[:200])[:40], self.legal, n=1, cutoff=0.5)
        hint = f"the nearest is {near[0]}" if near else f"choose from {self.listed}"
        return UnclearReply(f"{asked} is not a legal action here; {hint}.")

    @property
    def listed(self) -> str:
        """The legal actions, for a fault."""
        return ", ".join(self.legal)


@lru_cache(maxsize=256)
def grammar_of(legal: tuple[str, ...], longest: int) -> ReplyGrammar:
    """The grammar for a list of legal actions, made once."""
    return ReplyGrammar(legal, longest)


def quoted(text: str) -> str:
    """The text in quotation marks, cut to 40 characters."""
    text = text.strip()
    return f'"{text}"' if len(text) <= 40 else f'"{text[:39]}…"'


def same_action(one: str, other: str) -> bool:
    """Whether two spellings name the same action."""
    return chord_of(one) == chord_of(other)


def _without_arrow(text: str) -> tuple[str, int]:
    """The text with a name in place of an arrow at its beginning, and how much shorter it is."""
    lead = len(text) - len(text.lstrip(" \n\"'([<"))
    name = _ARROWS.get(text[lead : lead + 1])
    if name is None:
        return text, 0
    rest = text[lead + 1 :].lstrip(" ")
    if echo := re.match(rf"\(({CHORD})\)", rest, re.I):  # "↗ (up-right)"
        if same_action(echo[1], name):
            rest = echo[1] + rest[echo.end() :]
            return rest, len(text) - len(rest)
        return "", 0
    if named := re.match(CHORD, rest, re.I):  # an arrow before a name only decorates it
        if same_action(named[0], name) or name == "RIGHT":
            return rest, len(text) - len(rest)
        return "", 0
    replaced = f"{name} {rest}" if rest else name
    return replaced, len(text) - len(replaced)


def _joined(text: str, shift: int) -> tuple[str, int]:
    """The text with UPRIGHTFIRE in place of "up and to the right while firing" at its beginning."""
    found = _AND.match(text) if _JOINS.search(text) else None
    if found is None or not (found["and"] or found["fire"]):
        return text, shift
    if found["and"] and not (found["to"] or found["fire"] or found["both"] or found["diagonally"]):
        return text, shift  # it may be one after the other
    name = found["one"] + (found["two"] or "") + ("fire" if found["fire"] else "")
    name = found["lead"] + name.upper()
    return name + text[found.end() :], shift + found.end() - len(name)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.upper() if "A" <= letter <= "Z")


def chord_of(name: str) -> tuple[str, ...]:
    """The sorted parts of a name: UP FIRE and FIRE-UP have the same."""
    return tuple(sorted(re.findall("|".join(ATOMS), _letters(name))))


def _count(value: Any) -> int | None:
    if isinstance(value, str):
        found = _COUNT.fullmatch(value.strip().lower()) if len(value) < 60 else None
        value = found and NUMBERS.get(found[1], found[1])
        try:
            value = float(value or "")
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value and abs(value) < 1e15 and value == int(value) else None

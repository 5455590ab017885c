"""English clauses that choose an action: "so I will move LEFT", "The best action is LEFT.".

Before the words that choose, a clause may only say who chooses, now; behind the name may stand why,
and for how long. One other word is enough to choose nothing: "Soon I will go LEFT", "The shark will
go LEFT", "I go LEFT hoping for the best".
"""

from __future__ import annotations

import re

from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.reply_grammar import CHORD, UNIT

_BODY = (
    r"(?:paddle|ship|player|sub(?:marine)?|car|cannon|gun|chicken|frog|stick|joystick|agent|hero"
    r"|character|cursor|controller|tank|plane|boat|racket|bat|platform)"
)
_THING = rf"(?:[ ](?:(?:the|my|our)[ ]{_BODY}|it|him|her|myself|us))?"
_PRESS = r"(?:choose|press|pick|select|play|push|tap|hit|use|input|execute|output)"
_MOVE = (
    r"(?:move|go|steer|hold|shift|slide|head|swim|fly|dodge|turn|jump|step|climb|run|drive|nudge"
    r"|(?:keep|continue)(?:[ ](?:on|to))?[ ](?:moving|going|pressing|holding|heading|move|go))"
)
_DOING = (
    r"(?:moving|going|pressing|choosing|selecting|picking|holding|steering|heading|sliding|playing)"
)
_I_WILL = (
    r"(?:I|we|I'll|we'll|I'd|I'm|let's|let[ ]me)(?:[ ](?:now|will|would|should|must|am|simply|just"
    r"|going[ ]to|am[ ]going[ ]to|(?:need|want|have|like|ought|decided?|have[ ]decided)[ ]to)){0,2}"
)
_COLOURED = (
    r"(?:(?:yellow|green|white|orange|brown|blue|red|pink|grey|gray|black|purple|little|small"
    r"|own)[ ])?"
)
_WHO = rf"(?:you|(?:the|my|our)[ ]{_COLOURED}{_BODY}|ms\.?[ ]?pac-?man|pac-?man)"
_MUST = (
    r"[ ](?:should|must|needs?[ ]to|has[ ]to|ought[ ]to)(?:[ ](?:now|continue|keep|be|also)){0,2}"
    r"(?:[ ]to)?"
)
_MOVES = (
    r"(?:move[ds]?|moving|go|going|steer(?:ed)?|shift(?:ed)?|slide|hold|swim|fly|turn|head|press"
    r"|positioned|placed)"
)
_CHOSEN = (
    r"(?:[ ](?:left|remaining|here|now|right[ ]now|chosen|selected"
    r"|to[ ](?:take|make|perform|do|choose|play)"
    r"|(?:at|in)[ ](?:this|the[ ]current)[ ]\w{3,12}"
    r"|for[ ](?:the|this|my|me|us|our)(?:[ ]\w{3,10}){0,2}"
    r"|(?:that[ ])?(?:I|we)(?:'ll|'d)?[ ](?:(?:will|would|should|must)[ ])?(?:take|choose|make"
    r"|pick)"
    r"|(?:based[ ]on|given|considering)[ ][^,]{3,60})){0,2}"
)
_TO = r"(?:[ ]to)?(?:[ ]the)?"
_CHOOSES = pattern(
    rf"""(?:(?<!\w)|(?=[,:;]))(?:(?:^|[,:;][ ]?)(?:{_MOVE}|{_DOING}|now){_THING}{_TO}
    |(?:^|[,:;][ ]?|\b(?:and|so|then|now|therefore|thus|hence|please|just|simply|first|I|I'll|I'd|we
        |will|should|must|would|let's|me|(?:need|have|want|like|going|time|best|move|action|plan
        |decision|choice|option|it|safest|wise|sense|better|needed|required|necessary|ought
        )(?:[ ](?:is|now|here))?[ ]to|is[ ]to|be[ ]to)[ ])(?:{_PRESS}|{_MOVE}{_THING}{_TO}){_TO}
    |\b(?:so|then|therefore|thus|hence|go(?:ing)?[ ]with|settl(?:e|ing)[ ]on|opt(?:ing)?[ ]for
      |(?:(?:action|answer|choice|decision|option){_CHOSEN}|move(?:{_CHOSEN}(?=[ ](?:is|would)\b)))
        (?:[ ](?:is|(?:would|should|will)[ ]be))?
        (?:[ ](?:to[ ])?(?:(?:{_MOVE}|{_DOING}){_THING}|{_PRESS}|pressing))?
      |{_I_WILL}[ ](?:{_MOVE}|{_DOING}|do|perform|recommend|choose|time[ ]to[ ]{_MOVE}){_THING}
      |(?:{_I_WILL}|you[ ]should|to)[ ]\w{{3,12}}(?:[ ](?:the|my|it)(?:[ ]\w{{3,12}})?)?
        [ ]by[ ](?:pressing|moving|going|choosing|holding){_THING}
      |(?:that|this|which)[ ]leaves(?:[ ](?:me|us|only|just|one|with|is|option)){{0,4}}
      |time[ ]to[ ]{_MOVE}|(?:I|we)(?:'ll|[ ]will|[ ]must|[ ]should)|let's
      |{_WHO}{_MUST}[ ]{_MOVES}){_TO})
    [ ,:]{{0,2}}(?:(?:number|option|action|button)[ ])?(?:[0-9]{{1,2}}[ ]?[-:=.,]?[ ]?)?
    ["'(]{{0,2}}$""",
    re.I | re.VERBOSE,
)
"""The end of the text before a name that is chosen."""
_HEAD = r"(?:move|go|head|steer|swim|fly|run|climb|shift|slide|dodge|drive)"
"""What tells to move at the beginning of a sentence: "Head down-left to pick up the diver."."""
IT_SHOULD = pattern(
    rf"(?P<subject>(?:(?<=\n)|(?<![^.!?;] )(?<![^\s]))(?:(?P<own>{_WHO})|the (?:opponent|enemy"
    r"|computer|cpu|rival|other))\b[^.!?\n]{0,160}[.!;] )"
    r"(?:it|she|he)(?= (?:should|must|needs to|has to) )",
    re.I,
)
"""A sentence on what the model or another controls, and one that tells what it should do."""
LOWER = pattern(
    rf"""(?:\b(?:{_I_WILL}|you[ ](?:should|must|need[ ]to))[ ](?:{_MOVE}|{_PRESS}|moving|going)
        {_THING}{_TO}[ ](?P<name>{CHORD})
      |\b{_WHO}{_MUST}[ ]{_MOVES}{_TO}[ ](?P<should>{CHORD})
      |(?:^|(?<=\n)|(?<=[.!][ ]))(?:{_MOVE}(?=[ ](?:the|my)[ ]){_THING}[ ]to[ ]the|{_HEAD}
        |(?:ms\.?[ ]?)?pac-?man[ ]go)[ ](?P<told>{CHORD})
      |\b{_I_WILL}(?<=will)[ ](?P<fire>fire))
    (?=[.,!;\n]|$|[ ](?:to[ ][a-z]|for[ ]|so[ ]|because|since|now|x[0-9]|in[ ]order|once\b|twice\b
        |and[ ]get[ ]|until|under))""",
    re.I | re.VERBOSE,
)
"""The same and the name, in small letters; names of these groups are those of actions."""

_LEADS_UP = pattern(
    rf"""[ ]*(?:(?:in[ ]order[ ])?to[ ][a-z][^,:]{{1,60}}[ ]|(?:(?:
        (?:at|in)[ ](?:this|the[ ]current)[ ]\w{{3,12}}
        |(?:for[ ])?(?:this|the[ ](?:next|current))[ ](?:turn|time|frame|step|decision|move|action)
        |for[ ]my[ ](?:next[ ])?(?:move|action|turn)|right[ ]now|for[ ]now|as[ ]such|as[ ]a[ ]result
        |(?:based[ ]on|given|considering)[ ][^,:]{{3,60}}
        |which|this|that|it|meaning|means?|makes?[ ](?:the[ ]most[ ])?sense|indicates
        |so|therefore|thus|hence|then|now|okay|ok|well|yes|sure|and|also|here|first|finally|currently
        |consequently|accordingly|clearly|definitely|I|I'll|I'd|I'm|I've|we|we'll|we're|you
        |my|our|your|the|an?|it's|is|are|think|believe|decided?|conclude|feel|say|should|will|would
        |must|needs?|have|has|wants?|like|going|am|to|be|take|make|do|perform|choose|pick|select|use
        |let's|let|me|us|please|just|simply|still|best|next|right|correct|optimal|safest|only|safe
        |logical|most|appropriate|sensible|reasonable|recommended|obvious|final|ideal|suitable|smart
        |strategic|immediate|wisest|smartest|better|good|beneficial|advisable|effective|efficient
        |single|current|chosen|selected|natural|straightforward|prudent|wise|clear|proper
        |{_BODY}|game|thing|way|option|action|move|choice|decision|answer|strategy|course|response
        |of|one|for|in|time|with|go|moving|control|step|plan|goal|required|necessary|needed
        |so[ ]that
        )[ ,]{{1,3}}){{0,16}})$""",
    re.I | re.VERBOSE,
)
"""What may stand in a clause before the words that choose: who, and no other time."""
_FOLLOWS = pattern(
    rf"""["')\]]{{0,2}}(?:[ ]?(?:action|button|key|direction|now|here|again|immediately
        |instead|first
        |quickly|slightly|hard|briefly|further|right[ ]away|straight[ ]away|for[ ]now|it[ ]is|please
        |a[ ](?:bit|little)|at[ ](?:once|this[ ](?:point|moment|time))|only|all[ ]the[ ]way
        |this[ ](?:turn|frame|time|step|round)|on[ ]the[ ]\w{{3,12}}|side|wards?
        |in[ ]this[ ](?:situation|case|frame|position|moment|state)
        |for[ ](?:the|this)[ ](?:whole|next|full|entire|current|remaining)?[ ]?
          (?:{UNIT}|turn|step|decision|time)|as[ ](?:my|the|our)[ ][a-z ]{{4,16}}
        )){{0,3}}["')\]]{{0,2}}
    (?=$|[!.…\n,;:(]|[ ]?-[ ]|[ ]?(?:because|since|as|so|to|in[ ]order|until|while|before|towards?
        |under|into|and|for|past|along|by|given|where|from|with|rather|instead|on|at|due|x[0-9]
        |which|that|this|keeping|hoping|positioning|trying)\b)""",
    re.I | re.VERBOSE,
)
"""What may stand behind a name that a sentence chooses."""
_MEANWHILE = pattern(
    r",?[ ]?(?:but|although|though|however|yet|if|when|unless|only)\b", re.IGNORECASE
)
_LOSES = pattern(
    r"[ ,]{0,2}and (?:\w+ ){0,3}(?:lose|die|dies|crash|miss|fail|killed|regret|hope"
    r"|hit by)\b",
    re.IGNORECASE,
)
_SAYS_OF_IT = pattern(
    r"[ ]?,[ ](?:is|was|are|would|will|seems|looks|could|can|may|says?|said|according|wrote)\b",
    re.I,
)
"""A statement on a name behind a comma: "Action 3, LEFT, is too slow", "..., says the manual"."""
_WISHES = pattern(r"\b(?:would|I'd|we'd|could|wanted|like)\b", re.IGNORECASE)


_ONE_OF = pattern(
    r"\b(?:one|another|an|a|some|others?|second|third|alternative|worst)[ ](?:\w+[ ]){0,2}"
    r"(?:option|action|move|choice|way|plan|strategy|possibility|answer)\b",
    re.IGNORECASE,
)
"""One action of several: "One option is to go UP"."""
_PREFERRED = pattern(
    r"""[ ](?:is|would[ ]be|seems|looks|remains)[ ]
        (?:(?!prob|poss|pot|arg|hard|rare|seem|app|unl|supp|pres)\w+ly[ ])?(?:(?:the|my|our)[ ])
        (?:(?:most[ ]\w+|best|safest|optimal|right|correct|only|ideal|logical|obvious|final|chosen
        |wisest|smartest|sensible|safe|good|reasonable|viable|next|appropriate)[ ]){1,3}
        (?:action|choice|option|move|decision|answer|play|bet|one)\b
        (?![ ]for[ ](?!me\b|us\b|now\b|this\b|the[ ](?:moment|next|current|paddle|player)\b)
            |[ ](?:I|we)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words behind a name that prefer it: "LEFT is the best option here"."""
_IT_IS = pattern(r"[\"')]? it is(?=[.!]|$)", re.IGNORECASE)
_DOES = pattern(rf"(?:{_DOING}{_THING}{_TO}[ ])?[\"'(]{{0,2}}$", re.IGNORECASE)


def prefers(before: str, after: str) -> bool:
    """Whether a sentence calls a name the best: "going LEFT is the safest choice"."""
    if _IT_IS.match(after) and re.search(r"(?:^|[:,;-]|\bso) ?$", before):
        return True
    found = _PREFERRED.match(after)
    if found is None:
        return False
    does = _DOES.search(before)
    if does is None or not leads_up(before[: does.start()]):
        return False
    return not leaves_open("", after[found.end() :])


def chooses(before: str) -> bool:
    """Whether the words of a sentence before a name choose it, in the present."""
    found = _CHOOSES.search(before)
    if found is None or _ONE_OF.search(before):
        return False
    return found[0][0] in ",:;" or leads_up(before[: found.start()])


def leads_up(before: str) -> bool:
    """Whether the words before those that choose say who chooses, and no other time."""
    return bool(_LEADS_UP.match(re.split(r"[,:(]|[ ]-[ ]", before)[-1]))


def leaves_open(before: str, after: str) -> bool:
    """Whether the words behind a chosen name leave the choice open: "I would go UP, but"."""
    if _FOLLOWS.match(after) is None or _LOSES.match(after) or _SAYS_OF_IT.match(after):
        return True
    return bool(_WISHES.search(before) and _MEANWHILE.match(after))


# --- actions that are only weighed ---------------------------------------------------------------

_NO_NEED = (
    r"(?:(?:(?:I|we) (?:do not|don't|needn't)|there(?:'s| is) no|no) (?:need|want|use"
    r"|reason)(?: (?:for|to))?"
    r"(?: (?:press|go|move|choose|use))?|neither(?: of)?)"
)
_RULED_OUT = pattern(
    rf"(?:\b{_NO_NEED}(?: {CHORD}(?:,| or| nor| and|, or| and also)){{0,4}}"
    r"|\bnot(?: (?:go|press|move|to go|to press|to move|choose))?"
    r"|\binstead of(?: going| pressing)?"
    r"|\brather than(?: going| pressing)?|\bavoid(?:ing)?) $",
    re.I,
)
_BEGINS = pattern(
    r"(?:^|[,;:] ?|\band )(?:(?:and|but|however|while|since|because|as|although|though|given that"
    r"|so far|first|next|finally)[, ] ?)?"
    r"(?:(?:if (?:I|we|the \w+) (?:move|go|press|choose|stay)s?|staying"
    rf"|{_DOING})(?: (?:the|my) \w+)?(?: to| with)?(?: the)? )?[\"'(]?$"
    r"|\b(?:but|while|since|because) $",
    re.I,
)
"""What stands before a name of which the sentence says what it would do."""
_STATES = pattern(
    r"[\"')]?(?: alone| only| itself| now| here)?(?:,? (?:I|we|it)(?:'d|'ll)?\b|,? (?:is|was|would"
    r"|will|can|could|may|does|has|isn't|wouldn't|won't|can't|cannot|doesn't|hasn't|makes?|misses"
    r"|loses|bumps?|runs?|leads?|means?|hits|wastes|costs|puts?|gets|meets|kills|risks?|moves?"
    r"|takes?|goes|brings|leaves|only|just)\b)",
    re.I,
)
_FAILS = pattern(
    r",?[^.!?;,]{0,80}?(?:\b(?:miss\w*|los(?:e|es|ing|s)\b|die|kill\w*|danger\w*|risk\w*|wrong|bad|worse"
    r"|pointless|useless|crash\w*|collid\w*|block\w*|too|not|away|farther|further|wastes?|out of"
    r"|suicid\w*|fatal|into|impossible|no (?:effect|use|good|help|need)|nothing|unnecessary"
    r"|needless|shark|enemy)\b|n't\b)",
    re.I,
)
"""What is said of an action that is not taken, in its clause: "NOOP loses a life"."""


def is_weighed(before: str, after: str) -> bool:
    """Whether a name is only weighed, beside another one: "LEFT, not RIGHT"."""
    if _RULED_OUT.search(before):
        return True
    stated = _BEGINS.search(before) and _STATES.match(after)
    return bool(stated and _FAILS.match(after))


DEED = pattern(
    r"[ ]?(?:(?:(?:now is the|it's|it is|now it's) )?time to |(?:so|now|then|therefore),? )?"
    r"(?:(?:(?:I|we)(?:'ll| will| should| must| need to| have to)|let's|let me)"
    r" (?!not\b|look|see\b|wait|think|be\b|check|watch|anal|consider|never|say|try)\w+"
    r"|(?:(?:I|we)(?:'m| am|'re| are)? (?:now |going to )?)?"
    r"(?:shoot|mov|go|dodg|ris|div|wait|serv|launch|jump|chas|follow|intercept|climb|turn"
    r"|collect|catch|hit|return|surfac|get|head|steer|eat|grab|cross|reach|attack|kill|block|defend"
    r"|rescu|keep|continu|escap|retreat|start|position|track|lin|stay|fir|swim|hid)(?:e|m?ing|t?ing)?"
    r"|je vais|ich (?:gehe|bewege|muss)|voy|vou|vado|ik ga|иду)\b[^.!?:]{0,60}$",
    re.I,
)
"""A sentence that tells what to do, before a colon: "Shoot while rising: UPFIRE"."""

"""Whether the words behind an action explain it: "(to catch the ball)", "- the shark is near".

What may stand there is listed, not what may not: a reason, what the action does, where things are,
for how long, or praise. Of anything else ("(denied)", "- on hold", "(placeholder)") a careful
person would ask what it means. Words that reject or put off what they stand beside win over both.
"""

from __future__ import annotations

import re

from atari_vlm.replies.action_names import CHORD
from atari_vlm.replies.patterns import pattern

_REASON = (
    "to|because|as|since|so|for|in order|due to|given|thanks to|while|by|with|towards?|away from"
    "|into|until|till|instead of|rather than|and|or the|or we|or it|which|where|that way|thus"
    "|therefore|hence|otherwise|weil|um|nach|zum|zur|da|damit|denn|weg von|car|pour|vers|afin"
    "|parce|puisque|porque|para|hacia|ya que|pues|pois|perche|per|verso|poiche|omdat|naar|om|bo"
    "|poniewaz|aby|zeby|do|cunku"
).replace(" ", "[ ]")
_DEED = (
    "accelerat|adjust|advanc|aim|align|approach|ascend|avoid|back|block|bounc|brak|cannon|catch"
    "|center|centr|chas|clear|climb|clos|collect|com|continu|cover|cross|cut|defend|deflect"
    "|descend|destroy|dig|div|dodg|drift|driv|drop|duck|eat|enter|escap|evad|fac|fir|flee|fly"
    "|follow|gain|get|giv|go|grab|guard|head|help|hit|hold|hop|hover|hyperspace|intercept|jump"
    "|keep|kick|kill|land|launch|leav|let|lin|mak|match|meet|mov|nudg|open|pass|paus|pick|plac"
    "|point|posit|prepar|press|prevent|progress|protect|punch|push|put|rais|ram|reach|refill"
    "|releas|remain|reposit|rescu|return|ris|roll|rotat|run|sav|scor|send|serv|set|shift|shoot"
    "|sink|slid|slow|speed|spin|start|stay|steer|step|stop|strik|surfac|swerv|swim|tak|target"
    "|thrust|torpedo|track|travel|trigger|turn|wait|walk|watch|work|lead|bring|allow|connect|line"
    "|gather|look|need|want"
)
_DEED_ABROAD = (
    "auftauchen|abtauchen|ausweichen|bewegen|schiessen|fangen|warten|starten|schwimmen|subir|bajar"
    "|mover\\w*|disparar|esquivar|ir|evitar|esperar|sacar|remonter|monter|descendre|tirer|aller"
    "|eviter|attendre|servir|lancer|nager|descer|atirar|desviar|emergir|nadar|salire|scendere"
    "|muover\\w*|sparare|andare|evitare|nuotare|stijgen|dalen|schieten|wachten|ruch|strzal"
    "|unik\\w*|yukari|asagi|ates"
)
"""Infinitives of other languages with Latin letters, without accents."""
_THINGS = (
    "air|airplanes?|aliens?|apples?|arrows?|asteroids?|avatar|balls?|bank|barrels?|barriers?"
    "|bases?|bats?|beams?|bears?|bees?|birds?|blocks?|boats?|bombs?|boss|boulders?|boxer|bricks?"
    "|bridges?|buildings?|bullets?|bunkers?|buoys?|cannon|capsules?|cars?|castle|cherr(?:y|ies)"
    "|caves?|chicken|city|cities|clouds?|coins?|column|corridor|court|cowboy|cows?|crabs?|craft"
    "|creatures?|crocodiles?|cubes?|deer|demons?|destroyers?|dots?|divers?|doors?|dragons?"
    "|droplets?|eggs?|enem(?:y|ies)|engine|exit|fish(?:es)?|flags?|floor|foes?|food|frogs?|fruits?"
    "|fuel|gaps?|gates?|ghosts?|goal|gold|ground|guns?|gunship|helicopters?|hazards?|hole|home"
    "|horses?|ice|ice ?bergs?|igloo|insects?|invaders?|jet|joystick|kangaroo|keys?|ladders?|lanes?"
    "|lasers?|logs?|man|maze|mines?|missiles?|monkeys?|monsters?|mother ?ship|mushrooms?|net"
    "|obstacles?|opening|opponent|opponents|oxygen|paddle|pellets?|pills?|pits?|planes?|planets?"
    "|platforms?|player|power-up|projectiles?|puck|pyramid|racket|raft|ramp|ring|river|road|roads?"
    "|robots?|rocks?|rockets?|ropes?|rows?|saucers?|scorpion|screen|serve|sharks?|shells?|shields?"
    "|ships?|shots?|skier|skulls?|snakes?|spaceships?|spiders?|stairs?|stars?|submarines?|subs?"
    "|surface|swimmers?|tanks?|targets?|tiles?|torpedo(?:e?s)?|towers?|track|traffic|trajectory"
    "|treasures?|trees?|trucks?|tunnel|turrets?|ufos?|vehicles?|victims?|vines?|walls?|waters?"
    "|waves?|worms?|zone|edge|corner|cent(?:er|re)|middle|top|bottom|threats?|danger|landing"
    "|bounce|vine"
).replace(" ", "[ ]")
_PLACES = (
    "above|below|beneath|underneath|overhead|ahead|behind|nearby|near|nearing|adjacent|towards?"
    "|left|right|up|down|upwards?|downwards?|leftwards?|rightwards?|sideways|forwards?|backwards?"
    "|inwards?|outwards?|across|between|along|around|approaching|incoming|arriving|falling"
    "|descending|ascending|diagonal(?:ly)?|horizontal(?:ly)?|vertical(?:ly)?|clockwise"
    "|counter-clockwise|links|rechts|oben|unten|gauche|droite|haut|bas|izquierda|derecha|arriba"
    "|abajo|esquerda|direita|cima|baixo|sinistra|destra|alto|basso"
)
_PRAISE = (
    "safe|safest|safer|best|better|optimal|good|great|ideal|perfect|final|confirmed|recommended"
    "|preferred|chosen|selected|legal|valid|allowed|necessary|needed|required|urgent|now"
    "|immediately|right away|at once|nothing|no-?op|idle|unchanged|same|still|steady|definitely"
    "|sure|certain|certainly|confident|high confidence|easy|quickly|slowly|briefly|tap|only"
    "|no (?:movement|need to move|action|input|change|button)|(?:no|low|little|less) (?:risk"
    "|danger|threats?)|both at once|faster return|please|thanks|enough|sufficient"
).replace(" ", "[ ]")
_EXPLAINS = pattern(
    rf"""^[\s"'(]{{0,4}}(?:
        (?:(?:the|this|it|that|i|we|you|i'll|we'll|i'm|i|my|which|and|just|simply|slightly|slowly
        |quickly|quick|still|will|am
           |should|must|need[ ]to|to|then)[ ]){{0,4}}
           (?:{_DEED})(?:e?s|es|e|ed|\w?ing|ting|ping|ning|ling|i?on|ioning|ers?)?\b
       |(?:{_REASON}|{_DEED_ABROAD})\b
       |(?:(?:the|my|a|this|is|very|most|only|still|that|it|it's|should|will|be|that's|looks
       |seems)[ ]){{0,4}}(?:{_PRAISE})\b
       |(?:index|number|action|option|id|no\.|\#)?[ ]?[=:]?[ ]?[0-9]{{1,4}}[ ]?(?:$|[.,;)]|px
       |pixels?)
     |(?:nearly|almost|already|about|roughly|approximately|around|fully|slightly|somewhat)\b
     |[+][ ]?[0-9]|confidence[ ]?[=:][ ]?(?:high|very[ ]high|0?\.[5-9]|1\b|[5-9][0-9])
     |not[ ](?:{CHORD}|(?:going|moving|pressing|to)\b)
       |(?:without|no|not|do[ ]not|don't)[ ](?:FIRE|firing|shooting|shots?|(?:{_THINGS})\b))
     |\b(?:{_THINGS}|{_PLACES})\b|[0-9][ ]?(?:px|pixels?)\b|[=@~][ ]?[0-9]
     |\b(?:it|there|everything|nothing|we|they|i|game|which|this|that)(?:'(?:s|re|m|ll)|[ ](?:is
     |are|am|has
       |have|will|must|can|should|needs?|isn't|hasn't|aren't|won't|can't|doesn't|\w+s))[ ]\w{{3}}
     |[^\x00-\u02ff]""",
    re.IGNORECASE | re.VERBOSE,
)
"""A reason, a deed, praise, a number, at the beginning; a thing, a place, a whole sentence, or
writing other than Latin, anywhere."""

_STATUS = (
    r"abandon\w*|abort\w*|banned|cancel\w*|declin\w*|den(?:y|ied|ies)|deprecat\w*|disallow\w*"
    r"|disapprov\w*|discard\w*|discourag\w*|dismiss\w*|disqualif\w*|disregard\w*|error"
    r"|erroneous\w*|excluded?|false|forbid\w*|ignored?|illegal\w*|impossible|inadvisable"
    r"|incorrect\w*|infeasible|invalid\w*|mistaken|negated|nullified|obsolete|outdated"
    r"|off the table|overrid\w*|overrul\w*|jok(?:e|ing)|kidding|prank|pretend\w*|prohibit\w*"
    r"|refus\w*|reject\w*|retract\w*|revok\w*|rul(?:e|ed|ing) (?:(?:this|that|it) )?out|scrap\w*"
    r"|struck|superseded|suspended|unavailable|undesirable|unplayable|unusable|veto\w*|void\w*"
    r"|withdrawn?|corrected|changed|replaced|revised|amended|typo|swapped|postpon\w*|deferred"
    r"|delayed|on hold|pending|tentative\w*|provisional\w*|hypothetical\w*|theoretical\w*"
    r"|see (?:below|above|note)|prompt|instructions?|^blocked|placeholder|examples?|e\.g"
    r"|for instance|sample|template|illustrat\w+|demo\w*|dummy|test only|previous\w*|earlier"
    r"|former\w*|tbd|tbc|was (?:my|the)|used to|to be (?:\w+ed|done|chosen|determined)"
    r"|skip(?:ped)? (?:this|it|that)|skipped|(?:avoid|never|do not|don't) (?:this|it|that|do|play"
    r"|press|choose|execute|use|send)|(?:for|await\w*|needs?|requires?"
    r"|subject to) (?:\w+ )?(?:confirmation|approval|permission|review)|not(?: (?:a|the|very|yet"
    r"|so|really|my|an))?(?: (?:good|wise|safe|legal|allowed|recommended|advis\w+|possible|ideal"
    r"|available|valid|best|now|this|chosen|selected|option|answer|final|permitted|worth|right"
    r"|correct|sure|real|played|to be))?(?=$|[.,;)!])|already (?:played|done|tried|used|said)"
    r"|decided against|against (?:the rules|advice)|not (?:what|my)\b|(?:so|hence"
    r"|therefore),? not?$|^no$|, not?$|no thanks|no longer|last (?:\w+ )?(?:frame|turn|action|move"
    r"|time|step|decision|choice|answer|round)|(?:enemy|opponent|user|other|player 2|computer|cpu"
    r"|rival|teammate|friend|partner|somebody)(?:'s|s')? (?:\w+ )?(?:move|action|choice|reply"
    r"|answer|turn|input|plan|option|idea|suggestion|request|wish)"
)
_HARM = (
    r"miss(?:es)?|bad|badly|blunder\w*|mistakes?|dumb|drawback|fail\w*|fatal\w*|foolish\w*"
    r"|inferior|nonsense|opposite|poor|stupid|suicid\w*|terrible|unsafe|unwise|useless|worse|worst"
    r"|wrong\w*|risky|too (?:dangerous|late|slow|early|far|much)|deadly|lethal|dead end"
    r"|kills? (?:me|us)|die|dies|deaths?|los(?:e|es|ing) (?:a|the|my|our|one) \w+|crash\w*"
    r"|disaster\w*|catastroph\w*|waste|pointless|no good|senseless|regret\w*|sorry|never|(?:run"
    r"|drive|sail|fly|go|mov|lead|steer|swim|head)(?:e?s|ing)?(?: (?:me|us|straight|right|directly"
    r"|the \w+)){0,2} into (?:the |an? )?(?:shark|enem|wall|danger|missile|mine|bomb|rock|ghost"
    r"|car|bullet|traffic|trap)\w*"
)
STATUS = pattern(rf"\b(?:{_STATUS})(?!\w)", re.IGNORECASE)
"""A word by which an action is not, or not any more, the one to play."""
HARM = pattern(rf"\b(?:{_HARM})(?!\w)", re.IGNORECASE)
"""A word for what nobody wants to happen; of an action, unless it is avoided by it."""
_SPARED = pattern(
    r"\b(?:avoid\w*|prevent\w*|escap\w*|dodg\w*|evad\w*|otherwise|or|from|instead|before|not to"
    r"|don't|without|reduc\w*|minimi[sz]\w*|because|since|as|so)\b",
    re.IGNORECASE,
)
LATER = pattern(
    r"""\b(?:next[ ](?:turn|time|round|decision|life|game|opportunity|chance)
    |(?:in|on|at|during|from)[ ](?:the|my)[ ](?:next|following|second|coming)[ ]\w+
    |later|eventually|someday|sometime|soon(?<!as[ ]soon)|shortly|afterwards?|tomorrow
    |in[ ](?:a|one)[ ](?:moment|bit|while|second|few)|not[ ]yet|before[ ]long|at[ ]some[ ]point
    |in[ ](?:\d+|two|three|five|ten)[ ](?:frames?|steps?|turns?|seconds?))\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""A word that puts off what it is said of."""
CONDITION = pattern(
    r"""\b(?:(?<!at[ ])once|as[ ]soon[ ]as(?![ ]possible)|as[ ]long[ ]as|provided|assuming
        |whenever|when|if|unless|after
    |only[ ](?:in|if|when|after|for)|in[ ](?:case|an[ ]emergency|emergencies)|depending
    |wait[ ](?:until|first))\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""A word that makes what it is said of depend on something."""
_NAME = pattern(rf"(?<![\w+-]){CHORD}(?![\w+])")
_OTHER_ACTION = pattern(
    r"\b(?:not|instead of|rather than|avoid(?:ing|s)?|than|without|the|no)"
    rf" (?:going |moving |pressing )?{CHORD}"
    rf"|{CHORD} (?:would|is|was|will|leads?|side|wall|edge|has|goes|runs?|risks?|puts?|misses"
    r"|corner|half|part|cannot|can't|could|moves?)\b"
)
_UNCERTAIN = pattern(
    r"[0-9] ?%|\b(?:maybe|perhaps|possibly|might|or|unsure|guess|unclear|unknown|no idea"
    r"|(?:don't|do not) know|can't tell)\b",
    re.I,
)
_ELSE = pattern(
    r"\b(?:otherwise|else|if not|if held at contact)\b|\bor (?:the|I|we|it|let)\b", re.I
)
_WOULD = pattern(r"(?:^|\b(?:it|this|that|which|and|but)[ ])would\b", re.I)
_BEGINS_WITH_THING = pattern(
    rf"[\s\"'(]{{0,4}}(?:(?:the|a|an|my|our|both|two|there is|there are|no"
    rf"|next) )?(?:\w+ )?(?:{_THINGS})\b"
    r"(?!'s)",
    re.I,
)
_BEGINS_WITH_REASON = pattern(rf"[\s\"'(]{{0,4}}(?:{_REASON})\b", re.I)


def explains(words: str) -> bool:
    """Whether words behind an action explain it, unlike "denied", "next turn" or "a blunder".

    Args:
        words: in brackets, or a clause behind a dash, a comma or a colon; without the brackets.
    """
    words = words[:240].strip(" .!'\"-")
    if not words:
        return True
    named = _NAME.search(words)
    if named:
        if not _OTHER_ACTION.search(words) or PREFERS_IT.search(words):
            return False
        words = _without_others(words)
        if not words.strip(" ,;."):
            return True
    elif _WOULD.search(words) and not _ELSE.search(words):
        return False
    return not is_ruled_out(words) and bool(named or _EXPLAINS.search(words))


PREFERS_IT = pattern(
    r"(?<!no )\b(?:better|best|safer|wiser|smarter|preferable|preferred|ideal|correct|optimal"
    r"|should|instead$)\b(?! than)",
    re.I,
)
"""Praise that, beside the name of another action, makes that one the better choice."""


def is_ruled_out(words: str) -> bool:
    """Whether words said of an action reject it, doubt it or put it off."""
    if "?" in words or STATUS.search(words) or CONDITION.match(words):
        return True
    if _said_of_it(LATER, words) >= 0:
        return True
    harm = _said_of_it(HARM, words)
    if harm >= 0 and not _SPARED.search(words, 0, harm):
        return True
    reasons = _BEGINS_WITH_REASON.match(words) or _ELSE.search(words)
    if _said_of_it(CONDITION, words) >= 0 and not reasons:
        return True
    return bool(_UNCERTAIN.search(words) and not _ELSE.search(words))


def _said_of_it(wanted: re.Pattern[str], words: str) -> int:
    """Where words speak of their action by a pattern, and not of a ball or a shark; -1 if not."""
    found = wanted.search(words)
    if found is None:
        return -1
    clause = words[words.rfind(",", 0, found.start()) + 1 : found.start()]
    return -1 if _BEGINS_WITH_THING.match(clause) else found.start()


def _without_others(words: str) -> str:
    """The words without the clauses about other actions: "RIGHT is blocked"."""
    return " ".join(
        clause for clause in re.split(r"[,;.]", words) if not _OTHER_ACTION.search(clause)
    )

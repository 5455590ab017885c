"""Whether a reply declines to play, in words that `words.refusal_in` does not know.

Beside a labelled answer such words mean little ("I can't do this forever"); above a bare name they
make it no answer: "I am not willing to take part." / "LEFT".
"""

from __future__ import annotations

import re

from atari_vlm.replies.patterns import pattern

_DECLINES = pattern(
    r"""\b(?:I|we)(?:'m|'ll|'d|[ ](?:am|do|did|shall|will|would|can|could|must|have|should))?
        (?:n't|'t|not|[ ](?:not|never))[ ](?:\w+[ ]){0,4}?
        (?:take[ ]part|taking[ ]part|participat|play(?![ ](?:it[ ]safe|around|for))|join|engag
        |help(?![ ]but)|assist|comply|answer|respond|choose|pick|select|proceed|continue|willing
        |comfortable|allowed|permitted|provide|do[ ](?:this|that|it|so)\b|support|agree[ ]to
        |want[ ](?:any|no|a)[ ]part|doing[ ](?:this|that|it|so)\b
        |be[ ](?:a[ ])?part[ ]of|be[ ](?:choosing|playing|answering|doing))
    |\b(?:I|we)(?:'ll|'m|'d|[ ]\w+){0,3}?[ ](?:pass(?=[.!,]|$|[ ]on)|abstain
        |(?:decline|refuse)(?![ ]to[ ](?:go|move|press|fire|hold|turn))
        |opt[ ]out|bow[ ]out|sit[ ](?:this|it)[ ](?:one[ ])?out|object[ ]to|stay[ ]out
        |turn(?:ing)?[ ](?:this|that|it|you)?[ ]?down)\b
    |\b(?:beyond|outside|against)[ ](?:of[ ])?(?:what[ ]I|my|our)\b
    |\b(?:not[ ])?something[ ]I(?:'m|[ ]am|[ ]can|[ ]will|[ ]would|[ ]do|[ ]have)?[ ]?
        (?:n't|not|cannot|have[ ]to|refuse|decline)
    |\bmy[ ](?:policy|rules|values|makers|creators|developers)[ ](?:\w+[ ]){0,2}(?:not|forbid)
    |\bnot[ ]something[ ]I\b|\b(?:count|leave)[ ]me[ ]out\b|\bno,?[ ]thank(?:s|[ ]you)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def declines(text: str) -> bool:
    """Whether a reply without a labelled answer declines to play."""
    return bool(_DECLINES.search(text))

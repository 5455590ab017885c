"""Tell the words of the model from those that it puts into another mouth: "User: ACTION: UP".

A model that does not stop writes on as the user; a model that continues a chat may begin so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from atari_vlm.replies.characters import folded
from atari_vlm.replies.json_answers import JSONAnswer
from atari_vlm.replies.labels import LABEL
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.reply_grammar import UnclearReply
from atari_vlm.replies.words import has_any

_OTHER = folded(
    "user|human|system|sistema|systeme|utilisat(?:eur|rice)|usuari[oa]|usuário|utente|umano|benutzer|nutzer|mensch"
    "|gebruiker|użytkownik|człowiek|kullanici|användare|bruker|bruger|käyttäjä|uživatel"
    "|felhasználó|utilizator|người dùng|pengguna|пользователь|человек|система|користувач|χρήστης"
    "|用户|用戶|使用者|人类|人類|系统|系統|ユーザー|人間|システム|사용자|인간|시스템|المستخدم"
    "|उपयोगकर्ता|משתמש|ผู้ใช้"
)
_OWN = folded(
    "assistant|model|ai|agent|bot|me|assistente?|asistente|asystent|asistan|avustaja|pomocník"
    "|trợ lý|asisten|ассистент|помощник|модель|асистент|βοηθός|助手|助理|模型|アシスタント"
    "|モデル|어시스턴트|조수|모델|المساعد|सहायक|עוזר|ผู้ช่วย"
)
_SPEAKER = pattern(
    rf"^[ >#]{{0,3}}[\"'\[(]?(?:(?P<other>{_OTHER})|(?P<own>{_OWN}))[\"'\])]?[ ]{{0,2}}(?::|$)",
    re.IGNORECASE | re.MULTILINE,
)
"""The name of who speaks, at the beginning of a line."""
_OTHERS = pattern(_OTHER, re.IGNORECASE)
_HINTS = (
    *("user", "human", "syste", "siste", "utili", "usuar", "utent", "umano", "utzer", "mensch"),
    *("gebruik", "uzytk", "czlow", "kullan", "anvand", "bruke", "bruge", "kaytta", "uzivat"),
    *("felhas", "nguoi", "penggu"),
)
"""One of them is in every name of another that is written in Latin letters."""


def may_have_others(text: str) -> bool:
    """Whether others than the model may speak in a reply."""
    if "\n" not in text:
        return _SPEAKER.match(text) is not None
    if text.isascii():
        return has_any(text.lower(), _HINTS)
    return _OTHERS.search(text) is not None


def own_words(text: str, objects: Sequence[JSONAnswer]) -> tuple[str, list[JSONAnswer]]:
    """A reply with spaces in place of what others say in it, and its own objects.

    Args:
        text: the reply, with spaces in place of its JSON.
        objects: its JSON.

    Raises:
        UnclearReply: it answers both before and after another speaks.
    """
    own: list[tuple[int, int]] = []
    at, mine = 0, True
    for turn in _SPEAKER.finditer(text):
        if mine:
            own.append((at, turn.start()))
        at, mine = turn.end(), turn["own"] is not None
    if mine:
        own.append((at, len(text)))
    if sum(_has_answer(text, objects, start, end) for start, end in own) > 1:
        raise UnclearReply("The reply goes on as a talk of several: give only your own answer.")
    kept, at = [], 0
    for start, end in own:
        kept += [re.sub(r"[^\n]", " ", text[at:start]), text[start:end]]
        at = end
    kept.append(re.sub(r"[^\n]", " ", text[at:]))
    return "".join(kept), [
        each for each in objects if any(start <= each.start < end for start, end in own)
    ]


def _has_answer(text: str, objects: Sequence[JSONAnswer], start: int, end: int) -> bool:
    if any(start <= each.start < end and each.action is not None for each in objects):
        return True
    return bool(LABEL.search(text, start, end))

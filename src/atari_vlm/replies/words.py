"""Words that choose, doubt, negate, correct or refuse, in the languages of `tests/replies/corpus`.

Patterns are matched against text without accents (`characters.folded`). Chinese, Japanese and
Korean words have no boundaries; all others stand between word boundaries. A language that is not
here is read all the same where the answer has a label, is JSON, or stands on a line of its own.
"""

from __future__ import annotations

import re

from atari_vlm.replies.characters import folded
from atari_vlm.replies.patterns import pattern


def _any(words: str, unspaced: str = "") -> str:
    """A pattern for words separated by |, and for words of languages without spaces."""
    spaced = rf"\b(?:{_spelled(words)})\b"
    return f"(?:{spaced}|{_spelled(unspaced)})" if unspaced else spaced


def _spelled(words: str) -> str:
    """The words without accents, with spaces that count in a verbose pattern."""
    return folded(words).replace(" ", "[ ]")


_ANSWERS_ENGLISH = (
    "action|answer|choice|decision|decide|move|output|response|command|conclusion|verdict|call|pick"
    "|selection|button"
)
_ANSWERS = (
    "aktion|antwort|entscheidung|zug|actie|antwoord|keuze|action|choix|réponse|décision|acción"
    "|respuesta|decisión|elección|ação|resposta|decisão|escolha|azione|risposta|scelta|mossa|akcja"
    "|odpowiedź|ruch|eylem|cevap|hamle|действие|ответ|ход|решение|выбор|åtgärd|handling|svar"
    "|wahl|bewegung|mouvement|coup|jugada|movimiento|opción|jogada|movimento|opção|decisione|opzione"
    "|beslissing|decyzja|wybór|karar|seçim|beslut|rozhodnutí|keputusan|pilihan|quyết định"
    "|toiminto|vastaus|akce|odpověď|tah|akció|válasz|lépés|acțiune|acțiunea|răspuns|ενέργεια"
    "|απάντηση|κίνηση|дія|відповідь|hành động|lựa chọn|câu trả lời|tindakan|aksi|jawaban|الإجراء"
    "|الحركة|الجواب|القرار|कार्रवाई|क्रिया|उत्तर|एक्शन|פעולה|תשובה|การกระทำ|คำตอบ"
)
_BEST = (
    "moja|mój|mijn|mia|mio|benim|min|mitt|meu|моё|мой|моя|beste|gewählte|nächste|empfohlene|finale|endgültige|gekozen|volgende|aanbevolen|meilleure"
    "|prochaine|mejor|próxima|melhor|migliore|prossima|najlepsza|wybrana|następna|bästa|bedste"
    "|лучшее|лучший|выбранное|следующее|следующий|итоговое|итоговый|окончательный|en iyi|seçilen"
)
_CHOSEN = (
    "escolhid[ao]|elegid[ao]|escogid[ao]|seleccionad[ao]|selecionad[ao]|recomendad[ao]|recommandée?"
    "|choisie?|scelt[ao]|selezionat[ao]|consigliat[ao]|final|finale|correct[ao]|siguiente|seguinte"
)
_ANSWERS_CHINESE = "行动|行動|动作|動作|操作|答案|回答|选择|決定|决定|决策"
_ANSWERS_JAPANESE = "アクション|答え|選択"
_ANSWERS_KOREAN = "행동|동작|답|답변|액션|선택|결정"


def _label_words() -> str:
    """All labels, in groups by their first letter, so that a search tries only one of them."""
    words = [
        *(f"{best} (?:{_ANSWERS})" for best in _BEST.split("|")),
        *(f"{answer}(?: (?:{_CHOSEN}))?" for answer in _ANSWERS.split("|")),
        *_ANSWERS_ENGLISH.split("|"),
        *(
            f"{best}的?(?:最佳|最好|正确)?(?:{_ANSWERS_CHINESE})"
            for best in (
                "最终",
                "最終",
                "最后",
                "最佳",
                "最好",
                "最优",
                "我",
                "下一步",
                "推荐",
                "所选",
                "选定",
            )
        ),
        *(
            f"{best}(?:{_ANSWERS_JAPANESE}|行動)"
            for best in ("最適な", "最善の", "最終", "最終的な", "次の", "選択した")
        ),
        *(
            f"{best} ?(?:{_ANSWERS_KOREAN})"
            for best in ("최종", "최선의", "최적의", "다음", "선택한")
        ),
        *f"{_ANSWERS_CHINESE}|{_ANSWERS_JAPANESE}|{_ANSWERS_KOREAN}".split("|"),
    ]
    groups: dict[str, list[str]] = {}
    for word in words:
        plain = folded(word).replace(" ", "[ ]")
        groups.setdefault(plain[0], []).append(plain[1:])
    behind = {
        first: f"(?-i:[{first.upper()}{first}])(?:{'|'.join(rest)})"
        for first, rest in groups.items()
    }
    latin = "|".join(each for first, each in behind.items() if first.isascii())
    others = "|".join(each for first, each in behind.items() if not first.isascii())
    return rf"{latin}|(?=[^\x00-\x7f])(?:{others})"


LABELS = _label_words()
"""Words that, before a colon, introduce an answer."""

PLURAL_LABELS = folded(
    "actions|plans|moves|decisions|sequence|aktionen|acciones|ações|azioni|acties|действия"
)

_NOT_ENGLISH = (
    "not|never|cannot|nor|neither|without|avoid|avoids|avoiding|refuse|forbidden|forbids?|except"
    "|instead of|rather than|anything but|stop|unless"
    "|no (?:need|reason|way|more|longer|circumstances|account|case|means)"
    "|opposite of|release|releasing"
)
_NOT = (
    "nicht|kein|keine|keinen|niemals|nie|vermeide|vermeiden|statt|keinesfalls|pas|jamais|éviter?"
    "|évitez|évite|sans|sauf|nunca|jamás|evita|evite|evitar|não|nem|evitare|niet|nooit|geen"
    "|vermijd|nigdy|değil|asla|не|нет|никогда|нельзя|избегай|избегать|избегаю|без|вместо"
)
_NOT_UNSPACED = "不|别|別|勿|避|禁|没有|沒有|ない|ません|やめ|않|마세요|말고|안 "
_NOT_OR_ANOTHER_WORD = "ne|non|sin|no|sem|mai|ни"
_PERHAPS_ENGLISH = (
    "maybe|perhaps|possibly|might|could|or|either|if|when|unsure|hypothetically"
    r"|had (?:\w+ ){1,3}been"
)
_PERHAPS = (
    "vielleicht|oder|eventuell|wenn|falls|peut-être|quizás?|tal vez|acaso|talvez|forse|misschien"
    "|może|lub|belki|veya|возможно|может|или|если|наверное"
)
_PERHAPS_UNSPACED = "也许|或|可能|还是|還是|大概|如果|多分|かも|もし|아마|또는"
_PERHAPS_OR_ANOTHER_WORD = "ou|si|o|se|of|als"

LATER = pattern(
    r"""\b(?:later|soon|sooner|eventually|afterwards?|someday|tomorrow|shortly|ultimately
    |(?<!for[ ])(?<!for[ ]the[ ])(?<!for[ ]my[ ])(?:next|following|subsequent|coming)[ ]
      (?:\w+[ ])?(?:turns?|times?|frames?|rounds?|screens?|chance|opportunity|waves?|levels?|steps?
      |decisions?|li(?:fe|ves)|seconds?|moments?|tick)(?![ ]is\b)
    |in[ ](?:a|the|an?other|one|two|three|four|five|six|ten|some|[0-9]+|several)[ ](?:few[ ]
    |next[ ])?
      (?:moments?|seconds?|whiles?|bit|few|frames?|steps?|turns?|future|minute)
    |(?:the|that|this)[ ](?:moment|instant|second|minute)[ ](?!to\b|is\b)[a-z]
    |as[ ]soon[ ]as|as[ ]long[ ]as|so[ ]long[ ]as|by[ ]the[ ]time|in[ ]the[ ]event|in[ ]case
    |at[ ](?:some[ ]point|the[ ]right|the[ ]last|a[ ]later|another)|(?:about|ready|prepared
    |waiting)[ ]to
    |wait(?:ing)?[ ](?:for|until|to|till)|(?:provided|assuming|supposing|granted)[ ]that
    |depending|contingent|except[ ]when|were[ ](?:it|I|there|the)|had[ ](?:it|I|there|the)
    |once(?=[ ](?:the|it|I|we|you|there|this|that|my|our|they|he|she|an?|all|every|again)\b)
    |after(?![ ](?:all|\w*(?:analy|look|consider|review|see|observ|evaluat|assess|examin|think
    |weigh)))
    |used[ ]to|until[ ]then|that[ ]time|one[ ]day|when(?:ever)?|while[ ]?$|till[ ]then
    |some[ ]other[ ]time|not[ ]yet|not[ ]now)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""A word that puts a choice off, or makes it depend on something, in English prose."""
ENGLISH_NEGATION = pattern(rf"{_any(_NOT_ENGLISH)}|n't\b", re.IGNORECASE)
"""A word that turns a choice into its opposite, in English prose."""
NEGATION = pattern(
    rf"{_any(f'{_NOT_ENGLISH}|{_NOT}|{_NOT_OR_ANOTHER_WORD}', _NOT_UNSPACED)}|n't\b|\bn'(?=[a-z])",
    re.IGNORECASE,
)
"""The same in any of the languages, for prose that is known to be in one of them."""
ENGLISH_HEDGE = pattern(_any(_PERHAPS_ENGLISH), re.IGNORECASE)
"""A word that leaves a choice open, in English prose."""
HEDGE = pattern(
    _any(f"{_PERHAPS_ENGLISH}|{_PERHAPS}|{_PERHAPS_OR_ANOTHER_WORD}", _PERHAPS_UNSPACED),
    re.IGNORECASE,
)
"""The same in any of the languages."""
_WAS = "was|were|war|waren|était|étaient|era|eran|foi|fue|fu|byla|bylo|była|был|была|было"
DOUBT = pattern(
    _any(
        f"{_NOT_ENGLISH}|{_NOT}|{_PERHAPS_ENGLISH}|{_PERHAPS}|{_WAS}",
        f"{_NOT_UNSPACED}|{_PERHAPS_UNSPACED}",
    )
    + r"|n't\b",
    re.IGNORECASE,
)
"""Both, without words that mean something else in another language; before a label."""

_NO = "no|nope|nah|nein|nee|non|não|niet|nie|нет"
_CORRECTION = (
    "wait|oops|whoops|sorry|correction|scratch that|strike that|never ?mind|on second thoughts?"
    "|hold on|hang on|just kidding|kidding|i mean|i meant|make that|my mistake|cancel(?: that)?"
    "|undo|(?:disregard|ignore) (?:that|this|the above|my)|on reflection"
    "|forget (?:it|that)|i take that back|i changed my mind"
    "|or rather|rather not|moment|warte|quatsch|korrektur|attendez?|correction|espera|perdón"
    "|corrección|corrigiendo|espere?|correção|aspetta|погоди|стоп|исправление"
)
CORRECTS = pattern(
    rf"""^[\s"'(*<-]{{0,8}}(?:(?:hm+|but|und|and|oh|ah|or|well)[ ,.]{{1,3}}){{0,2}}(?:
        (?:{_spelled(_NO)})(?=[ ]{{0,2}}(?:[,.!:;)-]|$)|[ ](?:wait|no|not|it|that|i|rather)\b)
      |(?:{_spelled(_CORRECTION)})\b(?![ ](?:for|until|to|till)\b)
      |(?:this[ ]is[ ]|that'?s?[ ](?:is[ ])?)?(?:wrong|incorrect|invalid|a[ ](?:mistake|bad[ ]idea))
          [ ]?[)!]?$
      |actually(?=[,.!:; -]{{1,2}}|$)|actuellement\b|hm+\b
      |(?:not|never)[ ]?(?:[,.!]|$)
      |that(?:'s|[ ]is|[ ]was)[ ]what[ ](?!I[ ]|we[ ])
      |(?:doch|lieber|besser)[ ]nicht\b|en[ ]fait,?[ ]non|(?:mejor|melhor|meglio)[ ](?:no|nao
      |di[ ]no)\b
      |toch[ ]niet\b|jednak[ ]nie\b|лучше[ ]не\b|отмен|передумал
      |{folded("不对|不是|错了|不對|错|算了|还是算|取消|撤回|いや|違|やっぱり|やはり|やめ|取り消|아니|취소|그만")}
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""The beginning of a clause that takes back what was said before it."""

PREFERS = pattern(
    _any(
        "better|best|rather|instead|otherwise|else|should|prefer|choose|maybe|perhaps|could|might|or"
        "|but first"
        "|besser|lieber|doch|stattdessen|vielleicht|oder|plutôt|mieux|mejor|quizás?|melhor|talvez"
        "|meglio|beter|liever|lepiej|лучше|или",
        "更好|应该|應該|还是|或|むしろ|더 ",
    ),
    re.IGNORECASE,
)
"""A word that, beside the name of another action, makes that one the better choice."""

_REFUSE_EN = r"""
    \b(?:I|we)(?:[ ](?:really|simply|must|also)){0,2}
    (?:[ ](?:can(?:'t|not|[ ]not)|won't|will[ ]not|could[ ]not|am[ ](?:unable|not[ ](?:able
    |allowed))[ ]to
       |refuse[ ]to|decline[ ]to|have[ ]to[ ]decline[ ]to)
     |'m[ ](?:unable|not[ ](?:able|allowed))[ ]to|[ ](?:don't|do[ ]not)[ ]want[ ]to)
    [ ](?:help(?![ ](?:but|\w+ing))|assist|comply|fulfil\w*|participate|engage|take[ ]part
     
     |provide[ ](?:you[ ])?(?:any[ ])?(?:assistance|help)|do[ ](?:that|this|so)(?=[.,!;:]|$)
     |play[ ](?:this|the|that|any|video|violent
     |atari)?[ ]?games?\b
     |play(?=[.!]|$)|answer(?=[.!]|$|[ ](?:that|this))|respond|continue(?=[.!]|$|[ ](?:with|this))
     |(?:provide|give|choose|select|recommend|suggest)[ ](?:you[ ])?(?:an?|any|the
     |this)[ ](?:action|answer|move))
   |\bI[ ](?:must[ ]|have[ ]to[ ]|respectfully[ ]|will[ ])?(?:decline|refuse)
    (?=[.!]|$|[ ](?:this|that|the[ ]request))
   |\bI(?:'m|[ ]am)?[ ](?:do[ ])?not[ ](?:feel[ ])?comfortable[ ]
     (?:with[ ](?:this|that)\b|choosing|providing|playing|doing|answering|participating|helping)
   |\bI(?:'d|[ ]would)[ ](?:prefer|rather)[ ]not(?:[ ]to)?[ ](?:answer|play|help|do[ ]th|take)
   |\b(?:inappropriate|unethical|immoral)[ ](?:for[ ]me|to)\b
   |\bin[ ]good[ ]conscience\b|\bcontent[ ]policy\b
   |\bdo[ ]not[ ]have[ ]the[ ]ability[ ]to[ ]play|\bdon't[ ]have[ ]the[ ]ability[ ]to[ ]play
   |\b(?:violates?|against)[ ](?:my|our|the)[ ](?:\w+[ ])?(?:guidelines|polic(?:y|ies)|principles
   |programming)
   |\bmy[ ](?:guidelines|polic(?:y|ies)|principles|programming)
    [ ](?:prevents?|forbids?|do(?:es)?[ ]not)"""
_REFUSE_OTHER = r"""
    \bdas[ ]kann[ ]ich[ ]nicht\b|\bich[ ](?:weigere[ ]mich|lehne[ ](?:das[ ])?ab|verweigere)\b
   |\bje[ ]refuse[ ](?:de|d')|\bme[ ]niego[ ]a|\bmi[ ]rifiuto|\b(?:me[ ])?recuso(?:-me)?[ ]a
   |\bik[ ]weiger\b|\bodmawiam\b|отказываюсь|拒绝|拒絕|お断り|断ります|拒否|거절|거부
   |kann[ ](?:\w+[ ]){0,5}nicht[ ](?:weiter)?(?:helfen|erfüllen|beantworten|unterstützen
    |mitmachen|nachkommen)
   |kann[ ](?:ich[ ])?(?:\w+[ ]){0,4}nicht[ ](?:\w+[ ]){0,2}(?:helfen|erfüllen|beantworten)
   |ne[ ](?:peux|suis|puis)[ ]pas[ ](?:\w+[ ]){0,4}(?:aider|répondre|satisfaire|participer
   |assister|traiter|accéder)
   |no[ ]puedo[ ](?:ayudar\w*|cumplir|responder|asistir\w*|participar|proporcionar|hacer[ ]eso
   |continuar)
   |não[ ](?:posso|consigo)[ ](?:\w+[ ]){0,2}(?:ajudar|atender|responder|cumprir|participar
   |fornecer|fazer[ ]isso)
   |non[ ]posso[ ](?:\w+[ ]){0,2}(?:aiutar\w*|rispondere|soddisfare|partecipare|fornire|assister\w*)
   |kan[ ](?:\w+[ ]){0,5}niet[ ](?:mee[ ])?(?:helpen|beantwoorden)
   |nie[ ]mogę[ ](?:\w+[ ]){0,3}(?:pomóc|odpowiedzieć|spełnić)|yardimci[ ]olamam|yardim[ ]edemem
   |не[ ](?:могу|буду|в[ ]состоянии)[ ](?:\w+[ ]){0,4}(?:помочь|помогать|выполнить|ответить
   |участвовать|предоставить)
   |(?:无法|無法|不能|不可以|没办法)[ ]?(?:\w{0,2})(?:帮助|幫助|协助|協助|提供|回答|满足
    |完成|参与|处理|继续|帮)
   |(?:手伝い|応え|答え|対応|協力|応じ|支援|回答)(?:する[ことが]{0,3}|は|が|も|に)?[ ]?
    (?:でき(?:ません|かね|ない)|いたしかね|しかね)
   |(?:게임을|플레이를|참여를|요청을|선택을)[ ]?(?:\w{0,4}[ ])?(?:할|수행할|처리할
   |플레이할)[ ]수[ ]?(?:가[ ])?없
   |(?:플레이할|참여할)[ ]수[ ]?(?:가[ ])?없
   |(?:도와\w{0,4}|도울|응답할|제공할|답변할|지원할)[ ]수[ ]?(?:가[ ])?없"""
_REFUSES = pattern(f"{_REFUSE_EN}|{folded(_REFUSE_OTHER)}", re.IGNORECASE | re.VERBOSE)
_HINTS = (
    *(
        "n't",
        "not",
        "unable",
        "decline",
        "refus",
        "prefer",
        "rather",
        "guideline",
        "polic",
        "princip",
    ),
    *(
        "programming",
        "conscience",
        "comfortable",
        "kann",
        "weiger",
        "lehne",
        "peux",
        "suis",
        "puis",
    ),
    *(
        "niego",
        "puedo",
        "rifiut",
        "recuso",
        "posso",
        "consigo",
        "kan ",
        "moge",
        "odmawiam",
        "olamam",
    ),
    "edemem",
    *("want to", "inappropriate", "ethical", "immoral"),
)
"""One of them is in every refusal without other than Latin letters."""


def has_any(text: str, hints: tuple[str, ...]) -> bool:
    """Whether one of the hints is in a text; a quick look before a pattern with many words."""
    for hint in hints:  # noqa: SIM110 (faster than `any`, and every reply passes here)
        if hint in text:
            return True
    return False


def refusal_in(text: str) -> int:
    """Where a text refuses to play, whatever else it says; -1 if it does not."""
    if not text or text.isspace():
        return -1
    if text.isascii():
        lower = text.lower()
        if not has_any(lower, _HINTS):
            return -1
    found = _REFUSES.search(text)
    return found.start() if found else -1


_SORRY = folded(
    r"\b(?:sorry|unfortunately|apologi[sz]e|afraid|désolée?|hélas|lamento|lo siento|perdón|desculpe"
    r"|infelizmente|leider|tut mir leid|entschuldig\w*|scusa\w*|dispiace|purtroppo|helaas|spijt"
    r"|przepraszam|niestety|üzgünüm|maalesef|извини\w*|прости\w*|сожалению)\b"
    r"|抱歉|对不起|對不起|すみません|申し訳|ごめん|죄송|미안"
)
_APOLOGISES = pattern(
    rf"(?:{_SORRY})[^.!?\n]{{0,80}}(?:{NEGATION.pattern}|\bunable\b)"
    rf"|(?:{_SORRY})[^!?\n]{{0,30}}(?:ません|できない)",
    re.IGNORECASE,
)
_SORRY_FIRST = (
    *("beklager", "unnskyld", "undskyld", "förlåt", "tyvärr", "ursäkta", "xin lỗi", "maaf"),
    *("anteeksi", "valitettavasti", "omlouvám", "bohužel", "sajnálom", "îmi pare rău", "λυπάμαι"),
    *("συγγνώμη", "عذر", "آسف", "أعتذر", "ขออภัย", "ขอโทษ", "क्षमा", "माफ़", "सॉरी", "סליחה", "מצטער"),
    *("вибач", "на жаль", "paumanhin", "samahani"),
)
"""Apologies, in languages whose negations are not listed; a reply that begins so refuses."""
_SORRY_FIRST_PATTERN = pattern(
    rf"\W{{0,9}}(?:{'|'.join(folded(word) for word in _SORRY_FIRST)})", re.IGNORECASE
)
_SORRY_HINTS = (
    *("sorry", "fortunate", "apolog", "afraid", "desol", "helas", "lament", "siento", "perdon"),
    *("desculp", "infeliz", "leider", "leid", "entschuld", "scusa", "dispiace", "purtroppo"),
    *("helaas", "spijt", "przepraszam", "niestety", "uzgunum", "maalesef"),
)


def apologises(text: str) -> bool:
    """Whether a text is sorry for what it will not do: a refusal, if no labelled answer follows."""
    if _SORRY_FIRST_PATTERN.match(text):
        return True
    if text.isascii():
        lower = text.lower()
        if not has_any(lower, _SORRY_HINTS):
            return False
    return bool(_APOLOGISES.search(text))


SEEMS_TO_REFUSE = pattern(
    r"""\bas[ ]an[ ]AI\b|\b(?:I'm|I[ ]am)[ ](?:just|only)[ ]an?[ ](?:\w+[ ]){0,2}(?:model|AI
    |assistant)
    |\bI[ ](?:can(?:'t|not|[ ]not)|am[ ](?:unable|not[ ]able)[ ]to
    |do[ ]not[ ]have[ ]the[ ]ability[ ]to|don't[ ]have[ ]the[ ]ability[ ]to)
      [ ](?:(?:view|see)(?![ ](?:(?:the|any)[ ](?:ball|shark|enem|diver|ghost|car|paddle)|it\b|how
          |wh)|[.!]?$)
        |process|access|analy[sz]e|interact|look[ ]at|play|choose|select|make(?![ ]out)|take)\b
    |\b(?:sorry|unfortunately|apologi[sz]e)\b[^.!?\n]{0,60}\b(?:can(?:'t|not)|unable)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""A refusal, if the reply has no answer either."""

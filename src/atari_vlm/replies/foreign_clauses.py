"""Clauses that choose an action, in languages other than English.

A clause chooses only if all of it is understood: words that may lead ("therefore", "now"), words
that choose in the present ("I press", "the best action is"), the name, and words that may close
("to catch the ball", "because ..."). One unknown word is enough to choose nothing: it may be a
negation, a judgement, another time or another player. The clauses beside it are free, unless they
make a condition, another time or a quotation of it.

Patterns are matched against text without accents (`characters.folded`), where Chinese, Japanese and
Korean words stand apart from the names.
"""

from __future__ import annotations

import re
from typing import Literal

from atari_vlm.replies.characters import folded
from atari_vlm.replies.patterns import pattern

_SO = folded(
    r"\b(?:daher|deshalb|darum|folglich|somit|deswegen|demnach|also|donc|ainsi|par consequent"
    r"|c'est pourquoi"
    r"|du coup|por (?:lo )?tanto|asi que|por eso|por lo que|por lo cual|de modo que|por ello"
    r"|portanto|por isso|logo|assim|entao"
    r"|quindi|percio|dunque|pertanto"
    r"|dus|daarom|derhalve|wiec|dlatego|zatem|поэтому|значит|следовательно|итак|bu yuzden"
    r"|bu nedenle|nên|cho nên|vì vậy|vì thế|do đó|do vậy|jadi|maka|karena itu|oleh karena itu"
    r"|sehingga|så|ezért|tehát|așa că|prin urmare|deci|joten|siksi|siis|άρα|οπότε|επομένως|тому"
    r"|отже|इसलिए|لذلك|لذا|إذن|לכן|ดังนั้น|จึง"
    r"|dolayisiyla|derfor|därför|takže|proto)\b"
    r"|所以|因此|因而|于是|於是|故此?|综上所述|綜上所述|综上|よって|だから|したがって|従って|そのため|ゆえに"
    r"|그래서|따라서|그러므로|그러니"
)
"""Words that draw a conclusion: what stands before them are only reasons."""
_REASON_ENDS = folded(
    "ので|(?<![てで])から|ために?|為|(?:이|으)?므로|(?:으)?니까?|기 때문에|때문에|위해서?"
    "|[아어여해]서"
)
"""Ends of words that make a reason of all before them, in Japanese and Korean."""

_LEADS = folded(
    r"\b(?:als nächstes|zunächst|bu durumda|jetzt|nun|hier|und|ok|okay|gut|ja|zuerst|erst"
    r"|sofort|dann|aktuell|momentan"
    r"|in diese[rm] (?:situation|fall|moment)"
    r"|maintenant|ici|et|bon|oui|d'abord|alors|dans (?:cette situation|ce cas)|pour l'instant"
    r"|actuellement|a mon avis"
    r"|ahora|aqui|y|entonces|bueno|si,|en esta situacion|en este (?:caso|momento)|primero|yo"
    r"|agora|e|nesta situacao|neste (?:caso|momento)|primeiro|eu"
    r"|ora|adesso|qui|allora|in questa situazione|in questo (?:caso|momento)|io"
    r"|nu|dan|hier|en|in deze situatie|teraz|i|w tej sytuacji|tutaj|ja"
    r"|сейчас|теперь|тогда|здесь|и|в этой ситуации|в данный момент|сначала|сразу|simdi|ben"
    r"|o zaman|burada)\b"
    r"|我们|我|现在|現在|那么|那|最终|最後|最后|首先|立即|马上|立刻|这里|此时|此刻|目前|当前|本次|这次|这一?[步帧]|在这种情况下"
    r"|应该|應該|应当|应|應|需要|必须|得|要|将|會|会|决定|決定|建议|建議|认为|觉得|判断|综合考虑|综合来看|总之|请|就|先|直接|继续|繼續"
    r"|(?:私|僕|俺|自分|ここ|今回|今|現在|まず|この(?:場合|場面|状況)|そこ)(?:では|で|は|すぐ|の)?|今すぐ|とりあえず|まずは"
    r"|저는|나는|이제는?|지금은?|우선|먼저|여기서는?|이번에는?|(?:이|현재) 상황에서는?"
)
"""Words that may stand before the words that choose."""

_ADVERBS = (
    r"(?: (?:jetzt|nun|also|daher|deshalb|sofort|hier|weiter|einfach|lieber|somit|donc|alors"
    r"|maintenant|ici"
    r"|ahora|por tanto|agora|então|ora|quindi|adesso|nu|dus|hier|teraz|więc|сейчас|теперь"
    r"|поэтому|şimdi)){0,2}"
)
_VERBS_DE = (
    "drücke|wähle|nehme|spiele|gehe|fahre|steuere|ziehe|entscheide mich|betätige|tippe|halte"
    "|führe|mache"
    r"|bewege(?: mich| (?:den|das|die|mein\w{0,2}) \w{3,12})?|setze auf|werde|muss|sollte|will"
)
_BODY = (
    "raquete|raqueta|paleta|raquette|racchetta|schläger|paddel|schiff|u-boot|submarino|sous-marin|sottomarino"
    "|nave|barra|pala|palette|ракетк\\w|платформ\\w|peddel|rakietkę|paletkę|jugador|jogador|spieler"
    "|joueur|joystick|vaisseau|figur|personaje|personagem|personnage|pollo|galinha|huhn"
)
_TO = (
    rf"(?: (?:den|das|die|meinen?|la|le|ma|mon|el|mi|a|o|minha|meu|il|lo|mia|mio|de|het"
    rf"|mijn)? ?(?:{_BODY}))?"
    r"(?: (?:nach|für|auf|mit|die (?:aktion|taste)|in richtung|à|à la|vers(?: la)?|sur|la"
    r"|l'action|l'|pour"
    r"|a|a la|hacia(?: la)?|por|la (?:acción|tecla)|el (?:botón|movimiento)|para(?: a)?|em"
    r"|o botão|a ação|a tecla"
    r"|verso|il tasto|l'azione|per|voor|naar|op|de actie|akcję|przycisk|klawisz|na|w|на|кнопку"
    r"|действие|в)){0,2}"
)
_IMPERATIVES = (
    r"(?:drück\w{0,2}|wähle?|nimm|bewege?(?: dich)?|gehe?|steuere|spiele?|drücken|wählen"
    r"|appuie|appuyez|appuyer|choisis|choisissez|choisir|déplace-toi|va|allez|aller|jouer|presser"
    r"|presiona|presione|presionar|pulsa|pulse|pulsar|elige|elegir|mueve|mover(?:se)?|muévete|ve|ir"
    r"|pressione|pressionar|aperte|apertar|escolha|escolher|mova|mover(?:-se)?|vá"
    r"|premi|premere|scegli|scegliere|vai|andare|muovi(?:ti)?|muovere"
    r"|druk|kies|ga|beweeg|naciśnij|nacisnąć|wybierz|wybrać|idź|rusz|wciśnij"
    r"|нажми(?:те)?|нажать|выбери(?:те)?|выбрать|иди|идти|двигайся|двигаться|жми)"
)
_CHOOSES = folded(
    rf"(?:{_IMPERATIVES}){_ADVERBS}|"
    rf"(?:ich (?:{_VERBS_DE})|(?:{_VERBS_DE}) ich){_ADVERBS}"
    r"|(?:je |j')(?:choisis|presse|joue|prends|sélectionne|appuie|opte|fais|effectue|décide de"
    r"|(?:vais|dois|veux|devrais)(?: (?:choisir|appuyer|presser|jouer|aller|prendre"
    r"|sélectionner|faire|me déplacer))?"
    rf"|me déplace|déplace (?:la|ma|le|mon) \w{{3,12}}){_ADVERBS}"
    r"|(?:elijo|escojo|presiono|pulso|juego|selecciono|tomo|opto|uso|hago|muevo (?:la|mi"
    r"|el) \w{3,12}|me muevo"
    r"|(?:voy a|debo|tengo que|hay que|debería)(?: (?:mover(?:me)?|presionar|pulsar|elegir|ir"
    r"|seleccionar|usar|jugar))?"
    rf"|moveré|elegiré|presionaré|pulsaré|seleccionaré|iré){_ADVERBS}"
    r"|(?:escolho|pressiono|aperto|jogo|seleciono|uso|opto|faço|movo (?:a|o|minha|meu) \w{3,12}|vou"
    r"|(?:vou|devo|preciso|tenho que)(?: (?:escolher|pressionar|apertar|mover(?:-me)?|ir"
    r"|selecionar|usar|jogar))?"
    rf"|escolherei){_ADVERBS}"
    r"|(?:scelgo|premo|seleziono|vado|uso|opto|muovo (?:la|il|mia) \w{3,12}|mi muovo|sceglierò"
    r"|premerò"
    rf"|(?:devo|dovrei)(?: (?:scegliere|premere|andare|muovere|selezionare))?){_ADVERBS}"
    rf"|(?:ik (?:kies|druk|ga|beweeg|neem|selecteer|moet|zal)|(?:kies|druk|ga|neem) ik){_ADVERBS}"
    r"|(?:wybieram|naciskam|idę|wciskam|gram|wykonuję|decyduję się|poruszam się|wybiorę|nacisnę"
    rf"|(?:muszę|powinienem)(?: (?:wybrać|nacisnąć|iść|ruszyć))?){_ADVERBS}"
    r"|(?:я )?(?:выбираю|нажимаю|жму|иду|играю|двигаюсь|возьму|выполняю|нажму|выберу|пойду"
    rf"|(?:надо|нужно|следует|должен|буду)(?: (?:нажать|выбрать|идти|двигаться|нажимать"
    rf"|выбирать))?){_ADVERBS}"
    r"|jag (?:väljer|trycker)|jeg (?:velger|vælger|trykker)|volím|zvolím|mačkám|választom|aleg"
    r"|valitsen|painan|επιλέγω|обираю"
    r"|saya (?:memilih|menekan)|tôi (?:chọn|nhấn)|أختار|سأختار|أضغط|בוחר"
)
"""Words that choose, in languages that name the action behind them."""
_CHOOSES_CHINESE = folded(
    "(?:选择|選擇|选|選|按下|按住|按|点击|執行|执行|採取|采取|使用|采用|用|走|输出|做出|选定|移动到|往|向|动用)(?:动作|行动|操作|按键|按钮|指令)?"
)

_ADJECTIVES = (
    r"(?:beste|richtige|optimale|nächste|sinnvollste|passende|geeignete|empfohlene|gewählte|ausgewählte|finale"
    r"|endgültige|meilleure?|bonne?|prochaine?|choisie?|recommandée?|finale?|optimale?|appropriée?|suivante?|correcte?"
    r"|mejor|correcta|elegida|escogida|seleccionada|recomendada|final|óptima|próxima|siguiente|adecuada|apropiada"
    r"|melhor|correta|escolhida|selecionada|recomendada|ótima|ideal|adequada|próximo|seguinte"
    r"|migliore|corretta|scelta|selezionata|consigliata|finale|ottimale|giusta|prossima|prossimo|appropriata"
    r"|juiste|gekozen|volgende|optimale|aanbevolen|uiteindelijke|najlepsza|najlepszym|wybrana|właściwa|następna|ostateczna|najlepszy"
    r"|лучшее|лучший|лучшая|правильное|правильный|выбранное|следующее|следующий|оптимальное|итоговое|итоговый|моё|мой|моя"
    r"|окончательный|рекомендуемое|верное|en iyi|seçilen|doğru|sonraki|son|bästa|bedste|beste"
    r"|valda|nejlepší|legjobb)"
)
_NOUNS = (
    r"(?:aktion|wahl|antwort|entscheidung|zug|bewegung|option|handlung|spielzug"
    r"|action|choix|réponse|décision|coup|mouvement|acción|elección|respuesta|decisión|jugada|movimiento|opción"
    r"|ação|escolha|resposta|decisão|jogada|movimento|opção|azione|scelta|risposta|decisione|mossa"
    r"|actie|keuze|antwoord|beslissing|zet|akcja|akcją|wybór|odpowiedź|decyzja|ruch|ruchem"
    r"|действие|действием|ход|ходом|выбор|ответ|решение|решением|eylem|hamle|seçim|cevap|åtgärd|val|handling|akce|tah|volba|lépés)"
)
_IS = (
    r"(?:ist|lautet|wäre|heißt|bleibt|est|serait|es|sería|é|seria|è|sarebbe|is|zou|to|jest|będzie|-|это|будет"
    r"|är|er|je)"
)
_NOUN_IS = folded(
    r"(?:(?:die|meine?|der|das|unsere?|la|le|ma|mon|notre|l'|el|mi|nuestra|a|o|minha|meu|il|mia|mio|de|het"
    r"|mijn|moja|moj|min|benim|наш|наша|наше) ?)?"
    rf"(?:{_ADJECTIVES} ){{0,2}}{_NOUNS}(?: {_ADJECTIVES}){{0,2}}"
    r"(?: (?:hier|jetzt|ici|maintenant|aquí|ahora|agora|aqui|qui|ora|nu|teraz|сейчас|здесь)){0,1}"
    rf" ?{_IS}(?: (?:daher|jetzt|also|donc|de|d'aller|à|portanto|quindi|dus|więc|nun"
    rf"|por tanto)){{0,2}}"
    rf"|(?:ist|wäre|lautet|is|est|es|é|è) (?:(?:die|meine?|la|ma|mon|mi|a|minha|il|la mia|de"
    rf"|mijn) )?"
    rf"(?:{_ADJECTIVES} )?{_NOUNS}"
)
_NOUN_IS_CHINESE = folded(
    "(?:(?:我的?|最佳|最好|最优|最終|最终|最合适|最合理|最安全|正确|正確|下一步|本步|推荐|应采取|应该采取|应选择|当前|此时)的?){0,3}"
    "(?:动作|動作|行动|行動|选择|選擇|答案|回答|操作|决定|決定|决策|策略|做法|办法)(?:就?是|应该?[是为]|为)(?:按|选择)?"
)
_TOPIC = folded(
    r"(?:(?:私の|僕の|最適な|最善の|最良の|次の|ここでの|最終|最終的な|正しい|取るべき|選ぶべき|一番良い|推奨される|現在の|したがって)?"
    r"(?:行動|アクション|動作|操作|選択|選択肢|手|一手|答え|回答|解答|決定|判断|動き|入力)は)"
    r"|(?:(?:제|나의|저의|최선의|가장 좋은|최적의|최종|다음|올바른|현재|추천) ?){0,2}"
    r"(?:행동|선택|동작|답|답변|대답|액션|결정|수|움직임|조작)(?:은|는)"
)
"""What Japanese and Korean say of the name behind it: "the best action is"."""

_BESIDE = rf"^|[,:(]|[ ]-|(?:{_SO})|(?:{_REASON_ENDS})"
"""Where the clause of a name may begin: behind a comma, a conclusion, a reason."""
_BEFORE = pattern(
    rf"(?:{_BESIDE}|\b(?:und|et|y|e|en|i|и|and)\b)[\s,:\"'(]{{0,4}}"
    rf"(?:(?:{_LEADS}|{_SO})[\s,:]{{0,3}}){{0,4}}"
    rf"(?:(?:{_CHOOSES}){folded(_TO)}|{_CHOOSES_CHINESE}|{_NOUN_IS}|{_NOUN_IS_CHINESE})"
    r"[ :,]{0,3}[\"'(]{0,2}$",
    re.IGNORECASE,
)
_LEADS_ONLY = pattern(
    rf"(?:{_BESIDE})[\s,:\"'(]{{0,4}}(?:(?:{_LEADS}|{_SO}|{_TOPIC})[\s,:]{{0,3}}){{0,4}}[\"'(]{{0,2}}$",
    re.IGNORECASE,
)
_CONCLUDES = pattern(
    rf"(?:^|[,:(-] ?)(?:{_SO})[\s,:\"'(]{{0,4}}(?:(?:{_LEADS})[\s,:]{{0,3}}){{0,2}}$",
    re.IGNORECASE,
)
"""Before a name: "therefore LEFT"."""

_VERB = pattern(
    folded(
        r"[\"')]{0,2} ?(?:"
        r"(?:の(?:アクション|ボタン|方向|キー))?(?:(?:を|に|へ|で) ?)?(?:選択|選定|実行|使用"
        r"|攻撃|発射|射撃|回避|浮上|潜行|迎撃|移動|入力|決定|操作)?"
        r"(?:します|する|しましょう|しよう|すべきです|するべきです|すべきだ|する必要があります|いたします|するのが(?:最適|最善|良い|よい|いい)です"
        r"|選びます|選ぶ|選ぼう|選びましょう|選ぶべきです|押します|押す|押そう|押しましょう|押すべきです|押すのが(?:最適|最善|良い|よい)です"
        r"|決めます|決める|動きます|動く|動かします|動かす|行きます|行く|進みます|進む|使います|使う|打ちます|行います|取ります"
        r"|選択)"
        r"|が(?:最適|最善|最良|正解|良い|よい|一番良い)(?:な?(?:行動|選択|手|アクション))?(?:です|だ)"
        r"|(?:이|가) (?:최선|최적|정답|가장 좋은)(?:의)? ?(?:선택|행동)?(?:입니다|이다|이에요|예요)"
        r"|(?:就?是)(?:我的)?(?:最佳|最好|最优|正确|最合适|最安全)的?(?:选择|動作|动作|行动|答案)"
        rf"|{_IS} (?:(?:die|der|das|la|le|el|a|o|il|l'|de"
        rf"|het) ?)?(?:{_ADJECTIVES} ?){{1,2}}{_NOUNS}"
        rf"|{_IS} (?:(?:la|le|el|a|o|il|l'|mi|mon) ?)?{_NOUNS} {_ADJECTIVES}"
        r"|(?:です|だ|とします|にします|である)"
        r"|(?:버튼)?(?:(?:을|를|로|으로) ?)?(?:동안 ?)?(?:선택|실행|이동|결정|사용|입력)?"
        r"(?:합니다|하겠습니다|한다|해요|할게요|하자|하겠다|해야 합니다|해야 해요|해야 한다|됩니다"
        r"|누릅니다|누르겠습니다|누른다|눌러요|누를게요|눌러야 합니다|누르자|움직입니다"
        r"|움직이겠습니다|움직인다|갑니다|가겠습니다|간다"
        r"|정했습니다|고릅니다|고르겠습니다|골라요|선택)"
        r"|(?:입니다|이다|이에요|예요)"
        r"|(?:tusuna |yonune |'?[ei] )?(?:seciyorum|basiyorum|gidiyorum|seçerim"
        r"|sececegim|basacagim|oynuyorum|seçilir)"
        r"|(?:को )?(?:चुनता|चुनती|दबाता|दबाती|चुनूं|चुनूँ|दबाऊं|दबाऊँ)(?:गा|गी)? ?(?:हूं|हूँ|हू)?"
        r"|(?:jetzt )?(?:drücken|wählen|nehmen|spielen)"
        r")(?=[ ]?(?:[.!,)'\"\n]|ね|よ|$))"
    ),
    re.IGNORECASE,
)
"""A verb behind a name, that ends its clause."""

_AND_DO = folded(
    r"[\"')]{0,2} ?(?:(?:を|に|へ) ?(?:押して|押し続けて|選んで|選択して|移動して|使って"
    r"|実行して|動いて)"
    r"|(?:을|를|로|으로) ?(?:눌러|눌러서|선택해|선택해서|선택하여|이동해|이동하여|사용해"
    r"|사용하여)(?= ))"
)
"""A verb behind a name, that goes on: "I press FIRE and serve"."""
_GOES_ON = pattern(_AND_DO, re.IGNORECASE)
_BECAUSE = folded(
    r"\b(?:weil|da|denn|um|damit|wegen|car|parce que?|puisque|pour|afin|porque|ya que|pues"
    r"|para|puesto que|pois|ja que"
    r"|a fim|perche|poiche|per|omdat|want|om|zodat|bo|poniewaz|zeby|aby|by|потому|так как"
    r"|чтобы|ведь|для|поскольку"
    r"|karena|sebab|untuk|agar|vi|de|boi vi|لأن|لكي|כי|eftersom|for att|fordi|protoze|mert|क्योंकि"
    r"|cunku|icin|because|since|as|so that|to|in order to)\b"
    r"|因为|因為|由于|以便|以(?=[\u4e00-\u9fff])|来|來|因(?=[\u4e00-\u9fff])|なぜなら|왜냐하면"
)
_CLOSES = folded(
    r"(?: ?(?:aus|drücken|wählen|nehmen|gehen|spielen|fahren|bewegen|ausführen|steuern|ziehen"
    r"|machen|jetzt|nun|sofort|maintenant"
    r"|ahora|agora|ora|adesso|nu|teraz|сейчас|simdi|als (?:nächste )?aktion|comme action"
    r"|como (?:acción|ação)|uit|button|taste)\b){0,2}"
    r"(?: ?(?:这个|这一)?(?:动作|行动|操作|按键|按钮|键|方向|指令))?"
    r"(?: ?(?:进行|发球|开球|移动|射击|开火|接球|躲避|上浮|下潜|攻击|向[上下左右]|往[上下左右]"
    r"|并|继续)[\u4e00-\u9fff]{0,16})?"
)
_AFTER = pattern(
    rf"[\"')\]]{{0,2}}(?:{_CLOSES})[\"')\]]{{0,2}}[ ]{{0,2}}"
    rf"(?P<end>$|[!.\n]|(?P<because>,?[ ]?(?:{_BECAUSE}))|[,(:]|[ ]-[ ])",
    re.IGNORECASE,
)
"""What may stand behind a name that was chosen: the end, a reason, another clause."""

_OTHER_TIME = folded(
    r"\b(?:wenn|falls|sofern|sobald|solange|nachdem|bevor|bis|als ich|ob|spater|bald|danach"
    r"|erst|nachste[rnms]? (?:zug|runde|frame|bild|mal|schritt|gelegenheit)"
    r"|letzte[rnms]?|zuvor|vorher|vorhin|angenommen|zum beispiel|beispiel|sagt|sagte|damals"
    r"|gestern|vorausgesetzt|ausser"
    r"|quand|lorsque|des qu\w*|apres|avant|jusqu\w*|une fois|plus tard|bientot"
    r"|prochaine?s? (?:tour|coup|image|frame|fois|manche)|tour suivant"
    r"|derniere?|tout a l'heure|auparavant|par exemple|dit|supposons|sinon|a condition"
    r"|seulement|pourvu|hier"
    r"|cuando|en cuanto|despues|antes|hasta|una vez|mas tarde|luego|pronto"
    r"|proxim[oa]s? (?:turno|jugada|frame|fotograma|cuadro|vez|ronda)"
    r"|siguiente (?:turno|fotograma|cuadro)|ultim[oa]|anterior\w*|ejemplo|dice|dijo|supongamos"
    r"|a menos|solo|siempre que|ayer"
    r"|quando|assim que|logo que|depois|ate que|uma vez|mais tarde|em breve"
    r"|proxim[oa]s? (?:rodada|vez|quadro|movimento|turno)|exemplo|diz|caso|somente|apenas|ontem"
    r"|appena|dopo|prima|finche|una volta|piu tardi|presto|prossim[oa] (?:turno|frame|volta"
    r"|mossa|fotogramma)|precedente|esempio|disse|qualora|soltanto|ieri"
    r"|wanneer|zodra|nadat|voordat|totdat|later|straks|volgende (?:beurt|ronde|frame|keer)"
    r"|vorige|laatste|voorbeeld|zegt|indien|mits|alleen"
    r"|jesli|jezeli|gdy|gdyby|kiedy|zanim|dopoki|pozniej|wkrotce|zaraz|nastepn\w* (?:turze"
    r"|ruchu|klatce|turz)|poprzedni\w*|ostatni\w*|przyklad\w*|mowi|tylko"
    r"|если|когда|как только|после|прежде|пока|позже|скоро|потом|следующ\w* (?:ход\w*|раз\w*"
    r"|кадр\w*|шаг\w*)|предыдущ\w*|прошл\w*|раньше|ранее|недавно|например|говорит|сказал|вчера|только"
    r"|eger|olunca|sonra|once|kadar|yakinda|sonraki|gelecek|onceki|gecen|ornegin|ise|\w{2,}(?:rsa|rse|zsa|zse|yorsa|yorse)"
    r"|if|when|whenever|until|unless|once|after|soon|example|said|says)\b"
    r"|(?:^|[,:] ?)(?:si|se|s'|als|of|da li)\b"
    r"|如果|若|假如|要是|倘|万一|除非|等|当[^,]{1,14}时|时候|时,|之后|以后|后,|后再|然后再|下一?[次回帧步轮局]|待会|稍后|过会|一会|将来|以前|之前|上[次一回轮]|刚才|刚刚|先前|曾|昨天"
    r"|例如|比如|说|問|问|的话|一旦|只有|只要|という|と言|もし|たら|なら|れば|けば|せば|えば|とき|時に|後で|後に|あとで|さっき|先ほど|前回|次のターン|次回|次のフレーム|例えば|昨日|場合"
    r"|만약|만일|면 |면,|다음 턴|다음 프레임|다음번|나중|이후|후에|때 |때,|때는|아까|방금|지난"
    r"|예를|이전|전에|어제|곧 "
)
_PERHAPS = folded(
    r"\b(?:vielleicht|eventuell|moglicherweise|wohl|peut-etre|sans doute|quizas?|tal vez|acaso"
    r"|talvez|forse|magari|misschien|moze|chyba|byc moze|belki|возможно|может|наверное"
    r"|пожалуй|maybe|perhaps)\b|也许|可能|或许|大概|恐怕|多分|たぶん|おそらく|かもしれ|아마|어쩌면"
)
_CONTRARY = folded(
    r"\b(?:nicht|kein\w*|nie|niemals|aber|jedoch|sondern|gefahrlich|riskant|falsch|fehler|sinnlos|schlecht\w*|sterbe\w*|verlier\w*|tod\w*|nein"
    r"|pas|jamais|aucun\w*|mais|dangereu\w*|risqu\w*|faux|erreur|mauvais\w*|mour\w*|meurs?|perds?|non"
    r"|no|nunca|jamas|pero|sino|peligros\w*|arriesgad\w*|error|mal[oa]?|muero|morir\w*|pierdo|perder\w*"
    r"|nao|nem|mas|porem|perigos\w*|arriscad\w*|erro|ruim|morro|morrer\w*|perco"
    r"|mai|ma|pero|pericolos\w*|rischios\w*|sbagliat\w*|errore|muoio|morire|perdo|niet|nooit|maar|gevaarlijk\w*|fout|dood|verlies|sterf"
    r"|nie|nigdy|ale|lecz|niebezpieczn\w*|ryzykown\w*|blad|zle|zgin\w*|przegra\w*"
    r"|не|нет|никогда|но|однако|опасн\w*|риск\w*|ошибк\w*|глуп\w*|плох\w*|умр\w*|погиб\w*|проигр\w*|degil|asla|ama|fakat|tehlikeli|yanlis"
    r"|not|never|but|however|dangerous|risky|wrong|mistake|bad|die|lose)\b"
    r"|不|别|勿|没|無|无|但|可是|然而|死|输|輸|险|険|错|錯|禁|撞|糟|败|吗|呢|么|难道|何必|ない"
    r"|ません|なく|ず|しかし|でも|けど|やめ|避け|無理|ダメ|だめ|負け|間違|한지|ました|った[ .]"
    r"|でした|いた[ .]|[았었했였]|않|(?<!동)안 |못|없|마세요|말|하지만|그러나|지만|위험|죽"
    r"|금지|잘못"
    r"|실수|까$|나요"
)
_ELSEWHEN = pattern(_OTHER_TIME, re.IGNORECASE)
_HEDGED = pattern(_PERHAPS, re.IGNORECASE)
OPPOSED = pattern(f"{_OTHER_TIME}|{_PERHAPS}|{_CONTRARY}", re.IGNORECASE)
"""A word by which a clause rejects its action, doubts it or puts it off."""
_DEED = pattern(
    rf"(?:^|[,;(] ?|(?={_SO}))(?:{_SO}|"
    + folded(
        "开火|发射|射击|上浮|下潜|发球|接球|躲避|攻击|[向往][左右上下]|移动|追|je vais"
        "|ich (?:muss|gehe)|voy|vou|vado|ik ga|иду|撃つ|打つ"
    )
    + r")[^:;,.!?]{0,50}$",
    re.IGNORECASE,
)


def tells_what_to_do(head: str) -> bool:
    """Whether the words before a colon and a name say what is done: "also schiesse ich: FIRE"."""
    found = _DEED.search(head.rstrip())
    return found is not None and not (OPPOSED.search(found[0]) or _ELSEWHEN.search(head))


_REASONED = pattern(
    rf"^[\s,(:-]{{0,4}}(?:{_BECAUSE})|(?:{_REASON_ENDS})[\s).!]{{0,3}}$", re.IGNORECASE
)


def is_opposed(words: str) -> bool:
    """Whether words in another writing than Latin, said of an action, reject it or put it off."""
    if words.isascii() or _REASONED.search(words):
        return False
    return bool(OPPOSED.search(words))


def choice_in_clause(before: str, after: str) -> Literal["chosen", "doubtful"] | None:
    """What the clause around a name says; None if no words in it choose.

    Args:
        before: the words of the sentence before the name.
        after: those behind it, without how long to hold it.

    >>> choice_in_clause("Der Ball faellt, also druecke ich ", ".")
    >>> choice_in_clause("Mi respuesta es ", ".")
    'chosen'
    >>> choice_in_clause("Elijo ", " mas tarde.")
    'doubtful'
    """
    lead = _BEFORE.search(before)
    verb = None if lead else _VERB.match(after)
    if verb or (lead is None and _GOES_ON.match(after)):
        lead = _LEADS_ONLY.search(before)
        if lead is None or (verb is None and OPPOSED.search(after)):
            return "doubtful"
        after = after[verb.end() :] if verb else ""
    lead = lead or _CONCLUDES.search(before)
    if lead is None:
        return None
    closed = _AFTER.match(after)
    if closed is None or after.rstrip().endswith("?"):
        return "doubtful"
    if closed["because"] is None and OPPOSED.search(after[closed.start("end") :]):
        return "doubtful"
    beside = before[: lead.start()]
    if not _SO_BEGINS.match(lead[0]) and (_ELSEWHEN.search(beside) or _HEDGED.search(beside)):
        return "doubtful"
    return "chosen"


_SO_BEGINS = pattern(rf"[\s,:(-]{{0,4}}(?:{_SO}|{_REASON_ENDS})", re.IGNORECASE)

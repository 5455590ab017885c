// The text beside the screen: plan, prompt, reply, result and events.

const EVENT_ICONS = {
  reward: "M8 4.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8z",
  repair: "m8 3 5 5-5 5-5-5z",
  fallback: "m8 3 5.5 10h-11z",
  life: "M3.5 3.5h9V8L8 13 3.5 8z",
  stuck: "M2 6h12v4H2z",
};

const SOURCES = {
  parsed: "Read from the model's answer",
  repaired: "Read from the model's second answer, after the first named no legal action",
  fallback: "Played because the model named no legal action",
  searched: "Chosen by a search among the candidates",
  scored: "Chosen by the probabilities the model gave",
  scripted: "Chosen by a program, without a model",
};

function showPlan() {
  const { at } = here;
  showThought();
  const over = ended(at);
  const action = over ? "" : now().names[now().actions[at]];
  $("played").classList.toggle("ended", over);
  $("action").textContent = over ? now().status : action;
  $("does").textContent = replay.meanings[action] ?? "";
  for (const arm of $("pad").children) {
    arm.classList.toggle("lit", action.includes(arm.dataset.arm));
  }
  if (over) {
    $("held").textContent = `final score ${number(now().score)}`;
    $("earned").textContent = "";
    return;
  }
  const [frames, interval] = [now().frames[at], now().intervals[at]];
  const source = replay.sources[now().sources[at]];
  $("held").textContent = heldText(frames, interval);
  $("hold").replaceChildren(...holdCells(frames, interval));
  $("source").textContent = $("source").dataset.source = source;
  $("source").title = SOURCES[source];
  showEarned(now().rewards[at]);
}

function showEarned(reward) {
  const gain = reward ? `${reward > 0 ? "+" : ""}${number(reward)}` : "";
  $("earned").textContent = reward === null ? "stopped here" : gain;
  $("earned").dataset.sign = reward === null ? "none" : Math.sign(reward);
}

function heldText(frames, interval) {
  if (frames === interval)
    return `held for ${interval === 1 ? "1 frame" : `all ${interval} frames`}`;
  return `held for ${frames} of ${interval} frames, then NOOP`;
}

/** One cell a frame, or two bars for an interval of more than 20 frames. */
function holdCells(frames, interval) {
  const cell = (lit, share) => {
    const element = make("i", { class: lit ? "on" : "off" });
    element.style.flexGrow = share;
    return element;
  };
  if (interval > 20) return [cell(true, frames), cell(false, interval - frames)];
  return Array.from({ length: interval }, (_, k) => cell(k < frames, 1));
}

let callsShownAt = 0;

/** Show prompt and reply; while playing at most about 4 times a second, to be readable. */
function showCalls() {
  if (here.playing && performance.now() - callsShownAt < 220) return;
  callsShownAt = performance.now();
  if (!ended(here.at)) {
    fillCalls(here.episode, here.at).catch(fail);
    return;
  }
  const played = count(now().actions.length, "decision");
  $("reason").textContent = "";
  $("later").hidden = true;
  fill("saw", [empty(`The episode ended here: ${now().status}.`)]);
  fill("said", [empty(`Final score ${number(now().score)} after ${played}.`)]);
}

function empty(text) {
  return make("p", { class: "empty" }, text);
}

function fill(panel, views) {
  $(panel).replaceChildren(...views.filter(Boolean));
  $(panel).dataset.at = here.at;
}

async function fillCalls(episode, at) {
  const row = await entryAt(choices, episode, at);
  const before = at ? await entryAt(choices, episode, at - 1) : null;
  if (here.episode !== episode || here.at !== at) return;
  $("reason").textContent = $("reason").title = row.reason;
  const later = [
    ["Stuck before this decision", stuckText(row.stuck)],
    ["Memory, for the prompts of later decisions", row.memory],
    ["Queue, plans for the next decisions", row.queue],
  ].filter(([, text]) => text);
  $("later").hidden = !later.length;
  $("later").replaceChildren(
    ...later.flatMap(([title, text]) => [
      make("h3", {}, title),
      make("div", { class: "words" }, text),
    ]),
  );
  const candidates = candidatesOf(row);
  const shown = candidates[Math.min(here.candidate, candidates.length - 1)];
  const earlier = before && (candidatesOf(before).find((other) => other.calls.length) ?? null);
  fillPrompt(shown, earlier, at);
  fillReply(shown, candidates, row);
}

/** How the player was stuck, e.g. "the same action 12 times in a row" for "action x12". */
function stuckText(said = "") {
  return said.replace(/(\w+) x(\d+)/g, "the same $1 $2 times in a row");
}

/** The choices whose calls are shown: the decision itself, or the candidates it considered. */
function candidatesOf(row) {
  const others = (row.considered ?? []).flatMap(candidatesOf);
  return row.calls.length || !others.length ? [row, ...others] : others;
}

function fillPrompt(candidate, earlier, at) {
  const frames = [];
  const views = candidate.calls.flatMap((call, k) => {
    const place = { at, number: now().number, frames, repair: k > 0 };
    const before = k ? candidate.calls[k - 1] : (earlier?.calls[0] ?? null);
    const title = k ? make("h3", { class: "turn" }, `Asked again, turn ${k + 1}`) : null;
    return [title, promptView(call, before, place)];
  });
  fill("saw", views.length ? views : [empty("No model was asked for this decision.")]);
  Promise.all(frames).catch(fail);
}

function fillReply(candidate, candidates, row) {
  const views = candidate.calls.flatMap((call, k) => [
    candidate.calls.length > 1 ? make("h3", { class: "turn" }, `Turn ${k + 1}`) : null,
    replyView(call, row.source),
  ]);
  const list = candidatesView(candidates, row);
  const first = candidates.some((other) => other !== row && other.calls.length);
  const words = views.length ? views : withoutCall(row);
  fill("said", first ? [list, ...words] : [...words, list]);
}

/** Why no model was called: an earlier answer planned this decision, or no model plays. */
function withoutCall(row) {
  if (row.source === "parsed") return [empty(`${row.action} was planned before. ${row.reason}`)];
  const reason = row.reason ? make("div", { class: "reply" }, make("p", { class: "words" }, row.reason)) : null;
  return [reason, empty(`${SOURCES[row.source]}.`)].filter(Boolean);
}

/** The candidates of a vote or a search; those with calls are buttons that show them. */
function candidatesView(candidates, row) {
  const asked = candidates.slice(1).some((candidate) => candidate.calls.length);
  // Of a decision that was asked for once and weighed many answers, only these are listed.
  const listed = !asked && candidates[0] === row ? candidates.slice(1) : candidates;
  if (listed.length < 2) return null;
  const judged = asked && listed[0] === row && /judge/i.test(row.reason);
  const title = make("h3", {}, `Chosen among ${listed.length - judged} candidates`);
  const items = listed.map((candidate, k) => {
    const isJudge = judged && !k;
    const chosen = !isJudge && candidate.action === row.action && candidate.frames === row.frames;
    const choose = () => {
      here.candidate = k;
      fillCalls(here.episode, here.at).catch(fail);
    };
    const pressed = String(asked ? k === here.candidate : chosen);
    const attributes = asked
      ? { type: "button", class: "candidate", "aria-pressed": pressed, onclick: choose }
      : { class: "candidate", "data-chosen": pressed };
    return make(
      asked ? "button" : "span",
      attributes,
      chosen ? make("b", {}, "✓ ") : null,
      isJudge ? "The judge" : `${candidate.action} × ${candidate.frames}`,
      ["searched", "scored"].includes(candidate.source) ? make("small", {}, ` ${candidate.reason}`) : null,
    );
  });
  const shares = sharesView(row);
  return make("div", { class: "candidates", role: "group" }, title, ...items, shares);
}

/** Say at the top why an invalid episode has no score, and what the model said last. */
function showBanner() {
  const { invalid, quote } = now();
  $("banner").hidden = !invalid;
  $("banner-title").textContent = "This run is invalid: it has no score.";
  $("banner-reason").textContent = invalid;
  $("banner-quote").hidden = !quote;
  $("banner-quote").textContent = `Its last reply: “${quote}”`;
}

function showResult() {
  const learned = now().lessons.filter(({ mark }) => mark !== "forbidden");
  const examples = learned.filter(({ frames, source }) => frames.length || source).length;
  const counts = [["example", examples], ["lesson", learned.length - examples]];
  const counted = counts.filter(([, n]) => n).map(([name, n]) => count(n, name));
  $("phase").textContent = now().phase.split(",")[0] || "Episode";
  $("lessons").hidden = !learned.length;
  $("lessons").textContent = `${counted.join(", ")} learned before`;
  const { random, human } = replay;
  const parts = [make("b", {}, number(now().score)), ` ${now().status}`];
  if (now().invalid) parts.splice(0, 2, make("b", {}, "no score"), " invalid");
  if (now().whole && random !== null && human !== null && human !== random) {
    const share = number(Math.round((100 * (now().score - random)) / (human - random)));
    const [low, high] = [`random ${number(random)}`, `human ${number(human)}`];
    parts.push(make("small", {}, `${share}% of the way from ${low} to ${high}`));
  }
  $("result").replaceChildren(...parts);
}

function showEvents() {
  const shown = Object.entries(KINDS).filter(([kind]) => kind !== "stuck" || now().stuck);
  const views = shown.map(([kind, { name, key }]) => {
    const n = events[kind].length;
    const label = `Next ${name.toLowerCase()}, ${n} in this episode`;
    const attributes = {
      type: "button",
      class: "event",
      "data-kind": kind,
      disabled: !n && "",
      "aria-label": label,
      title: `${label} (${key}; shift: the previous one)`,
      onclick: (click) => jump(kind, click.shiftKey ? -1 : 1),
    };
    return make(
      "button",
      attributes,
      icon(EVENT_ICONS[kind]),
      make("span", { class: "name" }, name),
      make("span", {}, number(n)),
    );
  });
  $("events").replaceChildren(...views);
}

function icon(outline) {
  const drawn = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  const [picture, path] = [drawn("svg"), drawn("path")];
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("aria-hidden", "true");
  path.setAttribute("d", outline);
  picture.append(path);
  return picture;
}

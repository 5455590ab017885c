// What is written beside the screen: the plan, the prompt, the reply, the result, the events.

const EVENT_ICONS = {
  reward: "M8 4.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8z",
  repair: "m8 3 5 5-5 5-5-5z",
  fallback: "m8 3 5.5 10h-11z",
  life: "M3.5 3.5h9V8L8 13 3.5 8z",
};

function showPlan() {
  const { at } = here;
  const over = ended(at);
  const action = over ? "" : now().names[now().actions[at]];
  $("played").classList.toggle("ended", over);
  $("action").textContent = over ? now().status : action;
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

/** One cell a frame, or two bars where there are too many to count. */
function holdCells(frames, interval) {
  const cell = (lit, share) => {
    const element = make("i", { class: lit ? "on" : "off" });
    element.style.flexGrow = share;
    return element;
  };
  if (interval > 20) return [cell(true, frames), cell(false, interval - frames)];
  return Array.from({ length: interval }, (_, k) => cell(k < frames, 1));
}

let wordsShownAt = 0;

/** The prompt and the reply; while playing they change a few times a second, to be readable. */
function showWords() {
  if (here.playing && performance.now() - wordsShownAt < 220) return;
  wordsShownAt = performance.now();
  if (!ended(here.at)) {
    fillWords(here.episode, here.at).catch(fail);
    return;
  }
  const played = count(now().actions.length, "decision");
  $("reason").textContent = "";
  $("note").hidden = true;
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

async function fillWords(episode, at) {
  const row = await look(words, episode, at);
  const before = at ? await look(words, episode, at - 1) : null;
  if (here.episode !== episode || here.at !== at) return;
  $("reason").textContent = row.reason;
  const later = [
    ["Memory for later decisions", row.memory],
    ["Queue: plans still to play", row.queue],
  ].filter(([, words]) => words);
  $("note").hidden = !later.length;
  $("note").replaceChildren(
    ...later.flatMap(([title, words]) => [
      make("h3", {}, title),
      make("div", { class: "words" }, words),
    ]),
  );
  const voices = allVoices(row);
  const voice = voices[Math.min(here.voice, voices.length - 1)];
  const earlier = before && (allVoices(before).find((other) => other.calls.length) ?? null);
  fillSaw(voice, earlier, at);
  fillSaid(voice, voices, row);
}

/** Whoever was asked for this decision: itself, or the candidates it chose between. */
function allVoices(row) {
  const others = (row.considered ?? []).flatMap(allVoices);
  return row.calls.length || !others.length ? [row, ...others] : others;
}

function fillSaw(voice, earlier, at) {
  const frames = [];
  const views = voice.calls.flatMap((call, k) => {
    const place = { at, number: now().number, frames, repair: k > 0 };
    const before = k ? voice.calls[k - 1] : (earlier?.calls[0] ?? null);
    const title = k ? make("h3", { class: "turn" }, `Asked again, turn ${k + 1}`) : null;
    return [title, promptView(call, before, place)];
  });
  fill("saw", views.length ? views : [empty("No model was asked for this decision.")]);
  Promise.all(frames).catch(fail);
}

function fillSaid(voice, voices, row) {
  const views = voice.calls.flatMap((call, k) => [
    voice.calls.length > 1 ? make("h3", { class: "turn" }, `Turn ${k + 1}`) : null,
    replyView(call),
  ]);
  if (!views.length) views.push(empty(unasked(row)));
  fill("said", [voices.length > 1 ? ballot(voices, row) : null, ...views]);
}

/** Why no model was asked: an earlier answer had planned this, or no model plays. */
function unasked(row) {
  if (row.source === "parsed") return `${row.action} was planned before. ${row.reason}`;
  return `${row.action} was ${row.source}, without a model.`;
}

/** The candidates of a vote or a search; pressing one shows what it saw and said. */
function ballot(voices, row) {
  const title = make("h3", {}, `Chosen among ${voices.length} candidates`);
  const buttons = voices.map((voice, k) => {
    const chosen = voice.action === row.action && voice.frames === row.frames;
    const choose = () => {
      here.voice = k;
      fillWords(here.episode, here.at).catch(fail);
    };
    return make(
      "button",
      { type: "button", "aria-pressed": String(k === here.voice), onclick: choose },
      chosen ? make("b", {}, "✓ ") : null,
      `${voice.action} × ${voice.frames}`,
      ["searched", "scored"].includes(voice.source) ? make("small", {}, ` ${voice.reason}`) : null,
    );
  });
  return make("div", { class: "ballot", role: "group" }, title, ...buttons);
}

function showResult() {
  const { random, human } = replay;
  const parts = [make("b", {}, number(now().score)), ` ${now().status}`];
  if (random !== null && human !== null && human !== random) {
    const share = number(Math.round((100 * (now().score - random)) / (human - random)));
    const [low, high] = [`random ${number(random)}`, `human ${number(human)}`];
    const text = now().whole ? `${share}% of the way from ${low} to ${high}` : `${low}, ${high}`;
    parts.push(make("small", {}, text));
  }
  $("result").replaceChildren(...parts);
}

function showEvents() {
  const views = Object.entries(KINDS).map(([kind, { name, key }]) => {
    const many = events[kind].length;
    const label = `Next ${name.toLowerCase()}, ${many} in this episode`;
    const attributes = {
      type: "button",
      class: "event",
      "data-kind": kind,
      disabled: !many && "",
      "aria-label": label,
      title: `${label} (${key}; shift: the one before)`,
      onclick: (click) => jump(kind, click.shiftKey ? -1 : 1),
    };
    return make(
      "button",
      attributes,
      icon(EVENT_ICONS[kind]),
      name,
      make("span", {}, number(many)),
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

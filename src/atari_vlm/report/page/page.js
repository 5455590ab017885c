// The page itself: where we are, how we move, and what is shown there.

const $ = (id) => document.getElementById(id);
const SPEEDS = [0.25, 1, 4, 16];
const EVENT_ICONS = {
  reward: "M8 4.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8z",
  repair: "m8 3 5 5-5 5-5-5z",
  fallback: "m8 3 5.5 10h-11z",
  life: "M3.5 3.5h9V8L8 13 3.5 8z",
};

const here = {
  episode: 0, // place in replay.episodes
  at: 0, // decisions played so far; the last place is the end of the episode
  playing: false,
  speed: 1,
  voice: 0, // which candidate of a vote or a search is shown
};
let events = {};
let times = [];

const now = () => replay.episodes[here.episode];
const last = () => now().count - 1;

/* Moving ------------------------------------------------------------------------------------ */

function openEpisode(place, at = 0) {
  here.episode = Math.min(Math.max(place, 0), replay.episodes.length - 1);
  events = happenings(now());
  times = clock(now());
  $("episode").selectedIndex = here.episode;
  $("scrub").max = last();
  $("lives-cell").hidden = now().lives.every((lives) => !lives);
  showResult();
  showEvents();
  redraw();
  goTo(at);
}

function goTo(at) {
  here.at = Math.min(Math.max(Math.round(at), 0), last());
  here.voice = 0;
  show();
}

/** Step through one kind of happening, or all of them: 1 for the next, -1 for the one before. */
function jump(kind, direction) {
  pause();
  const places = events[kind];
  const target = direction > 0 ? places.find((at) => at > here.at) : places.findLast((at) => at < here.at);
  const name = kind === "any" ? "event" : KINDS[kind].name.toLowerCase();
  if (target === undefined) return say(`No ${direction > 0 ? "later" : "earlier"} ${name}.`);
  goTo(target);
  say(`${kind === "any" ? "Event" : KINDS[kind].name} at decision ${target}.`);
}

function say(text) {
  $("live").textContent = text;
  $("toast").textContent = text;
  $("toast").classList.remove("shown");
  void $("toast").offsetWidth; // restarts the fade
  $("toast").classList.add("shown");
}

/* Playing ----------------------------------------------------------------------------------- */

let clockHand = 0;
let progress = 0;

function play() {
  if (here.at === last()) goTo(0);
  here.playing = true;
  progress = here.at;
  clockHand = performance.now();
  showPlaying();
  requestAnimationFrame(tick);
}

function pause() {
  if (!here.playing) return;
  here.playing = false;
  showPlaying();
  show();
}

function tick(time) {
  if (!here.playing) return;
  const elapsed = Math.min(Math.max(time - clockHand, 0), 250); // a hidden tab does not run ahead
  clockHand = time;
  const interval = now().intervals[Math.min(here.at, now().intervals.length - 1)];
  const target = progress + (elapsed / 1000) * here.speed * (60 / interval);
  // Playing waits for a chunk that is still being unpacked.
  if (screens.peek(here.episode, Math.floor(Math.min(target, last()) / replay.chunk))) progress = target;
  else screens.get(here.episode, Math.floor(Math.min(target, last()) / replay.chunk));
  if (Math.floor(progress) !== here.at) goTo(Math.floor(progress));
  if (here.at === last()) pause();
  else requestAnimationFrame(tick);
}

function showPlaying() {
  document.body.classList.toggle("playing", here.playing);
  $("play-name").textContent = here.playing ? "Pause" : "Play";
}

function setSpeed(speed) {
  here.speed = speed;
  [...$("speeds").children].forEach((button, k) => button.setAttribute("aria-pressed", SPEEDS[k] === speed));
}

/* Showing ----------------------------------------------------------------------------------- */

function show() {
  const episode = now();
  const { at } = here;
  const ended = at >= episode.actions.length;
  $("score").textContent = number(ended ? episode.score : episode.scores[at]);
  $("lives").textContent = ended ? "–" : episode.lives[at];
  $("decision").replaceChildren(number(at), make("small", {}, ` of ${number(episode.actions.length)}`));
  $("clock").textContent = gameTime(times[at]);
  $("scrub").value = at;
  $("scrub").setAttribute("aria-valuetext", `Decision ${at} of ${episode.actions.length}, score ${$("score").textContent}`);
  $("head").style.left = `calc(${MARGIN}px + ${at / Math.max(last(), 1)} * (100% - ${2 * MARGIN}px))`;
  showScreen();
  showPlan(ended);
  showWords(ended);
  remember();
}

function gameTime(frames) {
  const total = frames / 60;
  const minutes = Math.floor(total / 60);
  return `${minutes}:${(total - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

/** Draw the screen, at once when its chunk is unpacked; the next chunk is fetched meanwhile. */
function showScreen() {
  const { episode, at } = here;
  const chunk = Math.floor(at / replay.chunk);
  const put = (list) => {
    if (here.episode !== episode || here.at !== at) return;
    paint($("screen"), list[at % replay.chunk], now().shape);
    $("screen").dataset.at = at;
  };
  $("screen").setAttribute("aria-label", `${replay.game}, the screen ${at < now().actions.length ? `before decision ${at}` : "at the end"}`);
  const there = screens.peek(episode, chunk);
  if (there) put(there);
  else screens.get(episode, chunk).then(put, fail);
  if ((chunk + 1) * replay.chunk <= last()) screens.get(episode, chunk + 1).catch(fail);
}

function showPlan(ended) {
  const episode = now();
  const { at } = here;
  const action = ended ? "" : episode.names[episode.actions[at]];
  $("played").classList.toggle("ended", ended);
  $("action").textContent = ended ? episode.status : action;
  for (const arm of $("pad").children) arm.classList.toggle("lit", action.includes(arm.dataset.arm));
  $("earned").textContent = "";
  $("hold").replaceChildren();
  $("source").textContent = "";
  $("held").textContent = ended ? `final score ${number(episode.score)}` : heldText(episode.frames[at], episode.intervals[at]);
  if (ended) return;
  const reward = episode.rewards[at];
  $("earned").textContent = reward === null ? "not played" : reward ? `${reward > 0 ? "+" : ""}${number(reward)}` : "";
  $("earned").dataset.sign = reward === null ? "none" : Math.sign(reward);
  $("source").textContent = replay.sources[episode.sources[at]];
  $("source").dataset.source = replay.sources[episode.sources[at]];
  $("hold").append(...holdCells(episode.frames[at], episode.intervals[at]));
}

function heldText(frames, interval) {
  if (frames === interval) return `held for ${interval === 1 ? "1 frame" : `all ${interval} frames`}`;
  return `held for ${frames} of ${interval} frames, then NOOP`;
}

function holdCells(frames, interval) {
  if (interval <= 20) return Array.from({ length: interval }, (_, k) => make("i", { class: k < frames ? "on" : "off" }));
  return [["on", frames], ["off", interval - frames]].map(([name, share]) => {
    const cell = make("i", { class: name });
    cell.style.flexGrow = share;
    return cell;
  });
}

let wordsShownAt = 0;

/** The prompt and the reply. While playing fast they change a few times a second, to be readable. */
function showWords(ended) {
  if (here.playing && performance.now() - wordsShownAt < 220) return;
  wordsShownAt = performance.now();
  $("reason").textContent = "";
  $("note").hidden = true;
  if (ended) {
    const text = `The episode ended here: ${now().status}.`;
    $("saw").replaceChildren(make("p", { class: "empty" }, text));
    $("said").replaceChildren(make("p", { class: "empty" }, `Final score ${number(now().score)} after ${count(now().actions.length, "decision")}.`));
    $("saw").dataset.at = $("said").dataset.at = here.at;
    return;
  }
  fillWords(here.episode, here.at).catch(fail);
}

async function fillWords(episode, at) {
  const row = await look(words, episode, at);
  const before = at ? await look(words, episode, at - 1) : null;
  if (here.episode !== episode || here.at !== at) return;
  $("reason").textContent = row.reason;
  $("note").hidden = !row.note;
  $("note").replaceChildren(make("h3", {}, "Noted for later"), make("div", { class: "words" }, row.note));
  const voices = allVoices(row);
  const voice = voices[Math.min(here.voice, voices.length - 1)];
  const earlier = before && (allVoices(before).find((other) => other.calls.length) ?? null);
  fillSaw(voice, earlier, at);
  fillSaid(voice, voices, row);
  $("saw").dataset.at = $("said").dataset.at = at;
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
    const before = k ? voice.calls[k - 1] : earlier?.calls[0] ?? null;
    const title = k ? make("h3", { class: "turn" }, `Asked again, turn ${k + 1}`) : null;
    return [title, promptView(call, before, place)].filter(Boolean);
  });
  $("saw").replaceChildren(...(views.length ? views : [make("p", { class: "empty" }, "No model was asked for this decision.")]));
  Promise.all(frames).catch(fail);
}

function fillSaid(voice, voices, row) {
  const views = voice.calls.flatMap((call, k) => [
    voice.calls.length > 1 ? make("h3", { class: "turn" }, k ? `Turn ${k + 1}` : "Turn 1") : null,
    replyView(call),
  ]);
  if (!views.length) views.push(make("p", { class: "empty" }, `${row.action} was ${row.source}, without a model.`));
  $("said").replaceChildren(voices.length > 1 ? ballot(voices, row) : "", ...views.filter(Boolean));
}

/** The candidates of a vote or a search; pressing one shows what it saw and said. */
function ballot(voices, row) {
  const list = make("div", { class: "ballot", role: "group", "aria-label": "Candidates considered" });
  voices.forEach((voice, k) => {
    const chosen = voice.action === row.action && voice.frames === row.frames;
    const button = make("button", { type: "button", "aria-pressed": String(k === here.voice) }, `${voice.action} × ${voice.frames}`, chosen ? make("b", {}, " chosen") : null);
    button.addEventListener("click", () => {
      here.voice = k;
      fillWords(here.episode, here.at).catch(fail);
    });
    list.append(button);
  });
  return list;
}

function showResult() {
  const { random, human } = replay;
  const parts = [make("b", {}, number(now().score)), ` ${now().status}`];
  if (random !== null && human !== null && human !== random) {
    const share = Math.round((100 * (now().score - random)) / (human - random));
    parts.push(make("small", {}, `${number(share)}% from random (${number(random)}) to human (${number(human)})`));
  }
  $("result").replaceChildren(...parts);
}

function showEvents() {
  const views = Object.entries(KINDS).map(([kind, { name, key }]) => {
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("viewBox", "0 0 16 16");
    icon.setAttribute("aria-hidden", "true");
    const path = icon.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
    path.setAttribute("d", EVENT_ICONS[kind]);
    const many = events[kind].length;
    const label = `Next ${name.toLowerCase()}, ${many} in this episode`;
    const button = make("button", { type: "button", class: "event", "data-kind": kind, disabled: !many && "", "aria-label": label, title: `${label} (${key}; shift: the one before)` }, icon, name, make("span", {}, number(many)));
    button.addEventListener("click", (click) => jump(kind, click.shiftKey ? -1 : 1));
    return button;
  });
  $("events").replaceChildren(...views);
}

function redraw() {
  drawTimeline($("curve"), now(), events);
}

function fail(error) {
  $("broken").hidden = false;
  $("broken").textContent = `This page could not be unpacked (${error.message}). It needs a browser of 2023 or later, and the whole file.`;
  throw error;
}

let remembering = 0;

/** Keep the place in the address, so that a link or a reload comes back to it. */
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    if (!here.playing) history.replaceState(null, "", `#episode=${now().number}&decision=${here.at}`);
  }, 300);
}

function recall() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const place = replay.episodes.findIndex((episode) => String(episode.number) === wanted.get("episode"));
  openEpisode(Math.max(place, 0), Number(wanted.get("decision")) || 0);
}

// The state of the page: the place shown, moving, playing and drawing. Start reading here.

const $ = (id) => document.getElementById(id);
const SPEEDS = [0.25, 1, 4, 16];
const here = {
  episode: 0, // index in replay.episodes
  at: 0, // decisions played so far; the last value is the end of the episode
  playing: false,
  speed: 1,
  candidate: 0, // index of the candidate of a vote or a search that is shown
};
let events = {};
let times = [];

const now = () => replay.episodes[here.episode];
const last = () => now().count - 1;
const ended = (at) => at >= now().actions.length;
const scoreAt = (at) => (ended(at) ? now().score : now().scores[at]);

/* Moving ------------------------------------------------------------------------------------ */

/** Open an episode, at the decision its data names if not told another. */
function openEpisode(index, at) {
  here.episode = Math.min(Math.max(index, 0), replay.episodes.length - 1);
  events = findEvents(now());
  times = framesBefore(now());
  $("episode").selectedIndex = here.episode;
  $("scrub").max = last();
  $("lives-cell").hidden = now().lives.every((lives) => !lives);
  showResult();
  showBanner();
  showEvents();
  redraw();
  goTo(at ?? now().opening);
}

function goTo(at) {
  here.at = Math.min(Math.max(Math.round(at), 0), last());
  here.candidate = 0;
  show();
}

/** Go to an event of a kind, or of "any": direction 1 for the next, -1 for the previous. */
function jump(kind, direction) {
  pause();
  const later = direction > 0;
  const target = later
    ? events[kind].find((at) => at > here.at)
    : events[kind].findLast((at) => at < here.at);
  const name = kind === "any" ? "Event" : KINDS[kind].name;
  if (target === undefined) announce(`No ${later ? "later" : "earlier"} ${name.toLowerCase()}.`);
  else {
    goTo(target);
    announce(`${name} at decision ${target}.`);
  }
}

function announce(text) {
  $("live").textContent = text;
  $("toast").textContent = text;
  $("toast").classList.remove("shown");
  void $("toast").offsetWidth; // restarts the animation
  $("toast").classList.add("shown");
}

/* Playing ----------------------------------------------------------------------------------- */

let lastTick = 0;
let progress = 0;

function play() {
  if (here.at === last()) goTo(0);
  here.playing = true;
  progress = here.at;
  lastTick = performance.now();
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
  const elapsed = Math.min(Math.max(time - lastTick, 0), 250); // a hidden tab does not skip
  lastTick = time;
  const interval = now().intervals[Math.min(here.at, now().intervals.length - 1)];
  const target = progress + (elapsed / 1000) * here.speed * (60 / interval);
  const chunk = Math.floor(Math.min(target, last()) / replay.chunk);
  if (screens.peek(here.episode, chunk)) progress = target;
  else screens.get(here.episode, chunk).catch(fail); // wait until it is unpacked
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
  for (const [k, button] of [...$("speeds").children].entries()) {
    button.setAttribute("aria-pressed", SPEEDS[k] === speed);
  }
}

/* Showing ----------------------------------------------------------------------------------- */

function show() {
  const { at } = here;
  const total = now().actions.length;
  const score = number(scoreAt(at));
  $("score").textContent = score;
  $("lives").textContent = ended(at) ? "–" : now().lives[at];
  $("decision").replaceChildren(number(at), make("small", {}, ` of ${number(total)}`));
  $("clock").textContent = gameTime(times[at]);
  $("scrub").value = at;
  $("scrub").setAttribute("aria-valuetext", `Decision ${at} of ${total}, score ${score}`);
  const share = at / Math.max(last(), 1);
  $("head").style.left = `calc(${MARGIN}px + ${share} * (100% - ${2 * MARGIN}px))`;
  $("banner-go").hidden = at === now().opening;
  showScreen();
  showPlan();
  showCalls();
  saveAddress();
}

function gameTime(frames) {
  const total = frames / 60;
  const minutes = Math.floor(total / 60);
  return `${minutes}:${(total - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

/** Draw the screen once its chunk is unpacked, and unpack the next chunk meanwhile. */
function showScreen() {
  const { episode, at } = here;
  const chunk = Math.floor(at / replay.chunk);
  const draw = (list) => {
    if (here.episode !== episode || here.at !== at) return;
    paint($("screen"), list[at % replay.chunk], now().shape);
    $("screen").dataset.at = at;
  };
  const moment = ended(at) ? "at the end" : `before decision ${at}`;
  $("screen").setAttribute("aria-label", `${replay.game}, the screen ${moment}`);
  const unpacked = screens.peek(episode, chunk);
  if (unpacked) draw(unpacked);
  else screens.get(episode, chunk).then(draw, fail);
  if ((chunk + 1) * replay.chunk <= last()) screens.get(episode, chunk + 1).catch(fail);
}

function redraw() {
  drawTimeline($("curve"), now(), events);
}

function fail(error) {
  $("broken").hidden = false;
  $("broken").textContent =
    `This page could not be unpacked (${error.message}). ` +
    "It needs the whole file and a browser of 2024 or later.";
  throw error;
}

let saving = 0;

/** Put the place into the address, for links and reloads. */
function saveAddress() {
  clearTimeout(saving);
  saving = setTimeout(() => {
    const place = `#episode=${linkName(now())}&decision=${here.at}`;
    if (!here.playing) history.replaceState(null, "", place);
  }, 300);
}

/** The name of an episode in links: "3", "evaluation-0", "after-2-0". */
function linkName({ name }) {
  return name.replaceAll(/\W+/g, "-");
}

/** Open the place in the address; without one, the episode that failed, or else the first. */
function openAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const name = wanted.get("episode");
  const named = replay.episodes.findIndex((episode) => linkName(episode) === name);
  const failed = replay.episodes.findIndex((episode) => episode.invalid);
  const decision = wanted.has("decision") ? Number(wanted.get("decision")) || 0 : undefined;
  openEpisode(named >= 0 ? named : name === null ? failed : 0, decision);
}

// Keys, buttons, the slider and the dialogs.

const KEYS = {
  " ": () => (here.playing ? pause() : play()),
  ArrowRight: (shift) => step(shift ? 10 : 1),
  ArrowLeft: (shift) => step(shift ? -10 : -1),
  ArrowUp: (shift) => step(shift ? 10 : 1),
  ArrowDown: (shift) => step(shift ? -10 : -1),
  PageUp: () => step(-60),
  PageDown: () => step(60),
  Home: () => step(-Infinity),
  End: () => step(Infinity),
  n: () => jump("any", 1),
  ".": () => jump("any", 1),
  p: () => jump("any", -1),
  ",": () => jump("any", -1),
  "[": () => switchEpisode(here.episode - 1),
  "]": () => switchEpisode(here.episode + 1),
  w: () => setWhole(!folding.whole),
  x: () => setExact(!folding.exact),
  a: () => setSquare(!document.body.classList.contains("square")),
  d: () => switchTheme(),
  i: () => openAbout(),
  "?": () => $("help-dialog").showModal(),
};
SPEEDS.forEach((speed, k) => (KEYS[k + 1] = () => setSpeed(speed)));
for (const [kind, { key }] of Object.entries(KINDS))
  KEYS[key] = (shift) => jump(kind, shift ? -1 : 1);

const SCROLLS = ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];

function step(by) {
  pause();
  goTo(here.at + by);
}

function switchEpisode(index) {
  pause();
  if (replay.episodes[index]) openEpisode(index);
}

function onKeyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const on = event.target;
  if (on.tagName === "SELECT") return;
  if (on.closest("button, summary") && [" ", "Enter"].includes(event.key)) return; // presses the button
  if (on.closest(".panel") && SCROLLS.includes(event.key)) return; // scrolls the panel
  const action = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action(event.shiftKey);
}

function setWhole(whole) {
  folding.whole = whole;
  folding.open.clear();
  $("changes").setAttribute("aria-pressed", !whole);
  $("everything").setAttribute("aria-pressed", whole);
  show();
}

function setExact(exact) {
  folding.exact = exact;
  $("readable").setAttribute("aria-pressed", !exact);
  $("exact").setAttribute("aria-pressed", exact);
  show();
}

function setSquare(square) {
  document.body.classList.toggle("square", square);
  $("aspect").textContent = square ? "1:1" : "4:3";
  $("aspect").setAttribute("aria-pressed", square);
}

function switchTheme() {
  const { dataset } = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  dataset.theme = (dataset.theme ?? system) === "dark" ? "light" : "dark";
  redraw();
}

/** Show the screen at the pointer's place on the timeline. */
async function showPreview(event) {
  const box = $("timeline").getBoundingClientRect();
  const share = (event.clientX - box.left - MARGIN) / (box.width - 2 * MARGIN);
  const at = Math.min(Math.max(Math.round(share * last()), 0), last());
  const episode = here.episode;
  $("preview").dataset.at = at;
  const pixels = await entryAt(screens, episode, at);
  if (here.episode !== episode || $("preview").dataset.at !== String(at)) return;
  paint($("preview").firstChild, pixels, now().shape);
  $("preview").lastChild.textContent = `${number(at)}, score ${number(scoreAt(at))}`;
  $("preview").hidden = event.pointerType === "touch";
  $("preview").style.left = `${Math.min(Math.max(event.clientX - box.left, 56), box.width - 56)}px`;
}

function addListeners() {
  const onClick = (id, action) => $(id).addEventListener("click", action);
  onClick("play", KEYS[" "]);
  onClick("back", () => step(-1));
  onClick("forward", () => step(1));
  onClick("event-back", () => jump("any", -1));
  onClick("event-forward", () => jump("any", 1));
  onClick("changes", () => setWhole(false));
  onClick("everything", () => setWhole(true));
  onClick("readable", () => setExact(false));
  onClick("exact", () => setExact(true));
  onClick("aspect", KEYS.a);
  onClick("theme", switchTheme);
  onClick("about", openAbout);
  onClick("lessons", () => {
    openAbout();
    $("learned").scrollIntoView({ block: "center" });
  });
  onClick("help", KEYS["?"]);
  onClick("banner-go", () => {
    pause();
    goTo(now().opening);
  });
  $("speeds").append(
    ...SPEEDS.map((speed, k) => {
      const name = speed < 1 ? "¼×" : `${speed}×`;
      const title = `${name} game speed (${k + 1})`;
      return make("button", { type: "button", title, onclick: () => setSpeed(speed) }, name);
    }),
  );
  $("scrub").addEventListener("input", () => {
    pause();
    goTo(Number($("scrub").value));
  });
  $("timeline").addEventListener("pointermove", (event) => showPreview(event).catch(fail));
  $("timeline").addEventListener("pointerleave", () => {
    $("preview").hidden = true;
    $("preview").dataset.at = "";
  });
  $("episode").addEventListener("change", () => {
    switchEpisode($("episode").selectedIndex);
    $("episode").blur();
  });
  document.addEventListener("keydown", onKeyDown);
  // A mouse click gives the keys back to the page; keyboard users keep their focus.
  document.addEventListener("click", (event) => {
    if (event.detail) event.target.closest("button")?.blur();
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  new ResizeObserver(redraw).observe($("timeline"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("hashchange", openAddress);
}

/** The list of episodes, under the headings of their phases. */
function fillEpisodes() {
  const groups = new Map();
  for (const { name, phase, score, invalid } of replay.episodes) {
    if (!groups.has(phase)) {
      groups.set(phase, phase ? make("optgroup", { label: phase }) : $("episode"));
      if (phase) $("episode").append(groups.get(phase));
    }
    const result = invalid ? "invalid" : `score ${number(score)}`;
    groups.get(phase).append(make("option", {}, `${name}, ${result}`));
  }
  $("pick").hidden = replay.episodes.length < 2;
}

/** The player's name, which may be cut; what it uses, which may not; and its prompt. */
function fillPlayer() {
  const { label, model, policy } = replay;
  const uses = label.startsWith(model) ? label.slice(model.length) : "";
  $("player").append(make("span", {}, label.slice(0, label.length - uses.length)));
  if (uses) $("player").append(make("span", { class: "uses" }, uses));
  if (policy) $("player").append(make("span", {}, ` · ${policy}`));
}

function start() {
  document.title = replay.title;
  $("game").textContent = replay.game;
  fillPlayer();
  fillEpisodes();
  const silent = !replay.episodes.some(({ usage }) => usage.calls);
  document.body.classList.toggle("silent", silent);
  if (silent) $("said-title").textContent = "Why it was played";
  addListeners();
  setSpeed(1);
  openAddress();
}

if (typeof DecompressionStream === "undefined") fail(new Error("no DecompressionStream"));
start();

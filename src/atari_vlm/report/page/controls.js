// Hands: keys, buttons, the slider, dialogs.

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
  "[": () => turn(here.episode - 1),
  "]": () => turn(here.episode + 1),
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

function turn(place) {
  pause();
  if (replay.episodes[place]) openEpisode(place);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const on = event.target;
  if (on.tagName === "SELECT") return;
  if (on.closest("button, summary") && [" ", "Enter"].includes(event.key)) return; // it is pressed
  if (on.closest(".panel") && SCROLLS.includes(event.key)) return; // it scrolls
  const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act(event.shiftKey);
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

/** A small picture of the place the pointer is at. */
async function peekAt(event) {
  const box = $("timeline").getBoundingClientRect();
  const share = (event.clientX - box.left - MARGIN) / (box.width - 2 * MARGIN);
  const at = Math.min(Math.max(Math.round(share * last()), 0), last());
  const episode = here.episode;
  $("peek").dataset.at = at;
  const pixels = await look(screens, episode, at);
  if (here.episode !== episode || $("peek").dataset.at !== String(at)) return;
  paint($("peek").firstChild, pixels, now().shape);
  $("peek").lastChild.textContent = `${number(at)}, score ${number(scoreAt(at))}`;
  $("peek").hidden = event.pointerType === "touch";
  $("peek").style.left = `${Math.min(Math.max(event.clientX - box.left, 56), box.width - 56)}px`;
}

function wire() {
  const press = (id, act) => $(id).addEventListener("click", act);
  press("play", KEYS[" "]);
  press("back", () => step(-1));
  press("forward", () => step(1));
  press("event-back", () => jump("any", -1));
  press("event-on", () => jump("any", 1));
  press("changes", () => setWhole(false));
  press("everything", () => setWhole(true));
  press("readable", () => setExact(false));
  press("exact", () => setExact(true));
  press("aspect", KEYS.a);
  press("theme", switchTheme);
  press("about", openAbout);
  press("help", KEYS["?"]);
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
  $("timeline").addEventListener("pointermove", (event) => peekAt(event).catch(fail));
  $("timeline").addEventListener("pointerleave", () => {
    $("peek").hidden = true;
    $("peek").dataset.at = "";
  });
  $("episode").addEventListener("change", () => {
    turn($("episode").selectedIndex);
    $("episode").blur();
  });
  document.addEventListener("keydown", pressed);
  // After a mouse press the keys belong to the page again; keyboard users keep their focus.
  document.addEventListener("click", (event) => {
    if (event.detail) event.target.closest("button")?.blur();
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  new ResizeObserver(redraw).observe($("timeline"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("hashchange", recall);
}

function start() {
  document.title = replay.title;
  $("game").textContent = replay.game;
  $("player").textContent = [replay.model, replay.policy].filter(Boolean).join(" · ");
  for (const { number: name, score } of replay.episodes) {
    $("episode").append(make("option", {}, `${name}, score ${number(score)}`));
  }
  $("pick").hidden = replay.episodes.length < 2;
  wire();
  setSpeed(1);
  recall();
}

if (typeof DecompressionStream === "undefined") fail(new Error("no DecompressionStream"));
start();

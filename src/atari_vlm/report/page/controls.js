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
  a: () => setSquare(!document.body.classList.contains("square")),
  d: () => switchTheme(),
  i: () => openAbout(),
  "?": () => $("help-dialog").showModal(),
};
SPEEDS.forEach((speed, k) => (KEYS[k + 1] = () => setSpeed(speed)));
for (const [kind, { key }] of Object.entries(KINDS)) KEYS[key] = (shift) => jump(kind, shift ? -1 : 1);

function step(by) {
  pause();
  goTo(here.at + by);
}

function turn(place) {
  pause();
  if (replay.episodes[place]) openEpisode(place);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const on = event.target;
  if (on.tagName === "SELECT") return;
  if (on.closest("button, summary") && [" ", "Enter"].includes(event.key)) return; // it is pressed
  // A panel that has the focus scrolls with the keys that scroll.
  if (on.closest(".panel") && ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"].includes(event.key)) return;
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

function setSquare(square) {
  document.body.classList.toggle("square", square);
  $("aspect").textContent = square ? "1:1" : "4:3";
  $("aspect").setAttribute("aria-pressed", square);
}

function switchTheme() {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  redraw();
}

/** Everything about the run and this episode that does not change from decision to decision. */
function openAbout() {
  const episode = now();
  const table = (rows) => make("dl", {}, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  const { calls, input, output, price, wait } = episode.usage;
  const spent = [
    ["Seed", String(episode.seed)],
    ["Ended", episode.status],
    ["Score", number(episode.score)],
    ["Decisions", number(episode.actions.length)],
    ["Game time", gameTime(times.at(-1))],
    ["Calls", number(calls)],
    ["Tokens", `${number(input)} in, ${number(output)} out`],
    ["Price", price === null ? "unknown" : dollars(price)],
    ["Waited", calls ? `${seconds(wait)}, ${seconds(wait / calls)} a call` : "–"],
  ];
  $("about-body").replaceChildren(
    ...[["Run", [["Game", replay.game], ["Policy", replay.policy], ["Model", replay.model], ...replay.facts]],
      [`Episode ${episode.number}`, spent],
      ["Settings", replay.settings]].flatMap(([title, rows]) => (rows.length ? [make("h3", {}, title), table(rows)] : [])),
    make("h3", {}, "How its decisions came about"), shares(replay.sources.map((name, k) => [name, episode.sources.filter((source) => source === k).length, name])),
    make("h3", {}, "Actions played"), shares(episode.names.map((name, k) => [name, episode.actions.filter((action) => action === k).length, "plain"])),
  );
  $("about-dialog").showModal();
}

/** Bars for how often each of some things happened, the most frequent first. */
function shares(rows) {
  const total = rows.reduce((sum, [, many]) => sum + many, 0) || 1;
  const kept = rows.filter(([, many]) => many).sort((a, b) => b[1] - a[1]);
  return make("dl", { class: "shares" }, ...kept.map(([name, many, colour]) => {
    const bar = make("i", { "data-source": colour });
    bar.style.width = `${(100 * many) / kept[0][1]}%`;
    return make("div", {}, make("dt", {}, name), make("dd", {}, make("span", {}, bar), `${number(many)} · ${((100 * many) / total).toFixed(1)}%`));
  }));
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
  $("peek").lastChild.textContent = `${number(at)} · ${number(at < now().scores.length ? now().scores[at] : now().score)}`;
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
  press("aspect", KEYS.a);
  press("theme", switchTheme);
  press("about", openAbout);
  press("help", KEYS["?"]);
  $("speeds").append(...SPEEDS.map((speed, k) => {
    const name = speed < 1 ? "¼×" : `${speed}×`;
    return make("button", { type: "button", title: `${name} game speed (${k + 1})`, onclick: () => setSpeed(speed) }, name);
  }));
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
  document.addEventListener("click", (event) => event.detail && event.target.closest("button")?.blur());
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
  $("player").textContent = [replay.policy, replay.model].filter((name, k, all) => name && all.indexOf(name) === k).join(" · ");
  $("episode").append(...replay.episodes.map((episode) => make("option", {}, `${episode.number} · ${number(episode.score)}`)));
  $("pick").hidden = replay.episodes.length < 2;
  wire();
  setSpeed(1);
  recall();
}

if (typeof DecompressionStream === "undefined") fail(new Error("no DecompressionStream"));
start();

// The dialog about the run and the episode.

function openAbout() {
  const episode = now();
  const sources = replay.sources.map((name, k) => [name, occurrences(episode.sources, k), name]);
  const actions = episode.names.map((name, k) => [name, occurrences(episode.actions, k), "plain"]);
  $("about-body").replaceChildren(
    ...section("Run", runFacts()),
    ...section(`Episode: ${episode.name}`, episodeFacts(episode)),
    ...lessonsView(episode),
    ...section("Settings", replay.settings),
    make("h3", {}, "Sources of its decisions"),
    shares(sources),
    make("h3", {}, "Actions played"),
    shares(actions),
  );
  $("about-dialog").showModal();
}

function occurrences(list, wanted) {
  return list.filter((value) => value === wanted).length;
}

function runFacts() {
  const { game, policy, model, facts } = replay;
  const rows = [
    ["Game", game],
    ["Prompt", policy],
    ["Model", model],
  ];
  return [...rows.filter(([, value]) => value), ...facts];
}

function episodeFacts(episode) {
  const { calls, input, output, dollars: price, seconds: wait } = episode.usage;
  const rows = [
    ...(episode.phase ? [["Phase", episode.phase]] : []),
    ["Seed", String(episode.seed)],
    ["Ended", episode.status],
    ["Score", number(episode.score)],
    ["Decisions", number(episode.actions.length)],
    ["Game time", gameTime(times.at(-1))],
    ["Calls", number(calls)],
  ];
  if (input || output) rows.push(["Tokens", `${number(input)} in, ${number(output)} out`]);
  if (price !== 0) rows.push(["Price", price === null ? "unknown" : dollars(price)]);
  if (wait) rows.push(["Waited", `${seconds(wait)}, ${seconds(wait / calls)} a call`]);
  if (episode.thinking) {
    const { thinking } = episode;
    const last = thinking.why.length - 1;
    const kinds = thinking.why.map((_, at) => thoughtKind(thinking, at));
    const told = (kind, what) => {
      const took = tookUntil(thinking, last, kind);
      return `${count(occurrences(kinds, kind), what)}${took ? `: ${took}` : ""}`;
    };
    rows.push(["Thought longer", told("longer", "decision")]);
    if (kinds.includes("glance")) rows.push(["Looked whether to", told("glance", "glance")]);
    if (kinds.includes("note")) rows.push(["Notes to itself", told("note", "note")]);
  }
  return rows;
}

const MARKS = {
  new: "new",
  edited: "edited by a person",
  added: "added by a person",
  forbidden: "forbidden by a person, and not shown",
};

/** What had been learned before the episode: advice in words, and examples with their screens. */
function lessonsView({ lessons }) {
  if (!lessons.length) return [];
  const items = lessons.map(({ text, frames, source, mark }) => {
    const screens = frames.map((place) => findFrame(...place)).filter(Boolean).map((found) => {
      const canvas = make("canvas", { role: "img", "aria-label": "A screen shown with it" });
      found.open().then((pixels) => paint(canvas, pixels, found.shape)).catch(fail);
      return canvas;
    });
    const from = source ? [make("span", { class: "source" }, `From ${source}`)] : [];
    const shown = screens.length ? [make("span", { class: "shown" }, ...screens)] : [];
    const said = mark ? [make("span", { class: "mark" }, MARKS[mark])] : [];
    const words = make("span", { class: mark === "forbidden" ? "words gone" : "words" }, text);
    return make("li", {}, ...shown, words, ...said, ...from);
  });
  const title = "Learned from earlier episodes, and shown in this one";
  return [make("h3", { id: "learned" }, title), make("ol", { class: "lessons" }, ...items)];
}

/** A heading and (name, value) pairs; empty without pairs. */
function section(title, rows) {
  const pairs = rows.map(([name, value]) => pair(name, value));
  return pairs.length ? [make("h3", {}, title), make("dl", {}, ...pairs)] : [];
}

function pair(name, ...value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, ...value));
}

/** Bars of counts, the largest first; `rows` holds (name, count, colour). */
function shares(rows) {
  const total = rows.reduce((sum, [, n]) => sum + n, 0) || 1;
  const kept = rows.filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  const bars = kept.map(([name, n, colour]) => {
    const bar = make("i", { "data-source": colour });
    bar.style.width = `${(100 * n) / kept[0][1]}%`;
    const percent = ((100 * n) / total).toFixed(1);
    return pair(name, make("span", {}, bar), `${number(n)} · ${percent}%`);
  });
  return make("dl", { class: "shares" }, ...bars);
}

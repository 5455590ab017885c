// Everything about the run and the episode that does not change from decision to decision.

function openAbout() {
  const episode = now();
  const came = replay.sources.map((name, k) => [name, amount(episode.sources, k), name]);
  const played = episode.names.map((name, k) => [name, amount(episode.actions, k), "plain"]);
  $("about-body").replaceChildren(
    ...chapter("Run", runFacts()),
    ...chapter(`Episode ${episode.number}`, episodeFacts(episode)),
    ...chapter("Settings", replay.settings),
    make("h3", {}, "How its decisions came about"),
    shares(came),
    make("h3", {}, "Actions played"),
    shares(played),
  );
  $("about-dialog").showModal();
}

function amount(list, wanted) {
  return list.filter((value) => value === wanted).length;
}

function runFacts() {
  const { game, policy, model, facts } = replay;
  const named = [
    ["Game", game],
    ["Prompt", policy],
    ["Model", model],
  ];
  return [...named.filter(([, value]) => value), ...facts];
}

function episodeFacts(episode) {
  const { calls, input, output, price, wait } = episode.usage;
  const rows = [
    ["Seed", String(episode.seed)],
    ["Ended", episode.status],
    ["Score", number(episode.score)],
    ["Decisions", number(episode.actions.length)],
    ["Game time", gameTime(times.at(-1))],
    ["Calls", number(calls)],
  ];
  if (input || output) rows.push(["Tokens", `${number(input)} in, ${number(output)} out`]);
  if (price !== 0) rows.push(["Price", price === null ? "unknown" : dollars(price)]);
  if (calls) rows.push(["Waited", `${seconds(wait)}, ${seconds(wait / calls)} a call`]);
  return rows;
}

/** A heading and its (name, value) pairs; nothing where there are none. */
function chapter(title, rows) {
  const pairs = rows.map(([name, value]) => pair(name, value));
  return pairs.length ? [make("h3", {}, title), make("dl", {}, ...pairs)] : [];
}

function pair(name, ...value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, ...value));
}

/** Bars for how often each of some things happened, the most frequent first. */
function shares(rows) {
  const total = rows.reduce((sum, [, many]) => sum + many, 0) || 1;
  const kept = rows.filter(([, many]) => many).sort((a, b) => b[1] - a[1]);
  const bars = kept.map(([name, many, colour]) => {
    const bar = make("i", { "data-source": colour });
    bar.style.width = `${(100 * many) / kept[0][1]}%`;
    const percent = ((100 * many) / total).toFixed(1);
    return pair(name, make("span", {}, bar), `${number(many)} · ${percent}%`);
  });
  return make("dl", { class: "shares" }, ...bars);
}

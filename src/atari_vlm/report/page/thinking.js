// Where thinking longer went: beside the plan, among the candidates, and over the episode.

const TRACK = 12; // height of the bars below the curve, if the player thinks longer

const NOTE = "a summary of the episode"; // how the reason ends of a decision with a note

/** What a decision took went into: "longer", a "glance", a "note", or "" if it took nothing. */
function thoughtKind({ reasons, why, calls, simulated }, at) {
  const said = reasons[why[at]];
  if (!calls[at] && !simulated[at]) return "";
  if (said !== NOTE && !said.startsWith("not:")) return "longer";
  return said.endsWith(NOTE) ? "note" : "glance";
}

/** Say beside the plan why it thought longer, or did not, and what that took. */
function showThought() {
  const { thinking } = now();
  $("timeline").classList.toggle("thinks", Boolean(thinking));
  const shown = thinking && !ended(here.at);
  $("thought").hidden = !shown;
  if (!shown) return;
  const why = thinking.reasons[thinking.why[here.at]];
  const took = tookText(thinking, here.at);
  const plain = why.replace(/^not: /, "");
  const longer = thoughtKind(thinking, here.at) === "longer" ? "Thought longer" : "Plain";
  const title = why.startsWith("not:") ? "Did not think longer" : why === NOTE ? "Note" : longer;
  const parts = [make("b", {}, `${title}: `), plain || "nothing was to decide"];
  if (took) parts.push(make("small", {}, ` ${took}`));
  $("thought").replaceChildren(...parts);
  $("thought").title = `${plain}. In the episode until here: ${tookUntil(thinking, here.at) || "nothing"}`;
}

function tookText({ calls, tokens, dollars, simulated }, at) {
  return amounts(calls[at], tokens[at], dollars[at], simulated[at]);
}

/** What the decisions until one took; of one kind, if that is given. */
function tookUntil(thinking, at, kind = "") {
  const { calls, tokens, dollars, simulated } = thinking;
  const counts = (_, k) => k <= at && (!kind || thoughtKind(thinking, k) === kind);
  const sum = (list) => list.filter(counts).reduce((a, b) => (a === null || b === null ? null : a + b), 0);
  return amounts(sum(calls), sum(tokens), sum(dollars), sum(simulated));
}

function amounts(calls, tokens, price, simulated) {
  const money = price === null ? "price unknown" : price ? dollars(price) : "";
  const parts = [
    calls ? `+${count(calls, "call")}, ${number(tokens)} tokens` : "",
    calls ? money : "",
    simulated ? `${number(simulated)} simulated frames` : "",
  ];
  return parts.filter(Boolean).join(", ");
}

/** The share of each action among the answers of a vote, as bars. */
function sharesView(row) {
  const votes = (row.considered ?? []).filter((other) => other.calls.length);
  if (votes.length < 2) return null;
  const tally = new Map();
  for (const { source, action } of votes) {
    const name = source === "fallback" ? "no action" : action;
    tally.set(name, (tally.get(name) ?? 0) + 1);
  }
  const sorted = [...tally].sort((a, b) => b[1] - a[1]);
  const bars = sorted.flatMap(([name, votesFor]) => {
    const bar = make("i", { class: name === row.action ? "won" : "" });
    bar.style.width = `${(100 * votesFor) / votes.length}%`;
    const share = `${votesFor} of ${votes.length}`;
    return [make("span", {}, name), make("span", { class: "bar" }, bar), make("small", {}, share)];
  });
  return make("div", { class: "shares" }, ...bars);
}

/** Bars below the curve: how much each decision took beyond a plain one. */
function thinkingTrack({ pen, width, height, across, tints }, { thinking }) {
  if (!thinking) return;
  const own = thinking.simulated.some(Boolean) ? thinking.simulated : thinking.calls;
  const most = Math.max(...own, 1);
  const columns = new Array(Math.ceil(width)).fill(0);
  own.forEach((amount, at) => {
    if (thoughtKind(thinking, at) !== "longer") return;
    const end = Math.max(Math.floor(across(at + 1)), Math.floor(across(at)) + 1);
    for (let x = Math.floor(across(at)); x < Math.min(end, columns.length); x++) {
      columns[x] = Math.max(columns[x], amount);
    }
  });
  pen.fillStyle = tints.searched;
  pen.globalAlpha = 0.6;
  columns.forEach((amount, x) => {
    if (!amount) return;
    const tall = 2 + (amount / most) * (TRACK - 4);
    pen.fillRect(x, height - 6 - tall, 1, tall);
  });
  pen.globalAlpha = 1;
}

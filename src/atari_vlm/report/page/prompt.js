// A call as people read it: the prompt with its frames in their places, the reply, what it cost.
// Everything a model or a server wrote goes in as text nodes, never as markup.

/** An element with attributes and children; a child that is no element becomes a text node. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const folding = { whole: false, open: new Set() };
const SHORT = 3; // unchanged lines in a row that are not worth folding

/** The messages of a call; `before` is what the lines are compared with, or null for the first. */
function promptView(call, before, here) {
  const known = before && lineCounts(before.messages);
  const repeated = before && here.repair ? sameStart(before.messages, call.messages) : 0;
  const rest = call.messages.slice(repeated);
  const view = make("div", { class: "prompt" });
  if (repeated) view.append(make("p", { class: "again" }, `${count(repeated, "message")} as above, then:`));
  for (const [role, parts] of rest) {
    const body = make("div", { class: "parts" });
    let strip = null;
    for (const part of parts) {
      if (typeof part === "string") {
        body.append(textView(part, known));
        strip = null;
      } else {
        if (!strip) body.append((strip = make("div", { class: "strip" })));
        strip.append(frameView(part, call.size, here));
      }
    }
    view.append(make("section", { class: "message", "data-role": role }, make("h3", {}, role), body));
  }
  return view;
}

function sameStart(before, messages) {
  let k = 0;
  while (k < before.length && JSON.stringify(before[k]) === JSON.stringify(messages[k])) k++;
  return k;
}

function lineCounts(messages) {
  const counts = new Map();
  for (const [, parts] of messages) {
    for (const part of parts) {
      if (typeof part !== "string") continue;
      for (const line of part.split("\n")) counts.set(line, (counts.get(line) ?? 0) + 1);
    }
  }
  return counts;
}

/** A text whose new lines are marked and whose long unchanged stretches are folded. */
function textView(text, known) {
  const block = make("div", { class: "text" });
  let quiet = [];
  const flush = () => {
    block.append(...quietView(quiet, known !== null));
    quiet = [];
  };
  for (const line of text.split("\n")) {
    const left = known?.get(line) ?? 0;
    if (left || !known || !line.trim()) {
      known?.set(line, left - 1);
      quiet.push(line);
    } else {
      flush();
      block.append(make("div", { class: "line new" }, line));
    }
  }
  flush();
  return block;
}

function quietView(lines, compared) {
  const views = lines.map((line) => make("div", { class: compared ? "line" : "line first" }, line || "\u200b"));
  if (!compared || folding.whole || lines.length <= SHORT + 1 || folding.open.has(lines[0])) return views;
  const more = make("button", { type: "button", class: "fold" }, `${lines.length - 1} more lines, as before`);
  more.addEventListener("click", () => {
    folding.open.add(lines[0]);
    more.replaceWith(...views.slice(1));
  });
  return [views[0], more];
}

/** A frame of the prompt, at the size it was sent; a press enlarges it. */
function frameView([number, step], size, here) {
  const episode = replay.episodes.findIndex((other) => other.number === number);
  const name = frameName(number, step, here);
  if (episode < 0 || step >= replay.episodes[episode].count) {
    return make("figure", { class: "frame" }, make("div", { class: "missing" }, "not in this page"), make("figcaption", {}, name));
  }
  const shape = replay.episodes[episode].shape;
  const [width, height] = size ?? [shape[1], shape[0]];
  const canvas = make("canvas", { width, height, "data-step": step, "data-episode": number });
  const label = `Enlarge: ${name}, ${width} by ${height} pixels`;
  const button = make("button", { type: "button", "aria-label": label, onclick: () => enlarge(canvas, `${name}, as sent: ${width} × ${height}`) }, canvas);
  here.frames.push(look(screens, episode, step).then((pixels) => paint(canvas, pixels, shape, size)));
  return make("figure", { class: "frame" }, button, make("figcaption", {}, name));
}

function frameName(number, step, here) {
  if (number !== here.number) return `episode ${number}, decision ${step}`;
  if (step === here.at) return "now";
  return step < here.at ? `${count(here.at - step, "decision")} ago` : `decision ${step}`;
}

function enlarge(canvas, name) {
  const large = document.getElementById("frame-canvas");
  [large.width, large.height] = [canvas.width, canvas.height];
  large.getContext("2d").drawImage(canvas, 0, 0);
  document.getElementById("frame-title").textContent = name;
  document.getElementById("frame-dialog").showModal();
}

/** What came back from a call: the words, the reasoning, the fault, the bill. */
function replyView(call) {
  const view = make("div", { class: "reply" });
  if (call.thinking) {
    view.append(make("details", { class: "thinking", open: "" }, make("summary", {}, "Reasoning"), make("div", { class: "words" }, call.thinking)));
  }
  if (call.reply) view.append(make("div", { class: "words" }, call.reply));
  else view.append(make("p", { class: "nothing" }, call.thinking ? "No answer after the reasoning." : "No words came back."));
  if (call.fault) view.append(make("p", { class: "fault" }, call.fault));
  view.append(make("p", { class: "bill" }, ...bill(call)));
  return view;
}

function bill(call) {
  const items = [
    call.model,
    call.tokens[0] || call.tokens[1] ? `${number(call.tokens[0])} tokens in, ${number(call.tokens[1])} out` : "",
    seconds(call.seconds),
    call.dollars === null ? "price unknown" : call.dollars ? dollars(call.dollars) : "",
  ];
  return items.filter(Boolean).map((item) => make("span", {}, item));
}

function number(value) {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 }).replace("-", "−");
}

function count(many, noun) {
  return `${number(many)} ${noun}${many === 1 ? "" : "s"}`;
}

function seconds(value) {
  if (value >= 100) return `${Math.round(value)} s`;
  return value >= 0.9995 ? `${value.toFixed(2)} s` : `${(value * 1000).toFixed(value < 0.00995 ? 1 : 0)} ms`;
}

function dollars(value) {
  return `$${value < 0.01 ? value.toPrecision(2) : value.toFixed(value < 1 ? 3 : 2)}`;
}

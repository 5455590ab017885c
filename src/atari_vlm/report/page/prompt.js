// A call: the prompt with its frames in reading order, the reply, and its cost.
// Text of a model or a server becomes text nodes, never markup.

/** An element with attributes and children; strings become text nodes. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const folding = { whole: false, exact: false, open: new Set() };
const SHORT = 3; // this many unchanged lines in a row are not folded

/** The messages of a call; lines that `before`, an earlier call or null, lacks are marked. */
function promptView(call, before, here) {
  const repeated = before && here.repair ? sameStart(before.messages, call.messages) : 0;
  const known = before && lineCounts(repeated ? [] : before.messages);
  const view = make("div", { class: "prompt" });
  if (repeated) {
    const note = `${count(repeated, "message")} as above, then:`;
    view.append(make("p", { class: "again" }, note));
  }
  for (const [role, parts] of call.messages.slice(repeated)) {
    const body = partsView(parts, known, call.size, here);
    const message = make("section", { class: "message" }, make("h3", {}, role), body);
    message.dataset.role = role;
    view.append(message);
  }
  const [height, width] = now().shape;
  const sent = `sent at ${(call.size ?? [width, height]).join(" × ")}`;
  view.querySelector(".strip")?.append(make("p", { class: "sent" }, sent));
  return view;
}

/** Texts and frames in reading order; consecutive frames share a row. */
function partsView(parts, known, size, here) {
  const body = make("div", { class: "parts" });
  for (const part of parts) {
    if (typeof part === "string") {
      body.append(textView(part, known));
      continue;
    }
    if (body.lastChild?.className !== "strip") body.append(make("div", { class: "strip" }));
    body.lastChild.append(frameView(part, size, here));
  }
  return body;
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

/** A text with its new lines marked and long runs of unchanged lines folded. */
function textView(text, known) {
  const block = make("div", { class: "text" });
  let unchanged = [];
  const flush = () => {
    block.append(...unchangedView(unchanged, known !== null));
    unchanged = [];
  };
  for (const line of text.split("\n")) {
    const left = known?.get(line) ?? 0;
    if (left || !known || !line.trim()) {
      known?.set(line, left - 1);
      unchanged.push(line);
    } else {
      flush();
      block.append(make("div", { class: "line new" }, line));
    }
  }
  flush();
  return block;
}

function unchangedView(lines, compared) {
  const name = compared ? "line" : "line first";
  const views = lines.map((line) => make("div", { class: name }, line || "\u200b"));
  const open = folding.whole || folding.open.has(lines[0]);
  if (!compared || open || lines.length <= SHORT + 1) return views;
  const label = `${lines.length - 1} more lines, as before`;
  const more = make("button", { type: "button", class: "fold" }, label);
  more.addEventListener("click", () => {
    folding.open.add(lines[0]);
    more.replaceWith(...views.slice(1));
  });
  return [views[0], more];
}

/** A frame of the prompt at the size it was sent; a click enlarges it. */
function frameView([number, step], size, here) {
  const found = findFrame(number, step);
  const name = frameName(number, step, here);
  const caption = make("figcaption", {}, name);
  if (!found) {
    const missing = make("div", { class: "missing" }, "not in this page");
    return make("figure", { class: "frame" }, missing, caption);
  }
  const { shape } = found;
  const [width, height] = size ?? [shape[1], shape[0]];
  const canvas = make("canvas", { width, height, "data-step": step, "data-episode": number });
  const attributes = {
    type: "button",
    "aria-label": `Enlarge: ${name}, ${width} by ${height} pixels`,
    onclick: () => enlarge(canvas, `${name}, as sent: ${width} × ${height}`),
  };
  const painted = found.open().then((pixels) => paint(canvas, pixels, shape, size));
  here.frames.push(painted);
  const kind = number === here.number ? "frame" : "frame aside";
  return make("figure", { class: kind }, make("button", attributes, canvas), caption);
}

function frameName(number, step, here) {
  if (number < 0) return `training episode ${-1 - number}, decision ${step}`;
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

/** The answer to a call: reasoning, text, fault and cost. */
function replyView(call) {
  const view = make("div", { class: "reply" });
  if (call.thinking) {
    const title = make("summary", {}, "Reasoning");
    const thoughts = make("div", { class: "words" }, call.thinking);
    view.append(make("details", { class: "thinking", open: "" }, title, thoughts));
  }
  const none = call.thinking ? "No answer after the reasoning." : "The answer is empty.";
  if (call.reply) view.append(textOf(call.reply));
  else view.append(make("p", { class: "nothing" }, none));
  if (call.fault) view.append(make("p", { class: "fault" }, call.fault));
  view.append(make("p", { class: "cost" }, ...cost(call)));
  return view;
}

/** The exact reply, or the fields of its JSON one below the other. */
function textOf(reply) {
  const fields = folding.exact ? null : jsonFields(reply);
  if (!fields) return make("div", { class: "words" }, reply);
  const rows = fields.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", { class: "words" }, value)),
  );
  return make("dl", { class: "fields" }, ...rows);
}

/** (name, value) pairs of a reply that is one JSON object, fenced or not; null otherwise. */
function jsonFields(reply) {
  const bare = reply.trim().replace(/^```(?:json)?\s*|\s*```$/g, "");
  if (!bare.startsWith("{")) return null;
  try {
    const fields = Object.entries(JSON.parse(bare));
    return fields.map(([name, value]) => [name, readable(value)]);
  } catch {
    return null;
  }
}

/** A JSON value as text: a line for each item of a list, "name value, ..." for an object. */
function readable(value) {
  if (Array.isArray(value)) return value.map(readable).join("\n");
  if (Object(value) !== value) return String(value);
  const pairs = Object.entries(value);
  return pairs.map(([name, inner]) => `${name} ${readable(inner)}`).join(", ");
}

function cost(call) {
  const { model, tokens, seconds: wait, dollars: price, uncertain: maybe } = call;
  const [input, output, thoughts] = tokens;
  const more = thoughts ? ` (${number(thoughts)} reasoning)` : "";
  const items = [
    model,
    input || output ? `${number(input)} tokens in, ${number(output)} out${more}` : "",
    wait ? seconds(wait) : "",
    call.replayed ? "replayed from the cache, free" : "",
    price === null ? "price unknown" : price ? dollars(price) : "",
    maybe === null ? "perhaps more" : maybe ? `perhaps ${dollars(maybe)} more` : "",
    call.request_id,
  ];
  return items.filter(Boolean).map((item) => make("span", {}, item));
}

function number(value) {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 }).replace("-", "−");
}

function count(n, noun) {
  return `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
}

function seconds(value) {
  if (value >= 100) return `${Math.round(value)} s`;
  if (value >= 0.9995) return `${value.toFixed(2)} s`;
  return `${(1000 * value).toFixed(value < 0.00995 ? 1 : 0)} ms`;
}

function dollars(value) {
  return `$${value < 0.01 ? value.toPrecision(2) : value.toFixed(value < 1 ? 3 : 2)}`;
}

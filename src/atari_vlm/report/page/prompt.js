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

/** Pictures and messages of a call; lines that `before`, an earlier call or null, lacks are marked. */
function promptView(call, before, here) {
  const repeated = before && here.repair ? sameStart(before.messages, call.messages) : 0;
  const known = before && lineCounts(repeated ? [] : before.messages);
  const pictures = picturesOf(call, here);
  const view = make("div", { class: "prompt" });
  if (!repeated) view.append(picturesView(call, pictures, here) ?? "");
  if (repeated) {
    const note = `${count(repeated, "message")} as above, then:`;
    view.append(make("p", { class: "again" }, note));
  }
  for (const [role, parts] of call.messages.slice(repeated)) {
    const body = partsView(parts, known, call, pictures, here);
    const message = make("section", { class: "message" }, make("h3", {}, role), body);
    message.dataset.role = role;
    view.append(message);
  }
  return view;
}

/** Texts and frames in reading order; a frame that is shown above is only named. */
function partsView(parts, known, call, pictures, here) {
  const body = make("div", { class: "parts" });
  for (const part of parts) {
    const place = pictures.frames.indexOf(part);
    if (typeof part === "string") body.append(textView(part, known));
    else if (place < 0 && pictures.form === "each") body.append(frameView(part, call, here));
    else body.append(make("p", { class: "ref" }, referenceName(place, pictures)));
  }
  return body;
}

/** What stands in the text for a frame that is shown above it. */
function referenceName(place, { form, frames }) {
  if (place < 0) return "[screen left out]";
  if (form === "motion") return place ? "[the picture above]" : "";
  return frames.length > 1 ? `[${form === "each" ? "picture" : "screen"} ${place + 1}]` : "[picture]";
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

/** The answer to a call: reasoning, text, fault and cost. */
function replyView(call, source) {
  const view = make("div", { class: "reply" });
  if (call.thinking) {
    const title = make("summary", {}, "Reasoning");
    const thoughts = make("div", { class: "words" }, call.thinking);
    view.append(make("details", { class: "thinking", open: "" }, title, thoughts));
  }
  if (call.reply) view.append(textOf(call.reply));
  else view.append(make("p", { class: "nothing" }, withoutWords(call, source)));
  if (call.fault) view.append(make("p", { class: "fault" }, call.fault));
  view.append(make("p", { class: "cost" }, ...cost(call)));
  return view;
}

function withoutWords(call, source) {
  if (source === "scored") return "No words: the model rated every legal answer in one pass.";
  return call.thinking ? "No answer after the reasoning." : "The answer is empty.";
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

// The timeline: the score curve of an episode, its events and the sources of its decisions.

const MARGIN = 7; // half the slider's thumb, so that curve and thumb line up
const LANE = 17; // height of the events and the source strip below the curve
const SEVERITY = ["scripted", "parsed", "scored", "searched", "repaired", "fallback"];

/** The colours of the current theme, as a canvas takes them. */
function themeTints() {
  const probe = document.body.appendChild(document.createElement("i"));
  const tint = (name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  };
  const tints = Object.fromEntries(TINTS.map(tint));
  probe.remove();
  return tints;
}

const TINTS = ["muted", "line", "accent", "life", "gain", "stuck", ...SEVERITY];

function drawTimeline(canvas, episode, events) {
  const ratio = window.devicePixelRatio || 1;
  const values = scoreLine(episode);
  const labels = axisLabels(values);
  setAxisWidths(labels); // before measuring: the labels decide how wide the curve is
  const { width, height } = canvas.getBoundingClientRect();
  if (!width) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const paper = {
    pen,
    width,
    top: 8,
    floor: height - LANE - 6 - (episode.thinking ? TRACK : 0),
    height,
    tints: themeTints(),
    across: (at) => MARGIN + (at / Math.max(episode.count - 1, 1)) * (width - 2 * MARGIN),
  };
  paper.up = scale(values, paper);
  stuckStretches(paper, episode);
  references(paper, values);
  curve(paper, values);
  rewards(paper, values, events.reward, episode);
  sources(paper, episode);
  thinkingTrack(paper, episode);
  marks(paper, events, episode.thinking ? TRACK : 0);
  fillAxis($("values"), labels.values, paper);
  fillAxis($("references"), labels.references, paper);
}

/** The score at every position of the slider, the end included. */
function scoreLine(episode) {
  const values = episode.scores.slice(0, episode.count);
  if (episode.count > episode.scores.length) values.push(episode.score);
  return values;
}

/** Random and human score that can be drawn without flattening the curve. */
function referenceScores(values) {
  const [low, high] = bounds(values);
  const reach = Math.max(high - low, 1);
  return knownScores().filter(
    ([, value]) => value > low - 2.5 * reach && value < high + 2.5 * reach,
  );
}

function knownScores() {
  const known = [
    ["human", replay.human],
    ["random", replay.random],
  ];
  return known.filter(([, value]) => value !== null);
}

/** What is written left and right of the curve, as (text, score). */
function axisLabels(values) {
  const [low, high] = bounds(values);
  const drawn = new Set(referenceScores(values).map(([name]) => name));
  const arrow = (name, value) => (drawn.has(name) ? "" : value > high ? "↑ " : "↓ ");
  return {
    values: [...new Set([high, 0, low])].map((value) => [number(value), value]),
    references: knownScores().map(([name, value]) => [
      `${arrow(name, value)}${name} ${number(value)}`,
      value,
    ]),
  };
}

/** Make both axes as wide as their labels, which stand in them a second time, unseen. */
function setAxisWidths(labels) {
  for (const [id, list] of Object.entries(labels)) {
    const widths = list.map(([text]) => make("div", {}, text));
    $(id).replaceChildren(make("div", { class: "widths" }, ...widths));
  }
}

/** Write labels at their scores, moved apart so that none touches another. */
function fillAxis(axis, labels, { up, top, floor }) {
  const half = 7; // half the height of a label
  const clamp = (y) => Math.min(Math.max(y, top), floor);
  const placed = labels.map(([text, value]) => ({ text, y: clamp(up(value)) }));
  placed.sort((a, b) => a.y - b.y);
  let kept = placed;
  if (axis.id === "values") {
    // Zero gives way to the scores above and below it.
    const near = (other, one) => other !== one && Math.abs(other.y - one.y) < 2 * half;
    kept = placed.filter((one) => one.text !== "0" || !placed.some((other) => near(other, one)));
    if (!kept.length) kept = placed.slice(-1);
  }
  kept.forEach((one, k) => (one.y = Math.max(one.y, k ? kept[k - 1].y + 2 * half : one.y)));
  for (let k = kept.length - 1, most = floor; k >= 0; k--, most = kept[k + 1].y - 2 * half) {
    kept[k].y = Math.min(kept[k].y, most);
  }
  axis.append(
    ...kept.map(({ text, y }) => {
      const label = make("span", {}, text);
      label.style.top = `${y - half}px`;
      return label;
    }),
  );
}

function bounds(values) {
  const widen = ([low, high], value) => [Math.min(low, value), Math.max(high, value)];
  return values.reduce(widen, [0, 0]);
}

function scale(values, { top, floor }) {
  const [low, high] = bounds([...referenceScores(values).map(([, value]) => value), ...bounds(values)]);
  return (value) => floor - ((value - low) / (high - low || 1)) * (floor - top);
}

function references({ pen, width, up, tints }, values) {
  for (const [name, value] of [["", 0], ...referenceScores(values)]) {
    const y = Math.round(up(value)) + 0.5;
    pen.strokeStyle = tints.line;
    pen.setLineDash(name ? [4, 4] : []);
    pen.beginPath();
    pen.moveTo(MARGIN, y);
    pen.lineTo(width - MARGIN, y);
    pen.stroke();
  }
  pen.setLineDash([]);
}

function curve({ pen, across, up, tints }, values) {
  const path = new Path2D();
  path.moveTo(across(0), up(values[0]));
  values.forEach((value, at) => {
    if (at && value === values[at - 1] && value === values[at + 1]) return;
    if (at) path.lineTo(across(at), up(values[at - 1]));
    path.lineTo(across(at), up(value));
  });
  const area = new Path2D(path);
  area.lineTo(across(values.length - 1), up(0));
  area.lineTo(across(0), up(0));
  pen.globalAlpha = 0.13;
  pen.fillStyle = tints.accent;
  pen.fill(area);
  pen.globalAlpha = 1;
  pen.strokeStyle = tints.accent;
  pen.lineWidth = 1.5;
  pen.lineJoin = "round";
  pen.stroke(path);
  pen.lineWidth = 1;
}

/** A shade behind the curve where the player did, or saw, the same for a while. */
function stuckStretches({ pen, top, floor, across, tints }, { stuck }) {
  for (const [first, last] of stuck ?? []) {
    const [left, right] = [across(first), across(last + 1)];
    pen.fillStyle = tints.stuck;
    pen.globalAlpha = 0.16;
    pen.fillRect(left, top, Math.max(right - left, 1), floor - top);
    pen.globalAlpha = 0.9;
    pen.fillRect(left, top - 3, Math.max(right - left, 1), 2);
  }
  pen.globalAlpha = 1;
}

function rewards({ pen, across, up, tints }, values, places, episode) {
  thinned(places, across, 5).forEach((at) => {
    const gained = episode.rewards[at] > 0;
    pen.beginPath();
    const after = Math.min(at + 1, values.length - 1);
    pen.arc(across(after), up(values[after]), 2.6, 0, 7);
    pen.fillStyle = gained ? tints.gain : tints.fallback;
    pen.fill();
  });
}

/** A strip coloured by source; of several decisions in a pixel the worst source shows. */
function sources({ pen, width, height, across, tints }, episode) {
  const strip = new Array(Math.ceil(width)).fill(-1);
  const rank = replay.sources.map((name) => SEVERITY.indexOf(name));
  episode.sources.forEach((source, at) => {
    const end = Math.max(Math.floor(across(at + 1)), Math.floor(across(at)) + 1);
    for (let x = Math.floor(across(at)); x < Math.min(end, strip.length); x++) {
      strip[x] = Math.max(strip[x], rank[source]);
    }
  });
  strip.forEach((worst, x) => {
    if (worst < 0) return;
    pen.fillStyle = tints[SEVERITY[worst]];
    pen.globalAlpha = worst < 3 ? 0.45 : 1;
    pen.fillRect(x, height - 4, 1, 3);
  });
  pen.globalAlpha = 1;
}

const SHAPES = {
  repair: [
    "repaired",
    [
      [0, -4.5],
      [4.5, 0],
      [0, 4.5],
      [-4.5, 0],
    ],
  ],
  fallback: [
    "fallback",
    [
      [0, -4.5],
      [5, 4],
      [-5, 4],
    ],
  ],
  life: [
    "life",
    [
      [-4, -4],
      [4, -4],
      [4, 0],
      [0, 4.5],
      [-4, 0],
    ],
  ],
};

function marks({ pen, height, across, tints }, events, below) {
  const middle = height - LANE / 2 - 5 - below;
  for (const [kind, [name, corners]] of Object.entries(SHAPES)) {
    pen.fillStyle = tints[name];
    for (const at of thinned(events[kind], across, 6)) {
      pen.beginPath();
      corners.forEach(([x, y]) => pen.lineTo(across(at) + x, middle + y));
      pen.fill();
    }
  }
}

/** Places at least `apart` pixels apart: marks hidden under others are not drawn. */
function thinned(places, across, apart) {
  let last = -Infinity;
  return places.filter((at) => {
    if (across(at) - last < apart) return false;
    last = across(at);
    return true;
  });
}

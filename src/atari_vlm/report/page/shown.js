// What the model was shown: the frames of a call as the pictures that were made of them.

/** The frames of a call that are shown above its text, oldest first, and what became of them. */
function picturesOf(call, here) {
  const all = call.messages.flatMap(([, parts]) => parts.filter(Array.isArray));
  const { form, most } = replay.pictures;
  if (form === "motion") return { form, frames: all.length > 1 ? all.slice(-2) : [...all, ...all] };
  if (form === "video" && all.length > 1) {
    const frames = replay.pictures.examples ? all : sequence(all);
    return { form: frames.length > 1 ? form : "each", frames };
  }
  if (form === "mosaic" && all.length > most) return { form, frames: all };
  const own = all.filter(([number]) => number === here.number);
  if (own.length) return { form: "each", frames: own };
  const final = call.messages.findLast(([, parts]) => parts.some(Array.isArray));
  return { form: "each", frames: final ? final[1].filter(Array.isArray) : [] };
}

/** The newest frames, each one decision after the one before it. */
function sequence(frames) {
  let first = frames.length - 1;
  const follows = (k) => frames[k][0] === frames[k - 1][0] && frames[k][1] === frames[k - 1][1] + 1;
  while (first && follows(first)) first--;
  return frames.slice(first);
}

/** Width and height at which a frame was sent. */
function sentSize(call, [height, width]) {
  const scale = replay.pictures.scale ?? 1;
  return call.size ?? [width * scale, height * scale];
}

/** The pictures of a call; null if it has none. */
function picturesView(call, { form, frames }, here) {
  if (!frames.length) return null;
  const views = { each: rowView, motion: motionView, mosaic: mosaicView, video: videoView };
  const view = make("div", { class: "pictures", "data-form": form }, ...views[form](call, frames, here));
  if (replay.pictures.said) view.append(sentence(`The record says: ${replay.pictures.said}.`));
  return view;
}

function sentence(text) {
  return make("p", { class: "sent" }, text);
}

function rowView(call, frames, here) {
  const size = sentSize(call, shapeOf(frames)).join(" × ");
  const text =
    frames.length > 1
      ? `${frames.length} pictures, oldest first, each sent at ${size}`
      : `1 picture, sent at ${size}`;
  return [row(call, frames, here), sentence(text)];
}

/** Frames side by side, oldest first, the newest marked. */
function row(call, frames, here) {
  const strip = make("div", { class: "strip" });
  strip.style.setProperty("--n", Math.min(frames.length, 8));
  frames.forEach((frame, k) => {
    const view = frameView(frame, call, here);
    view.classList.toggle("newest", k === frames.length - 1);
    strip.append(view);
  });
  return strip;
}

function shapeOf(frames) {
  const found = frames.map(([number, step]) => findFrame(number, step)).find(Boolean);
  return found?.shape ?? now().shape;
}

/** One picture of two frames, and the frames beside it. */
function motionView(call, frames, here) {
  const { side } = replay.pictures;
  const canvas = make("canvas", { width: side, height: side, class: "motion" });
  const found = frames.map(([number, step]) => findFrame(number, step));
  const made = madePicture(canvas, "the picture it gets", `motion picture, ${side} × ${side}`);
  if (found.every(Boolean)) {
    const painted = Promise.all(found.map((each) => each.open())).then(([before, after]) =>
      paintMotion(canvas, before, after, found[1].shape, side),
    );
    here.frames.push(painted);
  }
  const text =
    `1 picture, ${side} × ${side}: red is the screen now, green the one before, ` +
    "blue the places that changed. The colours of the game are not in it.";
  return [
    make("div", { class: "made" }, made, make("span", { class: "from" }, "made of"), row(call, frames, here)),
    sentence(text),
  ];
}

/** All frames as one picture. */
function mosaicView(call, frames, here) {
  const { gap } = replay.pictures;
  const [width, height] = sentSize(call, shapeOf(frames));
  const columns = Math.ceil(Math.sqrt(frames.length));
  const rows = Math.ceil(frames.length / columns);
  const size = [columns * (width + gap) - gap, rows * (height + gap) - gap];
  const canvas = make("canvas", { width: size[0], height: size[1], class: "mosaic" });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "rgb(96 96 96)";
  pen.fillRect(0, 0, ...size);
  frames.forEach(([number, step], k) => {
    const found = findFrame(number, step);
    if (!found) return;
    const cell = new OffscreenCanvas(width, height);
    const painted = found.open().then((pixels) => {
      paint(cell, pixels, found.shape, [width, height]);
      const place = [(k % columns) * (width + gap), Math.floor(k / columns) * (height + gap)];
      pen.drawImage(cell, ...place);
    });
    here.frames.push(painted);
  });
  const text = `1 picture of ${frames.length} screens, ${size.join(" × ")}, oldest first, row by row`;
  return [madePicture(canvas, "the picture it gets", text), sentence(text)];
}

/** A video as a clip and as its frames. */
function videoView(call, frames, here) {
  const { most, multiple } = replay.pictures;
  const taken = most ? frames.slice(-most) : frames;
  const repeats = (multiple - (taken.length % multiple)) % multiple;
  const rate = screenRate();
  const size = sentSize(call, shapeOf(taken)).join(" × ");
  const text =
    `1 video of ${taken.length + repeats} frames at ${number(rate)} a second, ${size}, oldest first` +
    (repeats ? `; the oldest is repeated ${count(repeats, "time")}` : "") +
    (taken.length < frames.length ? `; ${count(frames.length - taken.length, "older screen")} left out` : "");
  const strip = row(call, taken, here);
  return [strip, playButton(strip), sentence(text)];
}

/** Screens of a video a second: as in the game, if the model takes that many. */
function screenRate() {
  const { intervals } = now();
  const rate = 60 / intervals[Math.min(here.at, intervals.length - 1)];
  return Math.min(rate, replay.pictures.fastest ?? rate);
}

/** A button that plays the frames of a strip in the place of its newest. */
function playButton(strip) {
  const button = make("button", { type: "button", class: "fold clip" }, "play as the model's clip");
  button.addEventListener("click", () => {
    const canvases = [...strip.querySelectorAll("canvas")];
    const stage = canvases.at(-1);
    const shots = canvases.map((canvas) => {
      const shot = new OffscreenCanvas(canvas.width, canvas.height);
      shot.getContext("2d").drawImage(canvas, 0, 0);
      return shot;
    });
    let k = 0;
    button.disabled = true;
    const timer = setInterval(() => {
      stage.getContext("2d").drawImage(shots[k++ % shots.length], 0, 0);
      if (k < 3 * shots.length && stage.isConnected) return;
      clearInterval(timer);
      button.disabled = false;
    }, 1000 / screenRate());
  });
  return button;
}

/** A picture made of several frames; a click enlarges it. */
function madePicture(canvas, name, title) {
  const attributes = {
    type: "button",
    "aria-label": `Enlarge: ${title}`,
    onclick: () => enlarge(canvas, title),
  };
  const caption = make("figcaption", {}, name);
  return make("figure", { class: "frame newest" }, make("button", attributes, canvas), caption);
}

/** A frame at the size it was sent; a click enlarges it. */
function frameView([number, step], call, here) {
  const found = findFrame(number, step);
  const name = frameName(number, step, here);
  const caption = make("figcaption", { title: name.long }, name.short);
  if (!found) {
    const missing = make("div", { class: "missing" }, "not in this page");
    return make("figure", { class: "frame" }, missing, caption);
  }
  const { shape } = found;
  const size = sentSize(call, shape);
  const [width, height] = size;
  const canvas = make("canvas", { width, height, "data-step": step, "data-episode": number });
  const attributes = {
    type: "button",
    "aria-label": `Enlarge: ${name.long}, ${width} by ${height} pixels`,
    onclick: () => enlarge(canvas, `${name.long}, as sent: ${width} × ${height}`),
  };
  here.frames.push(found.open().then((pixels) => paint(canvas, pixels, shape, size)));
  return make("figure", { class: "frame" }, make("button", attributes, canvas), caption);
}

/** What a frame is, in a few words and in full. */
function frameName(number, step, here) {
  const same = (text) => ({ short: text, long: text });
  if (number < 0) return same(storedScreens.get(`${number}/${step}`)?.name ?? "another screen");
  if (number !== here.number) return same(`${episodeName(number)}, decision ${step}`);
  if (step === here.at) return same("now");
  if (step > here.at) return same(`decision ${step}`);
  return { short: `${here.at - step} ago`, long: `${count(here.at - step, "decision")} ago` };
}

function episodeName(number) {
  const found = replay.episodes.find((episode) => episode.number === number);
  const name = found?.name ?? String(number);
  return /^\d/.test(name) ? `episode ${name}` : name;
}

function enlarge(canvas, name) {
  const large = document.getElementById("frame-canvas");
  [large.width, large.height] = [canvas.width, canvas.height];
  large.style.setProperty("--shape", canvas.width / canvas.height);
  large.getContext("2d").drawImage(canvas, 0, 0);
  document.getElementById("frame-title").textContent = name;
  document.getElementById("frame-dialog").showModal();
}

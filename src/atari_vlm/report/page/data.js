// The data of the page. Columns are plain; screens and choices are unpacked a chunk at a time.

const replay = JSON.parse(document.getElementById("replay-data").textContent);

/** The bytes of a base64 text. */
function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Bytes of decisions in one chunk: far more than prompts and answers of 64 decisions have. */
const MOST_BYTES = 2 ** 28;

/** Unpack a base64 text, or bytes; what has more than `most` bytes is an error. */
async function inflate(source, most = MOST_BYTES) {
  const packed = new Blob([typeof source === "string" ? bytes(source) : source]).stream();
  const reader = packed.pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts = [];
  let size = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    size += next.value.length;
    if (size > most) {
      await reader.cancel();
      throw new Error(`A part of this page has more than ${most} bytes.`);
    }
    parts.push(next.value);
  }
  const all = new Uint8Array(size);
  parts.reduce((start, part) => (all.set(part, start), start + part.length), 0);
  return all;
}

/** Loads chunks by (episode, chunk) and keeps the last `size`; `peek` never loads. */
class ChunkCache {
  constructor(size, load) {
    this.size = size;
    this.load = load;
    this.entries = new Map();
  }

  get(episode, chunk) {
    const key = `${episode}/${chunk}`;
    const entry = this.entries.get(key) ?? { value: undefined };
    entry.promise ??= this.load(replay.episodes[episode], chunk).then((value) => {
      entry.value = value;
      return value;
    });
    this.entries.delete(key); // moved to the end: the first entry is the least recently used
    this.entries.set(key, entry);
    if (this.entries.size > this.size) this.entries.delete(this.entries.keys().next().value);
    return entry.promise;
  }

  peek(episode, chunk) {
    return this.entries.get(`${episode}/${chunk}`)?.value;
  }
}

/** Screens of a chunk, each XORed with the one before it and deflated twice, as palette indices. */
const screens = new ChunkCache(12, async (episode, chunk) => {
  const size = episode.shape[0] * episode.shape[1];
  const runs = await inflate(episode.screens[chunk]);
  const all = await inflate(runs, size * replay.chunk);
  const list = [];
  for (let start = 0; start < all.length; start += size) {
    for (let k = start; list.length && k < start + size; k++) all[k] ^= all[k - size];
    list.push(all.subarray(start, start + size));
  }
  return list;
});

/** The choices of a chunk of decisions, with their texts in place of indices. */
const choices = new ChunkCache(8, async (episode, chunk) => {
  const { rows, texts } = JSON.parse(new TextDecoder().decode(await inflate(episode.choices[chunk])));
  const all = texts.map((text) => (typeof text === "number" ? replay.texts[text] : text));
  rows.forEach((row) => fillTexts(row, (index) => all[index]));
  return rows;
});

function fillTexts(row, text) {
  row.reason = text(row.reason);
  row.memory = text(row.memory);
  row.queue = text(row.queue);
  for (const call of row.calls) {
    for (const name of ["reply", "thinking", "model", "request_id", "fault"]) {
      call[name] = text(call[name]);
    }
    for (const message of call.messages) {
      message[1] = message[1].map((part) => (typeof part === "number" ? text(part) : part));
    }
  }
  (row.considered ?? []).forEach((other) => fillTexts(other, text));
}

/** The entry of a decision in its chunk. */
async function entryAt(cache, episode, at) {
  return (await cache.get(episode, Math.floor(at / replay.chunk)))[at % replay.chunk];
}

/** Screens in prompts that are not of this run, by "episode/step"; each is unpacked once. */
const storedScreens = new Map(
  replay.stored.map(({ frame, name, shape, screen }) => {
    let opened;
    return [frame.join("/"), { name, shape, open: () => (opened ??= inflate(screen, shape[0] * shape[1])) }];
  }),
);

/** Shape of a frame of a prompt and a function that unpacks it; undefined if not in the page. */
function findFrame(number, step) {
  if (number < 0) return storedScreens.get(`${number}/${step}`);
  const place = replay.episodes.findIndex((episode) => episode.number === number);
  if (place < 0 || step >= replay.episodes[place].count) return undefined;
  return { shape: replay.episodes[place].shape, open: () => entryAt(screens, place, step) };
}

const KINDS = {
  reward: { key: "r", name: "Reward" },
  repair: { key: "m", name: "Repair" },
  fallback: { key: "f", name: "Fallback" },
  life: { key: "l", name: "Life lost" },
  stuck: { key: "s", name: "Stuck" },
};

/** The decisions with an event, in order: by kind, and of `any` kind but the first of a stretch of
 * being `stuck`. */
function findEvents(episode) {
  const repaired = replay.sources.indexOf("repaired");
  const fallback = replay.sources.indexOf("fallback");
  const found = { reward: [], repair: [], fallback: [], life: [] };
  episode.actions.forEach((_, at) => {
    if (episode.rewards[at]) found.reward.push(at);
    if (episode.sources[at] === repaired) found.repair.push(at);
    if (episode.sources[at] === fallback) found.fallback.push(at);
    if (episode.lives[at + 1] < episode.lives[at]) found.life.push(at);
  });
  const any = [...new Set(Object.values(found).flat())].sort((a, b) => a - b);
  return { ...found, stuck: (episode.stuck ?? []).map(([first]) => first), any };
}

/** Emulator frames played before each decision, and before the end. */
function framesBefore(episode) {
  let total = 0;
  return [0, ...episode.intervals.map((frames) => (total += frames))];
}

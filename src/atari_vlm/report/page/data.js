// What the page holds. Numbers lie open; screens and words are unpacked a chunk at a time.

const replay = JSON.parse(document.getElementById("replay-data").textContent);

/** The bytes of a base64 text. */
function bytes(base64) {
  return Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
}

async function inflate(base64) {
  const packed = new Blob([bytes(base64)]).stream();
  const open = packed.pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(open).arrayBuffer());
}

/** Loads by (episode, chunk) and keeps the last few; `peek` gives what is there already. */
class Shelf {
  constructor(room, load) {
    this.room = room;
    this.load = load;
    this.kept = new Map();
  }

  get(episode, chunk) {
    const key = `${episode}/${chunk}`;
    const entry = this.kept.get(key) ?? { value: undefined };
    entry.promise ??= this.load(replay.episodes[episode], chunk).then((value) => {
      entry.value = value;
      return value;
    });
    this.kept.delete(key); // put last: the first in the map is the one not asked for the longest
    this.kept.set(key, entry);
    if (this.kept.size > this.room) this.kept.delete(this.kept.keys().next().value);
    return entry.promise;
  }

  peek(episode, chunk) {
    return this.kept.get(`${episode}/${chunk}`)?.value;
  }
}

/** Screens of a chunk, each XORed with the one before it, as arrays of palette indices. */
const screens = new Shelf(12, async (episode, chunk) => {
  const all = await inflate(episode.screens[chunk]);
  const size = episode.shape[0] * episode.shape[1];
  const list = [];
  for (let start = 0; start < all.length; start += size) {
    for (let k = start; list.length && k < start + size; k++) all[k] ^= all[k - size];
    list.push(all.subarray(start, start + size));
  }
  return list;
});

/** Everything said in a chunk of decisions, its texts put back in their places. */
const words = new Shelf(8, async (episode, chunk) => {
  const { rows, texts } = JSON.parse(new TextDecoder().decode(await inflate(episode.words[chunk])));
  const known = texts.map((text) => (typeof text === "number" ? replay.texts[text] : text));
  rows.forEach((row) => spell(row, (place) => known[place]));
  return rows;
});

function spell(row, text) {
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
  (row.considered ?? []).forEach((other) => spell(other, text));
}

/** The entry of a decision in what a shelf gives for its chunk. */
async function look(shelf, episode, at) {
  return (await shelf.get(episode, Math.floor(at / replay.chunk)))[at % replay.chunk];
}

/** Screens of the training run that prompts show, by "episode/step"; each is unpacked once. */
const borrowed = new Map(
  replay.borrowed.map(({ place, shape, screen }) => {
    let opened;
    return [place.join("/"), { shape, open: () => (opened ??= inflate(screen)) }];
  }),
);

/** A frame that a prompt refers to, its shape and what unpacks it; undefined if not in here. */
function findFrame(number, step) {
  if (number < 0) return borrowed.get(`${number}/${step}`);
  const place = replay.episodes.findIndex((episode) => episode.number === number);
  if (place < 0 || step >= replay.episodes[place].count) return undefined;
  return { shape: replay.episodes[place].shape, open: () => look(screens, place, step) };
}

const KINDS = {
  reward: { key: "r", name: "Reward" },
  repair: { key: "m", name: "Repair" },
  fallback: { key: "f", name: "Fallback" },
  life: { key: "l", name: "Life lost" },
};

/** Where things happen: for each kind the decisions in order, and all of them together. */
function happenings(episode) {
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
  return { ...found, any };
}

/** Emulator frames played before each decision, and before the end. */
function clock(episode) {
  let total = 0;
  return [0, ...episode.intervals.map((frames) => (total += frames))];
}

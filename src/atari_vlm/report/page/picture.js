// Palette indices to pixels, scaled as for the model.

const palette = bytes(replay.palette);
const colours = new Uint32Array(256);
{
  const channels = new Uint8ClampedArray(colours.buffer);
  for (let k = 0; k < 256; k++) channels.set([...palette.subarray(3 * k, 3 * k + 3), 255], 4 * k);
}

/** Luminance of each palette index, as Pillow computes it. */
const grays = Uint8Array.from({ length: 256 }, (_, k) => {
  const [red, green, blue] = palette.subarray(3 * k, 3 * k + 3);
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
});

/** RGBA pixels of a screen. */
function coloured(pixels) {
  return new Uint8ClampedArray(Uint32Array.from(pixels, (index) => colours[index]).buffer);
}

/** Draw a screen; the canvas gets exactly the pixels that were sent to the model. */
function paint(canvas, pixels, [height, width], size) {
  const [toWidth, toHeight] = size ?? [width, height];
  if (canvas.width !== toWidth) canvas.width = toWidth;
  if (canvas.height !== toHeight) canvas.height = toHeight;
  const data = scaled(coloured(pixels), [width, height], [toWidth, toHeight]);
  canvas.getContext("2d").putImageData(new ImageData(data, toWidth, toHeight), 0, 0);
}

/** Draw two screens as `images.motion` does: now in red, before in green, what changed in blue. */
function paintMotion(canvas, before, after, shape, side) {
  const [newer, older] = [luminance(after, shape, side), luminance(before, shape, side)];
  const changed = spread(newer.map((value, k) => Math.abs(value - older[k])), side);
  const data = new Uint8ClampedArray(4 * side * side);
  for (let k = 0; k < side * side; k++) {
    data.set([newer[k], older[k], 2 * Math.min(changed[k], 127), 255], 4 * k);
  }
  canvas.getContext("2d").putImageData(new ImageData(data, side, side), 0, 0);
}

/** Luminance of every pixel, scaled to a square by averaging areas. */
function luminance(pixels, [height, width], side) {
  const gray = new Uint8ClampedArray(4 * pixels.length);
  pixels.forEach((index, k) => (gray[4 * k] = grays[index]));
  const across = filtered(gray, height, box(width, side), 4, 4 * width, 4, 4 * side);
  const scaled = filtered(across, side, box(height, side), 4 * side, 4, 4 * side, 4);
  return scaled.filter((_, k) => k % 4 === 0);
}

/** The largest of each value and all within 3 rows and 3 columns of it. */
function spread(values, side) {
  const within = (source, stride) =>
    source.map((_, k) => {
      const at = Math.floor(k / stride) % side;
      let most = 0;
      for (let by = Math.max(-3, -at); by <= Math.min(3, side - 1 - at); by++) {
        most = Math.max(most, source[k + by * stride]);
      }
      return most;
    });
  return within(within(values, 1), side);
}

/** Scale as Pillow does for the model: enlarging repeats pixels, shrinking averages them. */
function scaled(data, from, to) {
  if (from[0] === to[0] && from[1] === to[1]) return data;
  const taps = to[0] >= from[0] && to[1] >= from[1] ? nearest : box;
  const across = filtered(data, from[1], taps(from[0], to[0]), 4, 4 * from[0], 4, 4 * to[0]);
  return filtered(across, to[0], taps(from[1], to[1]), 4 * to[0], 4, 4 * to[0], 4);
}

/** For each target pixel the range of source pixels in its mean, as [first, count]. */
function box(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    let first = Math.max(Math.trunc(centre - reach / 2 + 0.5), 0);
    let end = Math.min(Math.trunc(centre + reach / 2 + 0.5), from);
    // A pixel belongs to the box if its centre is inside; the box excludes its left edge.
    const inside = (k) => -0.5 < (k - centre + 0.5) / reach && (k - centre + 0.5) / reach <= 0.5;
    while (first < end - 1 && !inside(first)) first++;
    while (end > first + 1 && !inside(end - 1)) end--;
    return [first, end - first];
  });
}

function nearest(from, to) {
  const step = from / to;
  let place = step / 2;
  return Array.from({ length: to }, () => {
    const first = Math.floor(place);
    place += step; // a sum, not a product: rounds as Pillow does
    return [Math.min(first, from - 1), 1];
  });
}

/** One pass of a separable filter along one axis. */
function filtered(data, lines, taps, step, lineStep, toStep, toLineStep) {
  const out = new Uint8ClampedArray(taps.length * lines * 4);
  taps.forEach(([first, count], place) => {
    const weight = Math.floor(0.5 + (1 / count) * 2 ** 22); // Pillow's fixed point
    for (let line = 0; line < lines; line++) {
      const start = line * lineStep + first * step;
      const target = line * toLineStep + place * toStep;
      for (let channel = 0; channel < 4; channel++) {
        let sum = 0;
        for (let k = 0; k < count; k++) sum += data[start + k * step + channel];
        out[target + channel] = count === 1 ? sum : Math.floor((sum * weight + 2 ** 21) / 2 ** 22);
      }
    }
  });
  return out;
}

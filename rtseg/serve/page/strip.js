// The time strip: a row of black and white blocks at the bottom of the picture that says when the picture was taken.
// It goes with the picture to the server and comes back in it, so the age that is read is that of the very picture shown.
//
// 40 cells over the whole width: white, black, 32 bits of milliseconds (most significant first),
// 4 bits of checksum (xor of the eight nibbles), black, white.

export const STRIP_PX = 16;
const CELLS = 40;
const SAMPLES = 4; // columns read of each cell; the two in the middle count

const checksum = (stamp) => {
  let sum = 0;
  for (let shift = 0; shift < 32; shift += 4) sum ^= (stamp >>> shift) & 15;
  return sum;
};

/** Draw `stamp` (ms, unsigned 32 bit) over the lowest 16 rows of a canvas. */
export function drawStrip(context, width, height, stamp) {
  const bits = [1, 0];
  for (let i = 31; i >= 0; i--) bits.push((stamp >>> i) & 1);
  for (let i = 3; i >= 0; i--) bits.push((checksum(stamp) >>> i) & 1);
  bits.push(0, 1);
  context.fillStyle = "#000";
  context.fillRect(0, height - STRIP_PX, width, STRIP_PX);
  context.fillStyle = "#fff";
  bits.forEach((bit, cell) => {
    const from = Math.round((cell * width) / CELLS);
    if (bit) context.fillRect(from, height - STRIP_PX, Math.round(((cell + 1) * width) / CELLS) - from, STRIP_PX);
  });
}

/** Reads stamps back from a picture of any size; null where it cannot be read. */
export class StripReader {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.canvas.width = CELLS * SAMPLES;
    this.canvas.height = 1;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  /** Return the stamp in ms, or null. `sentHeight` is the height of the picture that was sent, in px. */
  read(video, sentHeight) {
    const width = video.videoWidth;
    const height = video.videoHeight;
    if (!width || !height) return null;
    const rows = (STRIP_PX * height) / sentHeight;
    this.context.drawImage(video, 0, height - rows * 0.65, width, Math.max(1, rows * 0.3), 0, 0, CELLS * SAMPLES, 1);
    const pixels = this.context.getImageData(0, 0, CELLS * SAMPLES, 1).data;
    const bit = (cell) => {
      let sum = 0;
      for (let i = 1; i < SAMPLES - 1; i++) sum += pixels[4 * (cell * SAMPLES + i) + 1];
      return sum / (SAMPLES - 2) > 128 ? 1 : 0;
    };
    if (!bit(0) || bit(1) || bit(38) || !bit(39)) return null;
    let stamp = 0;
    for (let i = 0; i < 32; i++) stamp = ((stamp << 1) | bit(2 + i)) >>> 0;
    let sum = 0;
    for (let i = 0; i < 4; i++) sum = (sum << 1) | bit(34 + i);
    return sum === checksum(stamp) ? stamp : null;
  }
}

// Ages of the pictures shown in the last half minute, and their percentiles.

const KEEP_MS = 30000;
const RECENT_MS = 1000;

export class Ages {
  constructor() {
    this.clear();
  }

  clear() {
    this.samples = []; // {at, age} in ms
    this.shown = []; // times of every shown picture, read or not
    this.unread = 0;
  }

  /** Count a picture shown at `at`; `age` is null where its strip could not be read. */
  add(at, age) {
    this.shown.push(at);
    if (age === null) this.unread += 1;
    else this.samples.push({ at, age });
    while (this.samples.length && this.samples[0].at < at - KEEP_MS) this.samples.shift();
    while (this.shown[0] < at - 3000) this.shown.shift();
  }

  /** Pictures a second over the last three seconds before `now`; 0 once none has come for two. */
  fps(now) {
    const count = this.shown.length;
    if (count < 2 || now - this.shown[count - 1] > 2000) return 0;
    return (1000 * (count - 1)) / (this.shown[count - 1] - this.shown[0]);
  }

  /** The mean age of the last second in ms, or null. */
  recent(now) {
    const last = this.samples.filter((sample) => sample.at > now - RECENT_MS);
    return last.length ? last.reduce((sum, sample) => sum + sample.age, 0) / last.length : null;
  }

  /** The age in ms below which `part` (0..1) of the pictures of the last half minute were, or null. */
  percentile(part) {
    if (!this.samples.length) return null;
    const sorted = this.samples.map((sample) => sample.age).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)];
  }
}

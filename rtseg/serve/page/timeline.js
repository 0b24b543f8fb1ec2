// The timeline: class shares stacked over time, with a playhead, values under the pointer, and keys to seek.

import { fit, placeTip } from "./chart.js";
import { clock, make, themed } from "./dom.js";
import { percent } from "./legend.js";

const LEFT_PX = 54;
const BOTTOM_PX = 20;
const TOP_PX = 8;
const STEP_SECONDS = 1;
const TIP_ROWS = 8;

export class Timeline {
  /** `onSeek(seconds)` hears of every wish to be elsewhere; `onPlay()` of the space bar. */
  constructor(canvas, tip, { onSeek, onPlay }) {
    this.canvas = canvas;
    this.tip = tip;
    this.onSeek = onSeek;
    this.onPlay = onPlay;
    this.shares = null;
    this.hidden = new Set();
    this.seconds = 0;
    this.duration = 0;
    this.pointer = null;
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointermove", (event) => {
      this.pointer = event.offsetX;
      if (event.buttons & 1) this.onSeek(this.secondsAt(event.offsetX));
      this.draw();
    });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.onSeek(this.secondsAt(event.offsetX));
    });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const to = {
      ArrowLeft: this.seconds - STEP_SECONDS, ArrowDown: this.seconds - STEP_SECONDS, ArrowRight: this.seconds + STEP_SECONDS, ArrowUp: this.seconds + STEP_SECONDS,
      PageDown: this.seconds - 10 * STEP_SECONDS, PageUp: this.seconds + 10 * STEP_SECONDS, Home: 0, End: this.duration,
    }[event.key];
    if (to === undefined && event.key !== " ") return;
    event.preventDefault();
    if (event.key === " ") this.onPlay();
    else this.onSeek(Math.max(0, Math.min(this.duration, to)));
  }

  /** Take {classes, palette, times, shares} and the length of the video in seconds. */
  setShares(shares, duration) {
    this.shares = shares;
    this.duration = Math.max(duration || 0, shares.times.at(-1) || 0, 0.001);
    const mean = shares.classes.map((_, k) => shares.shares.reduce((sum, row) => sum + row[k], 0) / Math.max(1, shares.shares.length));
    this.order = shares.classes.map((_, k) => k).filter((k) => mean[k] > 0).sort((a, b) => mean[b] - mean[a]);
    this.canvas.setAttribute("aria-valuemax", this.duration.toFixed(1));
    this.draw();
  }

  /** Hide classes by name. */
  setHidden(names) {
    this.hidden = new Set(names);
    this.draw();
  }

  /** Move the playhead. */
  setSeconds(seconds) {
    if (seconds === this.seconds) return;
    this.seconds = seconds;
    this.canvas.setAttribute("aria-valuenow", seconds.toFixed(1));
    const row = this.rowAt(seconds);
    const most = row ? this.visible().map((k) => [this.shares.classes[k], row[k]]).sort((a, b) => b[1] - a[1]).slice(0, 3) : [];
    this.canvas.setAttribute("aria-valuetext", `${clock(seconds)}${most.map(([name, part]) => `, ${name} ${percent(part)}`).join("")}`);
    this.draw();
  }

  /** Indices of the classes shown, greatest first. */
  visible() {
    return (this.order || []).filter((k) => !this.hidden.has(this.shares.classes[k]));
  }

  /** The shares of all classes at a time, or null. */
  rowAt(seconds) {
    if (!this.shares?.times.length) return null;
    const { times } = this.shares;
    let low = 0;
    let high = times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= seconds + 1e-6) low = middle;
      else high = middle - 1;
    }
    return this.shares.shares[low];
  }

  secondsAt(column) {
    const part = (column - LEFT_PX) / Math.max(1, this.canvas.clientWidth - LEFT_PX - 2);
    return Math.max(0, Math.min(1, part)) * this.duration;
  }

  columnAt(seconds, width) {
    return LEFT_PX + (seconds / this.duration) * (width - LEFT_PX - 2);
  }

  draw() {
    if (!this.shares || !this.canvas.clientWidth) return;
    const { context, width, height } = fit(this.canvas);
    const floor = height - BOTTOM_PX;
    const y = (part) => floor - part * (floor - TOP_PX);
    this.drawAreas(context, width, y);
    this.drawAxes(context, width, floor, y);
    this.drawPlayhead(context, this.columnAt(this.seconds, width), floor);
    this.drawPointer(context, width, floor);
  }

  drawAreas(context, width, y) {
    const { times, shares, palette } = this.shares;
    const base = new Float64Array(times.length);
    const xs = times.map((time) => this.columnAt(time, width));
    xs.push(width - 2); // the last sample holds until the end
    context.lineWidth = 1;
    context.strokeStyle = themed("--surface");
    for (const k of this.visible()) {
      const path = new Path2D();
      const row = (i) => Math.min(i, times.length - 1);
      xs.forEach((x, i) => path.lineTo(x, y(base[row(i)] + shares[row(i)][k])));
      for (let i = xs.length - 1; i >= 0; i--) path.lineTo(xs[i], y(base[row(i)]));
      path.closePath();
      context.fillStyle = palette[k];
      context.fill(path);
      context.stroke(path);
      for (let i = 0; i < times.length; i++) base[i] += shares[i][k];
    }
  }

  drawAxes(context, width, floor, y) {
    context.fillStyle = themed("--ink-faint");
    context.strokeStyle = themed("--line");
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const part of [0, 0.5, 1]) context.fillText(`${part * 100} %`, LEFT_PX - 8, y(part));
    context.beginPath();
    context.moveTo(LEFT_PX, floor + 0.5);
    context.lineTo(width, floor + 0.5);
    context.stroke();
    context.textBaseline = "alphabetic";
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      context.textAlign = part === 0 ? "left" : part === 1 ? "right" : "center";
      const seconds = part * this.duration;
      context.fillText(this.duration < 20 ? `${seconds.toFixed(1)} s` : clock(seconds), this.columnAt(seconds, width), floor + 16);
    }
  }

  drawPlayhead(context, column, floor) {
    context.lineWidth = 4;
    context.strokeStyle = themed("--surface");
    for (const [lineWidth, strokeStyle] of [[4, themed("--surface")], [2, themed("--ink")]]) {
      Object.assign(context, { lineWidth, strokeStyle });
      context.beginPath();
      context.moveTo(column, TOP_PX - 6);
      context.lineTo(column, floor);
      context.stroke();
    }
    context.fillStyle = themed("--ink");
    context.beginPath();
    context.arc(column, TOP_PX - 3, 4.5, 0, 7);
    context.fill();
  }

  drawPointer(context, width, floor) {
    this.tip.hidden = this.pointer === null;
    if (this.pointer === null) return;
    const seconds = this.secondsAt(this.pointer);
    const column = this.columnAt(seconds, width);
    context.lineWidth = 1;
    context.strokeStyle = themed("--ink");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(column, TOP_PX);
    context.lineTo(column, floor);
    context.stroke();
    context.setLineDash([]);
    this.fillTip(seconds);
    placeTip(this.tip, column, width);
  }

  fillTip(seconds) {
    const row = this.rowAt(seconds);
    const rows = this.visible().filter((k) => row[k] > 0).sort((a, b) => row[b] - row[a]).slice(0, TIP_ROWS);
    this.tip.replaceChildren(make("b", { textContent: `${seconds.toFixed(1)} s` }), ...rows.map((k) => {
      const dot = make("span", { className: "key" });
      dot.style.background = this.shares.palette[k];
      return make("div", {}, dot, make("span", { textContent: this.shares.classes[k] }), make("span", { className: "share", textContent: percent(row[k]) }));
    }));
  }
}

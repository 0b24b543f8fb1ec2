// The small live chart: age of every shown picture over the last minute, drops as ticks on its floor.

import { milliseconds, themed } from "./dom.js";

const WINDOW_MS = 60000;
const LEFT_PX = 54;
const BOTTOM_PX = 20;
const TOP_PX = 10;
const REDRAW_MS = 200;

/** Fit a canvas to its box and the screen's pixels; returns {context, width, height} in CSS px. */
export function fit(canvas) {
  const ratio = Math.min(3, devicePixelRatio || 1);
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  return { context, width, height };
}

/** The smallest number that is at least `value`, and whose half reads well, too. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10].find((step) => step * power >= value) * power;
}

export class LiveChart {
  constructor(canvas, tip) {
    this.canvas = canvas;
    this.tip = tip;
    this.samples = []; // {at, age}
    this.drops = []; // {at, count}
    this.ceiling = 100;
    this.pointer = null;
    canvas.addEventListener("pointermove", (event) => { this.pointer = event.offsetX; this.draw(); });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Begin anew. */
  clear() {
    this.samples = [];
    this.drops = [];
    this.draw();
  }

  /** Add the age in ms of one shown picture. */
  add(at, age) {
    this.samples.push({ at, age });
    const old = at - WINDOW_MS;
    if (this.samples[0].at < old - 2000) this.samples = this.samples.filter((sample) => sample.at >= old);
    if (at - (this.drawn || 0) > REDRAW_MS) { this.drawn = at; this.draw(); }
  }

  /** Mark that so many frames were dropped. */
  addDrops(at, count) {
    this.drops = this.drops.filter((drop) => drop.at >= at - WINDOW_MS);
    this.drops.push({ at, count });
  }

  draw() {
    if (!this.canvas.clientWidth) return;
    const { context, width, height } = fit(this.canvas);
    const now = this.samples.at(-1)?.at ?? 0;
    const floor = height - BOTTOM_PX;
    const highest = this.samples.reduce((most, sample) => Math.max(most, sample.age), 0);
    this.ceiling = Math.max(50, roundUp(highest * 1.08));
    const x = (at) => LEFT_PX + (1 - (now - at) / WINDOW_MS) * (width - LEFT_PX - 2);
    const y = (age) => floor - (age / this.ceiling) * (floor - TOP_PX);
    this.drawGrid(context, width, floor, y);
    if (this.samples.length > 1) {
      this.drawLine(context, x, y, floor);
      this.drawDrops(context, x, floor);
    }
    this.drawPointer(context, x, y, floor);
  }

  drawGrid(context, width, floor, y) {
    context.strokeStyle = themed("--line");
    context.fillStyle = themed("--ink-faint");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const part of [0, 0.5, 1]) {
      const row = Math.round(y(part * this.ceiling)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT_PX, row);
      context.lineTo(width, row);
      context.stroke();
      context.fillText(part ? milliseconds(part * this.ceiling) : "0", LEFT_PX - 8, row);
    }
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillText("60 s ago", LEFT_PX, floor + 16);
    context.textAlign = "right";
    context.fillText("now", width - 2, floor + 16);
  }

  drawLine(context, x, y, floor) {
    const from = this.samples.at(-1).at - WINDOW_MS;
    const shown = this.samples.filter((sample) => sample.at >= from);
    const path = new Path2D();
    let last = null;
    let begun = x(shown[0].at);
    const area = new Path2D();
    const close = () => { area.lineTo(x(last.at), floor); area.lineTo(begun, floor); area.closePath(); };
    for (const sample of shown) {
      const fresh = !last || sample.at - last.at > 1500; // a pause is a gap, not a line
      if (fresh && last) close();
      if (fresh) { begun = x(sample.at); area.moveTo(begun, y(sample.age)); path.moveTo(begun, y(sample.age)); }
      else { path.lineTo(x(sample.at), y(sample.age)); area.lineTo(x(sample.at), y(sample.age)); }
      last = sample;
    }
    close();
    const shade = context.createLinearGradient(0, TOP_PX, 0, floor);
    shade.addColorStop(0, themed("--chart-fill"));
    shade.addColorStop(1, "transparent");
    context.fillStyle = shade;
    context.fill(area);
    context.strokeStyle = themed("--accent");
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.stroke(path);
  }

  drawDrops(context, x, floor) {
    context.fillStyle = themed("--warn");
    for (const drop of this.drops) {
      const column = x(drop.at);
      if (column >= LEFT_PX) context.fillRect(column - 1, floor - Math.min(14, 3 + drop.count), 2, Math.min(14, 3 + drop.count));
    }
  }

  drawPointer(context, x, y, floor) {
    const near = this.pointer === null ? null : this.samples.reduce((best, sample) => (!best || Math.abs(x(sample.at) - this.pointer) < Math.abs(x(best.at) - this.pointer) ? sample : best), null);
    this.tip.hidden = !near;
    if (!near) return;
    const column = x(near.at);
    context.strokeStyle = themed("--ink-faint");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(column, TOP_PX);
    context.lineTo(column, floor);
    context.stroke();
    context.fillStyle = themed("--accent");
    context.beginPath();
    context.arc(column, y(near.age), 3.5, 0, 7);
    context.fill();
    this.tip.textContent = `${milliseconds(near.age)}, ${((this.samples.at(-1).at - near.at) / 1000).toFixed(1)} s ago`;
    placeTip(this.tip, column, this.canvas.clientWidth);
  }
}

/** Put a tip beside a column of its chart, on the side where there is room. */
export function placeTip(tip, column, width) {
  const room = tip.offsetWidth + 14;
  tip.style.left = `${column + room > width ? Math.max(0, column - room) : column + 12}px`;
}

// Source and result on top of each other, in step, with a seam that slides: the result leads, the source follows.

import { announce, byId, clock, toggleFull } from "./dom.js";
import { everyFrame } from "./frames.js";

const JUMP_SECONDS = 0.25; // further apart than this: jump
const DRIFT_SECONDS = 0.025; // less: leave alone; between: a little faster or slower

export class Compare {
  /** `onTime(seconds)` hears of every new position. */
  constructor(onTime) {
    this.onTime = onTime;
    this.box = byId("compare-box");
    this.stage = byId("compare");
    this.result = byId("compare-result");
    this.source = byId("compare-source");
    this.slider = byId("compare-slider");
    this.seek = byId("seek");
    this.listen();
    this.slide();
  }

  listen() {
    const { result, source, slider, seek } = this;
    slider.addEventListener("input", () => this.slide());
    for (const element of [slider, seek]) {
      element.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); this.toggle(); } });
    }
    byId("play").addEventListener("click", () => this.toggle());
    byId("compare-full").addEventListener("click", () => toggleFull(this.stage));
    seek.addEventListener("input", () => this.to(Number(seek.value)));
    result.addEventListener("play", () => { source.play().catch(() => {}); this.showPlaying(true); });
    result.addEventListener("pause", () => { source.pause(); this.align(true); this.showPlaying(false); });
    result.addEventListener("seeked", () => this.align(true));
    result.addEventListener("loadedmetadata", () => this.fitStage());
    result.addEventListener("timeupdate", () => this.show());
    source.addEventListener("loadedmetadata", () => this.align(true));
    everyFrame(result, () => { this.align(false); this.show(); });
  }

  /** Show two videos, from a time in seconds on. */
  open(sourceUrl, resultUrl, at = 0) {
    this.source.src = sourceUrl;
    this.result.src = resultUrl;
    if (at) this.result.addEventListener("loadedmetadata", () => this.to(Math.min(at, this.result.duration)), { once: true });
    this.box.hidden = false;
  }

  /** Take both videos away. */
  close() {
    for (const video of [this.source, this.result]) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    this.box.hidden = true;
  }

  /** Seek both. */
  to(seconds) {
    this.result.currentTime = seconds;
    this.source.currentTime = seconds;
    this.show(seconds);
  }

  /** Play or pause both. */
  toggle() {
    if (!this.result.src) return;
    if (this.result.paused) {
      if (this.result.ended) this.to(0);
      this.result.play().catch((error) => announce(`The video does not play: ${error.message}`));
    } else this.result.pause();
  }

  align(exactly) {
    const { result, source } = this;
    const apart = source.currentTime - result.currentTime;
    if (exactly ? Math.abs(apart) > 0.001 : Math.abs(apart) > JUMP_SECONDS) source.currentTime = result.currentTime;
    source.playbackRate = !exactly && Math.abs(apart) > DRIFT_SECONDS && Math.abs(apart) <= JUMP_SECONDS ? (apart > 0 ? 0.92 : 1.08) : 1;
  }

  fitStage() {
    this.stage.style.setProperty("--ratio", String(this.result.videoWidth / this.result.videoHeight));
    this.seek.max = String(this.result.duration || 0);
    this.show();
  }

  slide() {
    this.stage.style.setProperty("--seam", `${this.slider.value}%`);
    this.slider.setAttribute("aria-valuetext", `${this.slider.value} % source`);
  }

  show(seconds = this.result.currentTime) {
    const duration = this.result.duration || 0;
    this.seek.value = String(seconds);
    this.seek.style.setProperty("--part", `${duration ? (100 * seconds) / duration : 0}%`);
    this.seek.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(duration)}`);
    byId("clock").textContent = `${clock(seconds)} / ${clock(duration)}`;
    this.onTime(seconds);
  }

  showPlaying(playing) {
    const button = byId("play");
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    button.querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
  }
}

// The Streams tab: a tile for every stream of the server, by WebRTC, or as MJPEG where that does not come through.

import { call, farewell, isGone } from "./api.js";
import { Changes } from "./changes.js";
import { byId, chip, milliseconds, toggleFull } from "./dom.js";
import { everyFrame } from "./frames.js";
import { Legend } from "./legend.js";
import { negotiate } from "./peer.js";
import { SettingsForm } from "./settings.js";

const POLL_MS = 1000;
const FIRST_PICTURE_MS = 6000;
const WORDS = { idle: "Idle", connecting: "Connecting", live: "Live", stalled: "Stalled", reconnecting: "Reconnecting", frozen: "Frozen picture", ended: "Ended", failed: "Failed" };

/** Which way pictures come: "?streams=mjpeg" in the address asks for the fallback at once. */
const wayAsked = new URLSearchParams(location.search).get("streams");

class Tile {
  constructor({ name, settings }, models) {
    this.name = name;
    this.element = byId("tile-template").content.firstElementChild.cloneNode(true);
    this.element.dataset.stream = name;
    this.element.querySelector("h2").textContent = name;
    this.video = this.element.querySelector("video");
    this.image = this.element.querySelector("img");
    this.stage = this.element.querySelector(".stage");
    this.video.setAttribute("aria-label", `Stream ${name}`);
    this.image.alt = `Stream ${name}`;
    this.field = Object.fromEntries([...this.element.querySelectorAll("[data-field]")].map((one) => [one.dataset.field, one]));
    this.form = new SettingsForm(this.field.settings, { prefix: `stream-${name}-`, onChange: (subset) => this.changes.add(subset) });
    this.legend = new Legend(this.field.legend, (hidden) => this.form.change({ hidden }));
    this.changes = new Changes(
      (subset) => call("PATCH", this.path, { json: subset }),
      (answer) => { this.form.set(answer); this.form.problem(""); this.showLegend(); },
      (error) => { this.form.problem(error.message); this.showLegend(); },
    );
    this.field.full.addEventListener("click", () => toggleFull(this.stage));
    this.image.addEventListener("load", () => this.shown());
    this.image.addEventListener("error", () => { if (this.way === "mjpeg") this.retry = setTimeout(() => this.playMjpeg(), 3000); });
    this.form.setModels(models, settings);
    this.showLegend();
  }

  get path() {
    return `/api/streams/${encodeURIComponent(this.name)}`;
  }

  showLegend() {
    const { model } = this.form;
    if (!model) return;
    const named = model.classes.map((name, k) => ({ name, color: model.palette[k] })).filter(({ name }) => name !== "background");
    this.legend.show(named, this.form.value.hidden || []);
  }

  /** Begin to show pictures. */
  play() {
    if (this.way) return;
    if (wayAsked === "mjpeg" || !window.RTCPeerConnection) this.playMjpeg();
    else this.playWebRtc();
  }

  async playWebRtc() {
    this.setWay("webrtc");
    const connection = new RTCPeerConnection();
    this.connection = connection;
    connection.addTransceiver("video", { direction: "recvonly" });
    connection.addEventListener("track", ({ track, receiver }) => {
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      this.video.srcObject = new MediaStream([track]);
      this.video.play().catch(() => {});
      this.endFrames = everyFrame(this.video, () => this.shown());
    });
    connection.addEventListener("connectionstatechange", () => {
      if (this.connection === connection && ["failed", "closed"].includes(connection.connectionState)) this.fallBack();
    });
    try {
      const { viewer } = await negotiate(connection, (offer) => call("POST", `${this.path}/offer`, { json: offer }));
      if (this.connection === connection) this.viewer = viewer;
      else farewell(`/api/viewers/${encodeURIComponent(viewer)}`);
    } catch {
      if (this.connection === connection) this.fallBack();
    }
  }

  fallBack() {
    if (this.way !== "webrtc") return;
    this.stop();
    if (!isGone()) this.playMjpeg(); // gone: the next poll that works begins anew
  }

  playMjpeg() {
    this.setWay("mjpeg");
    this.image.src = `/stream/${encodeURIComponent(this.name)}.mjpg?at=${Date.now()}`;
  }

  setWay(way) {
    this.way = way;
    this.field.way.textContent = way === "mjpeg" ? "MJPEG" : "WebRTC";
    this.element.dataset.way = way;
    this.video.hidden = way === "mjpeg";
    this.image.hidden = way !== "mjpeg";
    this.stage.dataset.state = "connecting";
  }

  shown() {
    this.stage.dataset.state = "live";
    const width = this.way === "mjpeg" ? this.image.naturalWidth : this.video.videoWidth;
    const height = this.way === "mjpeg" ? this.image.naturalHeight : this.video.videoHeight;
    if (height) this.stage.style.setProperty("--ratio", String(width / height));
  }

  /** Stop showing; nothing goes over the network any more. */
  stop() {
    clearTimeout(this.retry);
    this.endFrames?.();
    const { connection, viewer } = this;
    const told = viewer && !isGone() ? farewell(`/api/viewers/${encodeURIComponent(viewer)}`) : Promise.resolve();
    told.finally(() => connection?.close());
    this.connection = this.viewer = this.way = null;
    this.video.srcObject = null;
    this.image.removeAttribute("src");
  }

  /** Fall back where the server has pictures and none comes through; a source without any is not WebRTC's fault. */
  judge(state) {
    const waiting = this.way === "webrtc" && this.stage.dataset.state !== "live" && state === "live";
    if (!waiting) this.waitingSince = null;
    else if (performance.now() - (this.waitingSince ??= performance.now()) > FIRST_PICTURE_MS) this.fallBack();
  }

  /** Show what the server says of this stream. */
  show({ state, detail, fps, frame_age_ms: age }) {
    chip(this.field.state, state, WORDS[state] || state);
    this.judge(state);
    this.element.dataset.state = state;
    this.stage.querySelector(".stage-wait p").textContent = state === "live" ? WORDS.connecting : WORDS[state] || state;
    const number = typeof age === "object" ? age?.last : age;
    this.field.detail.textContent = detail || "";
    this.field.detail.title = detail || "";
    this.field.fps.textContent = fps > 0 ? `${fps.toFixed(1)} fps` : "";
    this.field.age.textContent = Number.isFinite(number) ? `${milliseconds(number)} old` : "";
  }
}

export class StreamsTab {
  constructor() {
    this.tiles = new Map();
    this.visible = false;
    addEventListener("pagehide", () => this.leave());
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.visible && this.enter()));
  }

  setInfo(info) {
    this.models = info.models;
    if (this.visible) this.enter();
  }

  /** The tab is shown: pictures flow. */
  enter() {
    this.visible = true;
    clearInterval(this.timer);
    this.timer = setInterval(() => this.poll(), POLL_MS);
    this.poll();
  }

  /** The tab is left: nothing flows, so the server may rest. */
  leave() {
    this.visible = false;
    this.rest();
  }

  rest() {
    clearInterval(this.timer);
    for (const tile of this.tiles.values()) tile.stop();
  }

  async poll() {
    if (!this.models || this.polling) return;
    this.polling = true;
    try {
      const list = await call("GET", "/api/streams");
      if (this.visible) this.show(list);
    } catch { /* the banner says that the server is gone */ }
    this.polling = false;
  }

  show(list) {
    byId("no-streams").hidden = list.length > 0;
    byId("streams").dataset.count = Math.min(list.length, 3);
    const names = new Set(list.map(({ name }) => name));
    for (const [name, tile] of this.tiles) {
      if (names.has(name)) continue;
      tile.stop();
      tile.element.remove();
      this.tiles.delete(name);
    }
    for (const stream of list) {
      if (!this.tiles.has(stream.name)) {
        const tile = new Tile(stream, this.models);
        this.tiles.set(stream.name, tile);
        byId("streams").append(tile.element);
      }
      const tile = this.tiles.get(stream.name);
      tile.show(stream);
      tile.play();
    }
  }
}

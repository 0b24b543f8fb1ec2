// The Camera tab: start and stop, live settings, what is measured, snapshot and recording.

import { ApiError, isGone, server } from "./api.js";
import { Ages } from "./ages.js";
import { Changes } from "./changes.js";
import { Capture, cameras, cameraSentence } from "./capture.js";
import { LiveChart } from "./chart.js";
import { Dock } from "./dock.js";
import { announce, byId, chip, clock, make, milliseconds, notice, save, stampForName, toggleFull } from "./dom.js";
import { everyFrame } from "./frames.js";
import { drawCropped, Recording, snapshot } from "./record.js";
import { CameraSession } from "./session.js";
import { SettingsForm } from "./settings.js";
import { StripReader } from "./strip.js";

const SHOW_MS = 250;
const STALL_MS = 2000;
const LONGEST_AGE_MS = 60000;
const RETRY_TO_MS = 8000;
const STATE_WORDS = {
  idle: "Off", asking: "Waiting for permission", connecting: "Connecting", live: "Live", stalled: "Waiting for pictures", reconnecting: "Reconnecting",
};

export class CameraTab {
  constructor() {
    this.result = byId("result");
    this.ages = new Ages();
    this.reader = new StripReader();
    this.chart = new LiveChart(byId("chart"), byId("chart").parentElement.querySelector(".tip"));
    this.form = new SettingsForm(byId("camera-settings"), { onChange: (subset) => this.changed(subset) });
    this.dock = new Dock(byId("effect-dock"), (effect) => this.form.change({ effect }));
    this.changes = new Changes(
      (subset) => this.session?.change(subset),
      (settings) => { this.form.set(settings); this.form.problem(""); this.showDock(); },
      (error) => this.form.problem(error.status ? error.message : ""),
    );
    this.state = "idle";
    this.listen();
    this.setState("idle");
    this.chart.draw();
  }

  /** Take what the server has. */
  setInfo(info) {
    const people = info.models.filter((model) => model.task === "matte");
    this.form.setModels([...people, ...info.models.filter((model) => model.task !== "matte")], this.form.models.length ? this.form.value : info.settings);
    this.showDock();
  }

  listen() {
    byId("start").addEventListener("click", () => this.start());
    byId("stop").addEventListener("click", () => this.stop());
    byId("snapshot").addEventListener("click", () => this.takeSnapshot());
    byId("record").addEventListener("click", () => (this.recording ? this.endRecording() : this.beginRecording()));
    byId("mirror").addEventListener("click", () => this.mirror());
    byId("fullscreen").addEventListener("click", () => toggleFull(byId("camera-box")));
    for (const id of ["camera-device", "camera-size"]) byId(id).addEventListener("change", () => this.capture && this.restart());
    server.addEventListener("back", () => this.state === "reconnecting" && this.reconnectNow?.());
    addEventListener("pagehide", () => this.session?.close());
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.capture && this.listCameras());
  }

  setState(state) {
    if (this.state !== state) announce(`Camera: ${STATE_WORDS[state]}`);
    this.state = state;
    byId("camera-stage").dataset.state = state;
    chip(byId("camera-state"), state, STATE_WORDS[state]);
    const live = state === "live" || state === "stalled";
    byId("stop").disabled = state === "idle";
    byId("snapshot").disabled = !live;
    byId("record").disabled = !live && !this.recording;
    byId("camera-stage").querySelector(".stage-wait p").textContent = STATE_WORDS[state];
  }

  async start() {
    if (this.state !== "idle") return;
    notice(byId("camera-error"), "");
    this.setState("asking");
    const [width, height] = byId("camera-size").value.split("x").map(Number);
    const capture = new Capture();
    this.capture = capture;
    try {
      await capture.open(byId("own"), { deviceId: byId("camera-device").value, width, height });
    } catch (error) {
      capture.close();
      if (this.capture === capture) this.fail(cameraSentence(error));
      return;
    }
    if (this.capture !== capture) return capture.close(); // stopped while the browser asked
    capture.addEventListener("lost", () => this.fail("The camera was unplugged or taken away. Plug it in, then start again."));
    this.listCameras();
    byId("stop").focus({ preventScroll: true });
    this.wait = 500;
    await this.connect();
  }

  async connect() {
    const { capture } = this;
    if (!capture) return;
    this.setState(this.state === "reconnecting" ? "reconnecting" : "connecting");
    const session = new CameraSession();
    this.session = session;
    session.addEventListener("lost", () => this.session === session && this.reconnect());
    session.addEventListener("stats", (event) => this.takeStats(event.detail));
    this.changes.clear();
    try {
      const settings = await session.open(capture, this.result, this.form.value);
      if (this.session !== session) return session.close();
      this.wait = 500;
      this.form.set(settings);
      this.form.problem("");
      this.showDock();
      this.begin(capture);
    } catch (error) {
      if (this.session !== session) return;
      const forGood = error instanceof ApiError && error.status >= 400 && error.status < 500 && ![408, 409, 425, 429].includes(error.status);
      if (forGood) this.fail(error.message);
      else this.reconnect(error instanceof ApiError ? error.message : "The connection to the server failed.");
    }
  }

  begin(capture) {
    this.endFrames?.();
    this.ages.clear();
    this.dropped = null;
    this.lastShown = performance.now();
    this.endFrames = everyFrame(this.result, (now, metadata) => this.takeFrame(capture, now, metadata));
    clearInterval(this.ticker);
    this.ticker = setInterval(() => this.showNumbers(), SHOW_MS);
  }

  reconnect(reason = "") {
    if (!this.capture) return;
    if (this.state === "live" || this.state === "stalled") drawCropped(byId("held"), this.result, this.capture.shownPart); // held while it is away
    this.session?.close();
    this.session = null;
    this.endFrames?.(); // a last picture may still come; it is not a sign of life
    this.endFrames = null;
    this.setState("reconnecting");
    notice(byId("camera-error"), reason && !isGone() ? `${reason} Trying again.` : "");
    clearTimeout(this.retry);
    this.reconnectNow = () => { clearTimeout(this.retry); this.reconnectNow = null; this.connect(); };
    this.retry = setTimeout(() => !isGone() && this.reconnectNow?.(), this.wait); // while it is gone, "back" wakes this
    this.wait = Math.min(RETRY_TO_MS, this.wait * 2);
  }

  fail(sentence) {
    this.stop();
    notice(byId("camera-error"), sentence);
  }

  stop() {
    if (this.recording) this.endRecording();
    clearTimeout(this.retry);
    clearInterval(this.ticker);
    this.endFrames?.();
    const { session, capture } = this;
    this.session = this.capture = this.endFrames = null;
    session?.close();
    capture?.close();
    this.result.srcObject = null;
    notice(byId("camera-error"), "");
    const hadFocus = document.activeElement === byId("stop");
    this.setState("idle");
    if (hadFocus) byId("start").focus({ preventScroll: true });
  }

  async restart() {
    this.stop();
    await this.start();
  }

  takeFrame(capture, now, metadata) {
    this.lastShown = performance.now();
    if (this.state !== "live") { this.fitStage(capture); this.setState("live"); notice(byId("camera-error"), ""); }
    const stamp = this.reader.read(this.result, capture.height);
    const shownAt = Math.max(performance.now(), metadata.expectedDisplayTime || 0); // when light leaves the glass
    const age = stamp === null ? null : shownAt - stamp;
    const sane = age !== null && age >= 0 && age < LONGEST_AGE_MS ? age : null;
    this.ages.add(shownAt, sane);
    if (sane !== null) this.chart.add(shownAt, sane);
  }

  fitStage(capture) {
    const stage = byId("camera-stage");
    const { shownPart } = capture;
    stage.style.setProperty("--ratio", String(this.result.videoWidth / (this.result.videoHeight * shownPart)));
    stage.style.setProperty("--grow", `${100 / shownPart}%`);
    if (byId("mirror").getAttribute("aria-pressed") === "true") stage.classList.add("mirrored");
  }

  takeStats(stats) {
    this.stats = stats;
    const total = Object.values(stats.dropped || {}).reduce((sum, count) => sum + count, 0);
    if (this.dropped !== null && total > this.dropped) this.chart.addDrops(performance.now(), total - this.dropped);
    this.dropped = total;
    const causes = Object.entries(stats.dropped || {}).filter(([, count]) => count);
    byId("drop-causes").textContent = causes.length ? `Dropped: ${causes.map(([cause, count]) => `${count} ${cause.replaceAll("_", " ")}`).join(", ")}` : "";
    const inServer = stats.frame_age_ms?.p50;
    byId("engine-line").textContent = [
      Number.isFinite(stats.infer_ms) ? `inference ${stats.infer_ms.toFixed(1)} ms` : "",
      Number.isFinite(inServer) ? `in the server ${milliseconds(inServer)}` : "",
      this.capture && `${this.result.videoWidth} × ${Math.round(this.result.videoHeight * this.capture.shownPart)}`,
    ].filter(Boolean).join(" · ");
  }

  showNumbers() {
    const now = performance.now();
    if (this.state === "live" && now - this.lastShown > STALL_MS) this.setState("stalled");
    const fps = this.ages.fps(now);
    const numbers = { fps, age: this.ages.recent(now), p50: this.ages.percentile(0.5), p99: this.ages.percentile(0.99) };
    byId("fps").textContent = fps ? fps.toFixed(1) : "0";
    for (const id of ["age", "p50", "p99"]) byId(id).textContent = numbers[id] === null ? "–" : milliseconds(numbers[id]);
    byId("drops").textContent = this.dropped ?? "–";
    const { dataset } = byId("stats");
    for (const [id, value] of Object.entries(numbers)) dataset[id] = value === null ? "" : value.toFixed(2);
    Object.assign(dataset, { unread: this.ages.unread, drops: this.dropped ?? "", state: this.state });
    if (this.recording) byId("record-time").lastElementChild.textContent = clock(this.recording.seconds);
  }

  changed(subset) {
    this.showDock();
    if (this.session?.id) this.changes.add(subset);
  }

  showDock() {
    this.dock.show(this.form.model?.effects || [], this.form.value.effect);
  }

  mirror() {
    const button = byId("mirror");
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    byId("camera-stage").classList.toggle("mirrored", on);
  }

  async listCameras() {
    const select = byId("camera-device");
    const chosen = this.capture?.camera?.getVideoTracks()[0]?.getSettings().deviceId || select.value;
    const found = await cameras();
    if (!found.length) return;
    select.replaceChildren(...found.map(([id, name]) => new Option(name, id)));
    if (found.some(([id]) => id === chosen)) select.value = chosen;
  }

  async takeSnapshot() {
    try {
      save(await snapshot(this.result, this.capture.shownPart), `rtseg-${stampForName()}.png`);
      announce("Snapshot saved");
      this.flash();
    } catch (error) {
      notice(byId("camera-error"), `The snapshot failed: ${error.message}`);
    }
  }

  flash() {
    const light = make("div", { className: "flash" });
    light.addEventListener("animationend", () => light.remove());
    setTimeout(() => light.remove(), 600);
    byId("camera-stage").append(light);
  }

  beginRecording() {
    try {
      this.recording = new Recording(this.result, this.capture.shownPart);
    } catch (error) {
      notice(byId("camera-error"), error.message);
      return;
    }
    this.showRecording(true);
    announce("Recording");
  }

  async endRecording() {
    const { recording } = this;
    this.recording = null;
    this.showRecording(false);
    const { blob, extension } = await recording.stop();
    save(blob, `rtseg-${stampForName()}.${extension}`);
    announce("Recording saved");
  }

  showRecording(on) {
    const button = byId("record");
    button.setAttribute("aria-pressed", String(on));
    button.title = on ? "Finish the recording and save it" : "";
    button.lastElementChild.textContent = on ? "Finish" : "Record";
    byId("record-time").hidden = !on;
    byId("record-time").lastElementChild.textContent = "0:00";
  }
}

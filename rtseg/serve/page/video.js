// The Video tab: a file goes up, is rendered, and is watched beside its source, with its classes over time.

import { call, upload } from "./api.js";
import { Compare } from "./compare.js";
import { announce, byId, bytes, clock, icon, make, notice } from "./dom.js";
import { Legend } from "./legend.js";
import { effectName, SettingsForm } from "./settings.js";
import { Timeline } from "./timeline.js";

const POLL_MS = 400;
const POLL_GONE_MS = 1500;
const OVER = ["done", "failed", "cancelled"];
const FILES = [
  ["result.mp4", "Video", "MP4, H.264", ["result", "result.mp4", "video"]],
  ["masks.zip", "Masks", "indexed PNG, ZIP", ["masks", "masks.zip"]],
  ["shares.csv", "Class shares", "CSV", ["csv", "shares.csv", "shares"]],
  ["shares.parquet", "Class shares", "Parquet", ["parquet", "shares.parquet"]],
];

export class VideoTab {
  /** `onFile()` is called when a file was dropped anywhere, to bring this tab to the front. */
  constructor(onFile) {
    this.onFile = onFile;
    this.form = new SettingsForm(byId("video-settings"), { prefix: "video-", onChange: () => this.showApply() });
    this.compare = new Compare((seconds) => this.takeTime(seconds));
    this.timeline = new Timeline(byId("timeline"), byId("timeline").parentElement.querySelector(".tip"), {
      onSeek: (seconds) => this.compare.to(seconds), onPlay: () => this.compare.toggle(),
    });
    this.legend = new Legend(byId("legend"), (hidden) => this.hide(hidden));
    this.limitMb = Infinity;
    this.listen();
  }

  /** Take what the server has. */
  setInfo(info) {
    this.limitMb = info.limits?.upload_mb ?? Infinity;
    byId("upload-limit").textContent = Number.isFinite(this.limitMb) ? `Up to ${this.limitMb} MB.` : "";
    const road = info.models.filter((model) => model.task !== "matte");
    this.form.setModels([...road, ...info.models.filter((model) => model.task === "matte")], this.form.models.length ? this.form.value : null);
    this.resume();
  }

  listen() {
    const zone = byId("drop-zone");
    const file = byId("file");
    file.addEventListener("change", () => { if (file.files[0]) this.take(file.files[0]); file.value = ""; });
    document.addEventListener("dragover", (event) => {
      event.preventDefault(); // else the browser would leave the page for the file
      zone.classList.add("over");
    });
    document.addEventListener("dragleave", (event) => !event.relatedTarget && zone.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      if (!event.dataTransfer.files[0]) return;
      this.onFile();
      this.take(event.dataTransfer.files[0]);
    });
    byId("job-cancel").addEventListener("click", () => this.cancel());
    byId("job-again").addEventListener("click", () => this.reset());
    byId("render").addEventListener("click", () => this.renderAgain());
  }

  /** Upload a file and follow its job. */
  async take(file) {
    if (this.uploading || (this.job && !OVER.includes(this.job.state))) return notice(byId("video-error"), "A video is being rendered. Cancel it or wait for it.");
    if (file.size > this.limitMb * 1e6) return notice(byId("video-error"), `${file.name} has ${bytes(file.size)}; this server takes up to ${this.limitMb} MB. Cut it, or use rtseg run.`);
    if (!file.size) return notice(byId("video-error"), `${file.name} is empty.`);
    this.reset();
    this.showJob(file.name, "Uploading", 0);
    this.showPreview(URL.createObjectURL(file));
    announce(`Uploading ${file.name}`);
    const query = `name=${encodeURIComponent(file.name)}&settings=${encodeURIComponent(JSON.stringify(this.form.value))}`;
    const sending = upload(`/api/videos?${query}`, file, (part) => this.showJob(file.name, `Uploading, ${bytes(file.size * part)} of ${bytes(file.size)}`, part));
    this.uploading = sending;
    try {
      const { job } = await sending.promise;
      this.uploading = null;
      await this.follow(job);
    } catch (error) {
      this.uploading = null;
      this.reset();
      notice(byId("video-error"), error.message);
    }
  }

  /** Follow a job of the server to its end. */
  async follow(id) {
    this.following = id;
    this.rendering = { ...this.form.value };
    sessionStorage.setItem("rtseg-job", id);
    for (;;) {
      let job;
      try {
        job = await call("GET", `/api/videos/${encodeURIComponent(id)}`);
      } catch (error) {
        if (this.following !== id) return;
        if (error.status) return this.failed(id, error.message);
        await new Promise((resolve) => setTimeout(resolve, POLL_GONE_MS)); // the banner says that the server is gone
        continue;
      }
      if (this.following !== id) return;
      this.job = job;
      if (OVER.includes(job.state)) return this.finish(job);
      this.showProgress(job);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Show the video itself while it is being rendered, where the browser can play it. */
  showPreview(url) {
    const preview = byId("preview");
    preview.onloadeddata = () => {
      byId("preview-box").style.setProperty("--ratio", String(preview.videoWidth / preview.videoHeight || 1.7778));
      byId("preview-box").hidden = !preview.videoWidth || Boolean(this.shown);
    };
    preview.src = url;
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) preview.play().catch(() => {});
  }

  hidePreview() {
    const preview = byId("preview");
    byId("preview-box").hidden = true;
    if (preview.src.startsWith("blob:")) URL.revokeObjectURL(preview.src);
    preview.removeAttribute("src");
    preview.load();
  }

  showProgress(job) {
    const { frames_done: done, frames_expected: expected, fps } = job;
    if (job.state === "queued") return this.showJob(job.name, "Waiting for its turn", null);
    const left = expected && fps ? `, ${clock(Math.ceil((expected - done) / fps))} left` : "";
    this.showJob(job.name, `Rendering, frame ${done}${expected ? ` of ${expected}` : ""}${fps ? `, ${fps.toFixed(1)} fps` : ""}${left}`, expected ? done / expected : null);
  }

  async finish(job) {
    if (job.state === "failed") return this.failed(job.job, job.error || "The video could not be rendered.");
    if (job.state === "cancelled") return this.reset();
    this.shown = { id: job.job, settings: { ...(job.settings || this.rendering) } };
    if (job.settings) this.form.set(job.settings);
    this.showJob(job.name, this.summary(job), 1);
    this.hidePreview();
    byId("job").classList.add("over");
    byId("job-cancel").hidden = true;
    byId("job-again").hidden = false;
    announce(`${job.name} is ready`);
    const base = `/api/videos/${encodeURIComponent(job.job)}`;
    this.renders = (this.renders || 0) + 1;
    this.compare.open(`${base}/source.mp4`, `${base}/result.mp4?render=${this.renders}`, this.keepPlace || 0);
    this.keepPlace = 0;
    this.showDownloads(base, job.has || {});
    await this.showShares(base, job);
    this.showApply();
  }

  summary(job) {
    const settings = this.shown.settings;
    return [`${job.frames_done} frames`, job.duration_seconds ? clock(job.duration_seconds) : "", job.fps ? `${job.fps.toFixed(1)} fps` : "", settings.model, effectName(settings.effect)].filter(Boolean).join(" · ");
  }

  showDownloads(base, has) {
    const missing = (keys) => keys.some((key) => has[key] === false);
    const links = FILES.filter(([, , , keys]) => !missing(keys)).map(([file, title, kind]) => {
      const stem = (this.job.name || "video").replace(/\.[^.]*$/, "");
      return make("li", {}, make("a", { href: `${base}/${file}`, download: `${stem}-${file}`, data: { file } }, icon("download"), make("span", { textContent: title }), make("span", { className: "faint", textContent: kind })));
    });
    byId("downloads").querySelector("ul").replaceChildren(...links);
    byId("downloads").hidden = !links.length;
  }

  async showShares(base, job) {
    try {
      const shares = await call("GET", `${base}/shares.json`);
      if (!shares.times.length) return;
      byId("shares").hidden = false;
      this.timeline.setShares(shares, job.duration_seconds);
      const hidden = this.shown.settings.hidden || [];
      this.timeline.setHidden(hidden);
      this.legend.show(this.timeline.order.map((k) => ({ name: shares.classes[k], color: shares.palette[k], share: "" })), hidden);
      this.takeTime(this.compare.result.currentTime || 0);
    } catch (error) {
      byId("shares").hidden = true;
      notice(byId("video-error"), `The class shares could not be read. ${error.message}`);
    }
  }

  takeTime(seconds) {
    if (!this.timeline?.shares) return;
    this.timeline.setSeconds(seconds);
    const row = this.timeline.rowAt(seconds);
    if (row) this.legend.setShares(Object.fromEntries(this.timeline.shares.classes.map((name, k) => [name, row[k]])));
  }

  hide(hidden) {
    this.timeline.setHidden(hidden);
    this.form.set({ hidden });
    this.showApply();
  }

  /** Offer to render again when what is chosen is no longer what is shown. */
  showApply() {
    const plain = ({ model, effect, strength, background, color, smoothing, hidden }) =>
      JSON.stringify([model, effect, smoothing, effect === "blur" && strength, effect === "replace" && [background, !background && color], [...(hidden || [])].sort()]);
    byId("apply").hidden = !this.shown || plain(this.form.value) === plain(this.shown.settings);
  }

  async renderAgain() {
    const { id } = this.shown;
    byId("apply").hidden = true;
    notice(byId("video-error"), "");
    try {
      const { job } = await call("POST", `/api/videos/${encodeURIComponent(id)}/render`, { json: this.form.value });
      byId("job").classList.remove("over");
      byId("job-cancel").hidden = false;
      byId("job-again").hidden = true;
      this.keepPlace = this.compare.result.currentTime;
      this.compare.close(); // the old result is gone from the server's disk by now
      this.shown = null;
      this.showPreview(`/api/videos/${encodeURIComponent(id)}/source.mp4`);
      await this.follow(job);
    } catch (error) {
      notice(byId("video-error"), error.message);
      this.showApply();
    }
  }

  async cancel() {
    if (this.uploading) return this.uploading.cancel();
    const id = this.following;
    this.following = null;
    await call("DELETE", `/api/videos/${encodeURIComponent(id)}`).catch(() => {});
    announce("Cancelled");
    this.reset();
  }

  failed(id, sentence) {
    this.reset();
    notice(byId("video-error"), sentence);
  }

  /** Back to the empty tab. */
  reset() {
    this.following = this.shown = this.job = null;
    this.keepPlace = 0;
    sessionStorage.removeItem("rtseg-job");
    notice(byId("video-error"), "");
    this.compare.close();
    this.hidePreview();
    this.timeline.shares = null;
    this.form.set({ hidden: [] });
    for (const id of ["job", "shares", "downloads", "apply", "job-again"]) byId(id).hidden = true;
    byId("job").classList.remove("over");
    byId("job-cancel").hidden = false;
    byId("drop-zone").hidden = false;
  }

  showJob(name, detail, part) {
    byId("drop-zone").hidden = true;
    byId("job").hidden = false;
    byId("job-name").textContent = name;
    byId("job-detail").textContent = detail;
    const progress = byId("progress");
    if (part === null) progress.removeAttribute("value");
    else progress.value = part;
  }

  /** After a reload, go on with the job that was there. */
  async resume() {
    const id = sessionStorage.getItem("rtseg-job");
    if (!id || this.following || this.uploading) return;
    try {
      await call("GET", `/api/videos/${encodeURIComponent(id)}`);
    } catch (error) {
      if (error.status) sessionStorage.removeItem("rtseg-job");
      return;
    }
    await this.follow(id);
  }
}


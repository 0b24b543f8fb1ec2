// The browser's camera, with the time strip drawn below every picture on its way to the server.
//
// Between picture and strip lies a margin that continues the picture's last rows, so that a blur has no black and white
// blocks to draw from. Neither is shown: what is seen is the whole picture of the camera, and nothing else.

import { everyFrame } from "./frames.js";
import { STRIP_PX, drawStrip } from "./strip.js";

const OLDEST_CAPTURE_MS = 1000;

/** One plain sentence for why there is no camera, and what to do about it. */
export function cameraSentence(error) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    return "The browser gives no camera to this page: it was opened without https from another machine. Open it as http://127.0.0.1 on the server's machine, or put https before it.";
  }
  switch (error?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return /system/i.test(error.message)
        ? "The operating system refuses the camera to this browser. Allow it in the system's privacy settings, then start again."
        : "The camera was refused. Allow it for this page (the camera sign in the address bar), then start again.";
    case "NotFoundError":
    case "DevicesNotFoundError":
      return "No camera was found. Plug one in, then start again.";
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return "The camera is busy: another program or tab is using it. Close that one, then start again.";
    case "OverconstrainedError":
      return "The chosen camera is not there any more. Choose another one, then start again.";
    default:
      return `The camera did not start: ${error?.message || "the browser did not say why"}. Start again.`;
  }
}

export class Capture extends EventTarget {
  /** Ask for the camera and begin to draw; `video` shows it as it is. Throws the browser's error. */
  async open(video, { deviceId, width, height }) {
    if (!navigator.mediaDevices) throw new DOMException("no mediaDevices", "SecurityError");
    const picture = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30, max: 30 } };
    this.camera = await navigator.mediaDevices.getUserMedia({ audio: false, video: deviceId ? { ...picture, deviceId: { exact: deviceId } } : picture });
    this.video = video;
    video.srcObject = this.camera;
    await video.play().catch(() => {});
    if (!video.videoWidth) await new Promise((resolve) => video.addEventListener("loadedmetadata", resolve, { once: true }));
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.draw(performance.now(), {});
    this.end = everyFrame(video, (now, metadata) => this.draw(now, metadata));
    this.stream = this.canvas.captureStream();
    const [track] = this.stream.getVideoTracks();
    if ("contentHint" in track) track.contentHint = "motion";
    this.camera.getVideoTracks()[0].addEventListener("ended", () => this.dispatchEvent(new Event("lost")));
  }

  draw(now, metadata) {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) return;
    const margin = 2 * Math.round(height / 24);
    const whole = height + margin + STRIP_PX;
    if (this.canvas.width !== width || this.canvas.height !== whole) {
      this.canvas.width = width;
      this.canvas.height = whole;
      this.shownPart = height / whole;
    }
    const taken = metadata.captureTime;
    const stamp = taken > now - OLDEST_CAPTURE_MS && taken <= now ? taken : now; // when the camera had it, where the browser tells
    this.context.drawImage(this.video, 0, 0, width, height);
    this.context.drawImage(this.video, 0, height - 2, width, 2, 0, height, width, margin);
    drawStrip(this.context, width, whole, Math.round(stamp) >>> 0);
  }

  /** Height of what is sent, margin and strip included, in px. */
  get height() {
    return this.canvas.height;
  }

  close() {
    this.end?.();
    for (const stream of [this.camera, this.stream]) for (const track of stream?.getTracks() || []) track.stop();
    if (this.video) this.video.srcObject = null;
  }
}

/** The cameras that the browser tells of, as [id, name]. */
export async function cameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) || [];
  return devices.filter((device) => device.kind === "videoinput" && device.deviceId).map((device, i) => [device.deviceId, device.label.replace(/^.*\//, "") || `Camera ${i + 1}`]);
}

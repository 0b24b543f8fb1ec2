// Snapshot and recording of a video without its time strip, through a canvas: works wherever a canvas has a stream.

import { everyFrame } from "./frames.js";

const TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];

/** Draw the picture of `video` from the top down to `shownPart` (0..1) of its height into `canvas`. */
export function drawCropped(canvas, video, shownPart) {
  const height = 2 * Math.round((video.videoHeight * shownPart) / 2);
  if (canvas.width !== video.videoWidth) canvas.width = video.videoWidth;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d").drawImage(video, 0, 0, video.videoWidth, height, 0, 0, video.videoWidth, height);
}

/** Return the shown picture as a PNG blob. */
export function snapshot(video, shownPart) {
  const canvas = document.createElement("canvas");
  drawCropped(canvas, video, shownPart);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser made no picture."))), "image/png"));
}

/** Records what a video shows until `stop()`, which returns {blob, extension}. */
export class Recording {
  constructor(video, shownPart) {
    if (!window.MediaRecorder) throw new Error("This browser cannot record.");
    const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one));
    if (!type) throw new Error("This browser can record no format that this page knows.");
    this.canvas = document.createElement("canvas");
    drawCropped(this.canvas, video, shownPart);
    this.end = everyFrame(video, () => drawCropped(this.canvas, video, shownPart));
    this.pieces = [];
    this.type = type;
    this.began = performance.now();
    this.recorder = new MediaRecorder(this.canvas.captureStream(), { mimeType: type, videoBitsPerSecond: 8e6 });
    this.recorder.ondataavailable = (event) => event.data.size && this.pieces.push(event.data);
    this.recorder.start(1000);
  }

  get seconds() {
    return (performance.now() - this.began) / 1000;
  }

  stop() {
    this.end();
    return new Promise((resolve) => {
      this.recorder.onstop = () => resolve({ blob: new Blob(this.pieces, { type: this.type.split(";")[0] }), extension: this.type.startsWith("video/mp4") ? "mp4" : "webm" });
      this.recorder.stop();
      for (const track of this.recorder.stream.getTracks()) track.stop();
    });
  }
}

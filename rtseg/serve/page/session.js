// One camera session with the server: pictures out, composited pictures back, statistics beside them.
// It ends by itself with the event "lost" when the server or the network is gone.

import { call, check, farewell } from "./api.js";
import { negotiate, tuneSender } from "./peer.js";

const DISCONNECTED_MS = 3000;
const SILENCE_MS = 4000;
const BITS_PER_PIXEL_SECOND = 5; // 960 x 540: 2.6 Mbit/s

export class CameraSession extends EventTarget {
  /** Connect `capture` and show the result in `video`; resolves once the server has answered. Throws ApiError. */
  async open(capture, video, settings) {
    const connection = new RTCPeerConnection();
    this.connection = connection;
    const { sender } = connection.addTransceiver(capture.stream.getVideoTracks()[0], { direction: "sendrecv", streams: [capture.stream] });
    connection.addEventListener("track", (event) => this.show(event, video));
    connection.addEventListener("connectionstatechange", () => this.watchConnection());
    const channel = connection.createDataChannel("stats");
    channel.addEventListener("message", (event) => {
      this.heard = performance.now();
      this.dispatchEvent(new CustomEvent("stats", { detail: JSON.parse(event.data) }));
    });
    channel.addEventListener("close", () => this.lose());
    this.heard = performance.now();
    this.watch = setInterval(() => this.listen(), 1000);
    try {
      const answer = await negotiate(connection, async (offer) => {
        const said = await call("POST", "/api/camera", { json: { ...offer, settings, strip: true } });
        this.id = said.session;
        return said;
      });
      await tuneSender(sender, capture.canvas.width * capture.canvas.height * BITS_PER_PIXEL_SECOND);
      return answer.settings;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  show({ track, receiver }, video) {
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0; // the newest picture, not the smoothest
    if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
    video.srcObject = new MediaStream([track]);
    video.play().catch(() => {});
  }

  /** Change settings while it runs; returns the whole of them. Throws ApiError. */
  async change(subset) {
    try {
      return await call("PATCH", `/api/camera/${encodeURIComponent(this.id)}`, { json: subset });
    } catch (error) {
      if (error.status === 404) this.lose();
      throw error;
    }
  }

  watchConnection() {
    const state = this.connection.connectionState;
    clearTimeout(this.patience);
    if (state === "failed" || state === "closed") this.lose();
    if (state === "disconnected") this.patience = setTimeout(() => this.lose(), DISCONNECTED_MS);
  }

  async listen() {
    if (performance.now() - this.heard < SILENCE_MS || this.asking) return;
    this.asking = true;
    if (await check()) this.heard = performance.now() - SILENCE_MS / 2; // busy, not gone
    else this.lose();
    this.asking = false;
  }

  lose() {
    if (this.over) return;
    this.id = null; // nobody is there to be told
    this.close();
    this.dispatchEvent(new Event("lost"));
  }

  /** End it; the server is told first, as it would end by itself, and know of no session, once the connection is closed. */
  close() {
    if (this.over) return;
    this.over = true;
    clearInterval(this.watch);
    clearTimeout(this.patience);
    const told = this.id ? farewell(`/api/camera/${encodeURIComponent(this.id)}`) : Promise.resolve();
    told.finally(() => this.connection?.close());
  }
}

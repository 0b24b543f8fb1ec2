// Changes of settings on their way to the server: one request at a time, what changes meanwhile goes together next.

const PAUSE_MS = 60;

export class Changes {
  /** `send(subset)` asks the server and resolves to the whole settings; `onAnswer(settings)` hears the last answer, `onError` why not. */
  constructor(send, onAnswer, onError) {
    Object.assign(this, { send, onAnswer, onError });
    this.pending = {};
    this.busy = false;
  }

  /** Take a change; it is sent once changes have paused for a moment and the one before is answered. */
  add(subset) {
    Object.assign(this.pending, subset);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), PAUSE_MS);
  }

  /** Forget what was not sent. */
  clear() {
    clearTimeout(this.timer);
    this.pending = {};
  }

  async flush() {
    if (this.busy || !Object.keys(this.pending).length) return;
    const subset = this.pending;
    this.pending = {};
    this.busy = true;
    try {
      const settings = await this.send(subset);
      if (settings && !Object.keys(this.pending).length) this.onAnswer(settings);
    } catch (error) {
      this.onError(error);
    }
    this.busy = false;
    this.flush();
  }
}

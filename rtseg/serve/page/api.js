// Talking to the server: one place that turns every failure into one sentence, and one watch over its presence.

const WAIT_MS = 15000;
const RETRY_FROM_MS = 1000;
const RETRY_TO_MS = 8000;

/** A failure with the server's own sentence; status 0 means that nothing answered. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Tells of the server's presence: events "gone" and "back". */
export const server = new EventTarget();
let gone = false;

const token = new URLSearchParams(location.search).get("token");
if (token) history.replaceState(null, "", location.pathname + location.hash); // the cookie has it from here on

const headers = (extra) => ({ ...(token ? { Authorization: `Bearer ${token}` } : {}), ...extra });

function sentence(status, text) {
  try {
    const said = JSON.parse(text).error;
    if (said) return said;
  } catch { /* not JSON: the status has to do */ }
  if (status === 401 || status === 403) return "This server wants its token: open the whole address that rtseg serve printed.";
  return `The server answered with ${status}.`;
}

/** Send JSON (or a raw body given as `raw`) and return what comes back as JSON; throws ApiError. */
export async function call(method, path, { json, raw, type, timeout = WAIT_MS } = {}) {
  const options = { method, credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(timeout) };
  options.headers = headers(raw ? { "Content-Type": type || "application/octet-stream" } : json ? { "Content-Type": "application/json" } : {});
  if (raw || json) options.body = raw || JSON.stringify(json);
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name !== "TimeoutError") lost();
    throw new ApiError(error.name === "TimeoutError" ? "The server takes too long to answer." : "The server does not answer.", 0);
  }
  found();
  const text = await answer.text();
  if (!answer.ok) throw new ApiError(sentence(answer.status, text), answer.status);
  return text ? JSON.parse(text) : null;
}

/** Tell the server that something is over, also while the page is being left; settles once it knows, or cannot. */
export function farewell(path) {
  return fetch(path, { method: "DELETE", headers: headers({}), credentials: "same-origin", keepalive: true }).catch(() => {});
}

/** Upload a file; `onProgress` gets 0..1. Returns {promise, cancel}. */
export function upload(path, file, onProgress) {
  const request = new XMLHttpRequest();
  const promise = new Promise((resolve, reject) => {
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers({ "Content-Type": file.type || "application/octet-stream" }))) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => (request.status < 300 ? resolve(JSON.parse(request.responseText)) : reject(new ApiError(sentence(request.status, request.responseText), request.status)));
    request.onerror = () => reject(new ApiError("The upload broke off: the server closed the connection.", 0));
    request.onabort = () => reject(new ApiError("", 0));
    request.send(file);
  });
  return { promise, cancel: () => request.abort() };
}

/** Ask whether the server is there; the watch starts by itself when it is not. */
export async function check() {
  try {
    const answer = await fetch("/healthz", { cache: "no-store", headers: headers({}), signal: AbortSignal.timeout(4000) });
    if (answer.status < 500) { found(); return true; }
  } catch { /* said below */ }
  lost();
  return false;
}

/** True while the server does not answer. */
export const isGone = () => gone;

function found() {
  if (!gone) return;
  gone = false;
  server.dispatchEvent(new Event("back"));
}

async function lost() {
  if (gone) return;
  gone = true;
  server.dispatchEvent(new Event("gone"));
  let wait = RETRY_FROM_MS;
  while (gone) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      const answer = await fetch("/healthz", { cache: "no-store", headers: headers({}), signal: AbortSignal.timeout(4000) });
      if (answer.status < 500) found();
    } catch { wait = Math.min(RETRY_TO_MS, wait * 1.6); }
  }
}

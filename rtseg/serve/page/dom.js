// Small words for the document.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Make an element; `props` are its properties, except `data` (dataset) and `aria` (attributes). */
export function make(tag, { data = {}, aria = {}, ...props } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  element.append(...children);
  return element;
}

/** An icon of the sprite. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Say something to those who listen to the page. */
export function announce(text) {
  byId("announce").textContent = text;
}

/** Show a notice with its text, or hide it when there is none. */
export function notice(element, text) {
  element.hidden = !text;
  const place = element.querySelector("p") || element;
  place.textContent = text || "";
}

/** Show a state on a chip: its colour by `state`, its words by `text`. */
export function chip(element, state, text) {
  if (element.dataset.state === state && element.lastElementChild.textContent === text) return;
  element.dataset.state = state;
  element.lastElementChild.textContent = text;
}

/** Seconds as m:ss or h:mm:ss. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}

/** Milliseconds for people: "42 ms", "5.3 s". */
export const milliseconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** Bytes for people. */
export const bytes = (count) => (count < 1e6 ? `${Math.round(count / 1e3)} kB` : `${(count / 1e6).toFixed(1)} MB`);

/** Save a blob under a name. */
export function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 30000);
}

/** A time for file names: 2025-03-09-141502. */
export function stampForName() {
  const now = new Date();
  const two = (value) => String(value).padStart(2, "0");
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

/** Let an element fill the screen, or no longer. */
export function toggleFull(element) {
  if (document.fullscreenElement) document.exitFullscreen();
  else element.requestFullscreen?.().catch(() => {});
}

/** A colour of the theme, for canvases. */
export const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The page: its tabs, and what the server says of itself. Everything else is in the tabs' own files.

import { call, isGone, server } from "./api.js";
import { CameraTab } from "./camera.js";
import { byId, notice } from "./dom.js";
import { setBackgrounds } from "./settings.js";
import { StreamsTab } from "./streams.js";
import { VideoTab } from "./video.js";

const RETRY_MS = 2000;
const TABS = ["camera", "video", "streams"];

const tabs = { camera: new CameraTab(), video: new VideoTab(() => select("video")), streams: new StreamsTab() };
let shown = "camera";

function select(name, focus = false) {
  for (const one of TABS) {
    const button = byId(`tab-${one}`);
    button.setAttribute("aria-selected", String(one === name));
    button.tabIndex = one === name ? 0 : -1;
    byId(`panel-${one}`).hidden = one !== name;
  }
  if (focus) byId(`tab-${name}`).focus();
  if (name !== shown) tabs[shown].leave?.();
  shown = name;
  tabs[name].enter?.();
  if (location.hash.slice(1) !== name) history.replaceState(null, "", `#${name}`);
}

function listenToTabs() {
  TABS.forEach((name, i) => {
    const button = byId(`tab-${name}`);
    button.addEventListener("click", () => select(name));
    button.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i + TABS.length - 1, ArrowUp: i + TABS.length - 1, Home: 0, End: TABS.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      select(TABS[to % TABS.length], true);
    });
  });
  addEventListener("hashchange", () => TABS.includes(location.hash.slice(1)) && select(location.hash.slice(1)));
}

function showServer(state, text) {
  byId("server").dataset.state = state;
  byId("server-text").textContent = text;
}

const machineText = (machine) => (typeof machine === "object" ? [machine.cpu, machine.cores && `${machine.cores} cores`].filter(Boolean).join(", ") : machine);

async function load() {
  try {
    const info = await call("GET", "/api/info");
    setBackgrounds(info.backgrounds || []);
    for (const tab of Object.values(tabs)) tab.setInfo(info);
    showServer("live", [`rtseg ${info.version}`, machineText(info.machine)].filter(Boolean).join(" · "));
    byId("server").title = byId("server-text").textContent;
    notice(byId("server-gone"), "");
  } catch (error) {
    notice(byId("server-gone"), error.message);
    showServer("gone", "No connection");
    if (error.status && ![401, 403].includes(error.status)) setTimeout(load, RETRY_MS);
  }
}

server.addEventListener("gone", () => {
  notice(byId("server-gone"), "The server is gone. Is rtseg serve still running? This page goes on by itself as soon as it answers.");
  showServer("gone", "No connection");
});
server.addEventListener("back", () => load());
addEventListener("online", () => isGone() && call("GET", "/api/info").catch(() => {}));

listenToTabs();
select(TABS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "camera");
load();

// A legend of classes: a chip each, pressed while the class is shown.

import { make } from "./dom.js";

export class Legend {
  /** `onToggle(hidden)` hears of every change, with the names that are hidden. */
  constructor(root, onToggle) {
    this.root = root;
    this.onToggle = onToggle;
    this.hidden = new Set();
  }

  /** Show classes [{name, color, share?}], in this order; `hidden` are the names not shown. */
  show(classes, hidden = []) {
    this.hidden = new Set(hidden);
    const focused = document.activeElement?.dataset?.name;
    const inside = this.root.contains(document.activeElement);
    this.root.replaceChildren(...classes.map((one) => make("li", {}, this.button(one))));
    if (inside) this.root.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  button({ name, color, share }) {
    const dot = make("span", { className: "key" });
    dot.style.background = color;
    const button = make("button", { type: "button", data: { name }, aria: { pressed: String(!this.hidden.has(name)) } }, dot, make("span", { className: "name", textContent: name }));
    if (share !== undefined) button.append(make("span", { className: "share", textContent: share }));
    button.addEventListener("click", () => {
      if (!this.hidden.delete(name)) this.hidden.add(name);
      button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
      this.onToggle([...this.hidden]);
    });
    return button;
  }

  /** Show the shares of this moment beside the names. */
  setShares(shares) {
    for (const button of this.root.querySelectorAll("button")) {
      const share = button.querySelector(".share");
      if (share && button.dataset.name in shares) share.textContent = percent(shares[button.dataset.name]);
    }
  }
}

/** 0..1 as a percentage that keeps its width. */
export const percent = (part) => (part > 0 && part < 0.001 ? "<0.1 %" : `${(part * 100).toFixed(1)} %`);

// The dock of effects on the picture: one touch for what the select beside it does, too.

import { icon, make } from "./dom.js";
import { effectName } from "./settings.js";

export class Dock {
  /** `onPick(effect)` hears of every choice. */
  constructor(root, onPick) {
    this.root = root;
    this.onPick = onPick;
    root.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const buttons = [...root.children];
      buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length]?.focus();
      event.preventDefault();
    });
  }

  /** Show these effects, one of them as chosen. */
  show(effects, chosen) {
    if (effects.join() !== this.shown) {
      this.shown = effects.join();
      this.root.replaceChildren(...effects.map((name) => this.button(name)));
    }
    for (const button of this.root.children) button.setAttribute("aria-pressed", String(button.dataset.effect === chosen));
  }

  button(name) {
    const known = document.getElementById(`i-${name}`) ? name : "tint";
    const button = make("button", { type: "button", data: { effect: name } }, icon(known), make("span", { textContent: effectName(name) }));
    button.addEventListener("click", () => this.onPick(name));
    return button;
  }
}

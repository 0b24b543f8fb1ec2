// The form of settings, the same in all three tabs: what is chosen, as one plain value.

import { call, upload } from "./api.js";
import { byId, icon, make } from "./dom.js";

const EFFECT_NAMES = {
  blur: "Blur", replace: "Replace", spotlight: "Spotlight", driving: "Driving", tint: "Tint", outline: "Outline", cutout: "Cut out", none: "Original",
};
const COLOURS = ["#1f6f54", "#1d2b53", "#7a2e4d", "#e7e2d8"];

/** The name of an effect for people. */
export const effectName = (name) => EFFECT_NAMES[name] || name[0].toUpperCase() + name.slice(1);

/** Pictures of backgrounds, shared by every form: events "change". */
export const backgrounds = Object.assign(new EventTarget(), { list: [] });

/** Replace the list of backgrounds ({id, name}). */
export function setBackgrounds(list) {
  backgrounds.list = list;
  backgrounds.dispatchEvent(new Event("change"));
}

const template = byId("settings-template");

export class SettingsForm {
  /** Build a form in `root`; ids begin with `prefix`; `onChange(subset)` hears of every change made by hand. */
  constructor(root, { prefix = "", onChange = () => {} } = {}) {
    this.prefix = prefix;
    this.onChange = onChange;
    this.models = [];
    this.value = { model: null, effect: null, strength: 0.5, background: null, color: null, smoothing: true, hidden: [] };
    this.paint = COLOURS[0]; // the colour of "replace", kept while another effect is on
    const form = template.content.cloneNode(true);
    this.field = {};
    for (const element of form.querySelectorAll("[data-field]")) {
      this.field[element.dataset.field] = element;
      element.id = prefix + element.dataset.field;
    }
    for (const label of form.querySelectorAll("[data-for]")) label.htmlFor = prefix + label.dataset.for;
    this.only = [...form.querySelectorAll("[data-only]")];
    root.replaceChildren(form);
    this.listen();
    backgrounds.addEventListener("change", () => this.showSwatches());
    this.show();
  }

  /** Take the models of the server and what is chosen so far, or the defaults of the first. */
  setModels(models, chosen = null) {
    this.models = models;
    this.field.model.replaceChildren(...models.map((model) => new Option(model.name, model.name)));
    if (chosen) this.set(chosen);
    else if (models.length) this.set({ model: models[0].name, effect: models[0].default_effect });
  }

  /** The chosen model's facts, or undefined. */
  get model() {
    return this.models.find((model) => model.name === this.value.model);
  }

  /** Take values that come from elsewhere (the server's answer, the dock); `onChange` is not called. */
  set(subset) {
    Object.assign(this.value, subset);
    const model = this.model;
    if (model && !model.effects.includes(this.value.effect)) this.value.effect = model.default_effect;
    this.show();
  }

  /** Take a change made by hand: whatever follows from it goes along. */
  change(subset) {
    const before = { ...this.value };
    this.set(subset);
    if (this.value.effect !== before.effect) this.set({ color: this.value.effect === "replace" && !this.value.background ? this.paint : null });
    else if (this.value.color) this.paint = this.value.color;
    const differs = Object.keys(this.value).filter((key) => this.value[key] !== before[key]);
    this.onChange(Object.fromEntries([...new Set([...Object.keys(subset), ...differs])].map((key) => [key, this.value[key]])));
  }

  /** Show a problem with the settings under the form, or none. */
  problem(text) {
    const place = this.field["settings-problem"];
    place.hidden = !text;
    place.textContent = text || "";
  }

  listen() {
    const { model, effect, strength, color, background, smoothing } = this.field;
    model.addEventListener("change", () => {
      const next = this.models.find((one) => one.name === model.value);
      const keep = next.effects.includes(this.value.effect) && next.task === this.model?.task;
      this.change({ model: model.value, effect: keep ? this.value.effect : next.default_effect, hidden: [] });
    });
    effect.addEventListener("change", () => this.change({ effect: effect.value }));
    strength.addEventListener("input", () => this.change({ strength: Number(strength.value) }));
    color.addEventListener("input", () => this.change({ color: color.value, background: null }));
    smoothing.addEventListener("change", () => this.change({ smoothing: smoothing.checked }));
    background.addEventListener("change", () => background.files[0] && this.uploadBackground(background.files[0]));
  }

  async uploadBackground(file) {
    const { background } = this.field;
    const error = this.field["background-error"];
    error.hidden = true;
    try {
      const { id, name } = await upload(`/api/backgrounds?name=${encodeURIComponent(file.name)}`, file, () => {}).promise;
      setBackgrounds([...backgrounds.list, { id, name: name || file.name }]);
      this.change({ background: id, color: null });
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    }
    background.value = "";
  }

  async removeBackground(id) {
    await call("DELETE", `/api/backgrounds/${encodeURIComponent(id)}`).catch(() => {});
    setBackgrounds(backgrounds.list.filter((one) => one.id !== id));
    if (this.value.background === id) this.change({ background: null, color: COLOURS[0] });
  }

  show() {
    const { model, effect, strength, color, smoothing } = this.field;
    const facts = this.model;
    const effects = facts?.effects || [];
    if ([...effect.options].map((option) => option.value).join() !== effects.join()) {
      effect.replaceChildren(...effects.map((name) => new Option(effectName(name), name)));
    }
    model.value = this.value.model ?? "";
    effect.value = this.value.effect ?? "";
    model.disabled = effect.disabled = !facts;
    this.field["model-note"].textContent = facts?.description || "";
    if (document.activeElement !== strength || !strength.matches(":active")) strength.value = this.value.strength;
    strength.style.setProperty("--part", `${this.value.strength * 100}%`);
    this.field["strength-out"].textContent = `${Math.round(this.value.strength * 100)} %`;
    if (this.value.color) color.value = this.value.color;
    smoothing.checked = this.value.smoothing;
    for (const element of this.only) element.hidden = element.dataset.only !== this.value.effect;
    this.showSwatches();
  }

  showSwatches() {
    const state = JSON.stringify([backgrounds.list, this.value.background, this.value.color]);
    if (state === this.shownSwatches) return;
    this.shownSwatches = state;
    const chosen = (yes) => ({ pressed: String(Boolean(yes)) });
    const colours = COLOURS.map((colour) => {
      const swatch = make("button", { type: "button", className: "swatch", title: colour, aria: { label: `Colour ${colour}`, ...chosen(!this.value.background && this.value.color === colour) } });
      swatch.style.background = colour;
      swatch.addEventListener("click", () => this.change({ background: null, color: colour }));
      return swatch;
    });
    const pictures = backgrounds.list.map(({ id, name }) => this.pictureSwatch(id, name, chosen(this.value.background === id)));
    const focused = this.field.swatches.contains(document.activeElement) ? [...this.field.swatches.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    this.field.swatches.replaceChildren(...pictures, ...colours);
    if (focused >= 0) this.field.swatches.querySelectorAll("button")[focused]?.focus();
  }

  pictureSwatch(id, name, aria) {
    const picture = make("img", { src: `/api/backgrounds/${encodeURIComponent(id)}`, alt: "", loading: "lazy" });
    const pick = make("button", { type: "button", className: "swatch", title: name, aria: { label: `Picture ${name}`, ...aria } }, picture);
    pick.addEventListener("click", () => this.change({ background: id, color: null }));
    const remove = make("button", { type: "button", className: "remove", title: "Remove", aria: { label: `Remove picture ${name}` } }, icon("x"));
    remove.addEventListener("click", () => this.removeBackground(id));
    return make("span", { className: "picture" }, pick, remove);
  }
}

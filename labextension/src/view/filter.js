/**
 * Which of many things are shown: those whose text contains what was typed, and whose kind is chosen.
 *
 * A scope is `[data-filter-scope=NAME]`. Its controls are `input[data-filter=NAME]`, and `[data-filter-kind]` that name it by
 * `data-filter-in=NAME` or stand in it: checkboxes (a kind is shown while its box is ticked) or buttons (while any is pressed, only those
 * kinds). What is filtered has `data-text` or `data-kind`; an element that holds one that is shown is shown. `[data-filter-count=NAME]`
 * says how many are.
 */
import { words } from "./lights.js";

/** The kinds that controls let through, as a function. boxes, buttons: `[{kinds, on}]`. */
export function chosen(boxes, buttons) {
  const off = new Set(boxes.filter((box) => !box.on).flatMap((box) => box.kinds));
  const only = new Set(buttons.filter((button) => button.on).flatMap((button) => button.kinds));
  return (kinds) => !kinds.some((kind) => off.has(kind)) && (!only.size || kinds.some((kind) => only.has(kind)));
}

/** Whether each of `items`, `{text, kinds, parent}` with the index of the item that holds it or -1, is shown. In document order. */
export function shown(items, typed, lets) {
  const wanted = words(typed.toLowerCase());
  const seen = items.map(
    ({ text, kinds }) => lets(kinds) && wanted.every((word) => (text ?? "").toLowerCase().includes(word)),
  );
  for (let i = items.length - 1; i >= 0; i--) if (seen[i] && items[i].parent >= 0) seen[items[i].parent] = true;
  return seen;
}

const ITEMS = "[data-text], [data-kind]";

export class Filters {
  #root;

  constructor(root) {
    this.#root = root;
    root.addEventListener("input", (event) => {
      if (event.target.matches("[data-filter], [data-filter-kind]")) this.apply();
    });
    root.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-filter-kind]");
      if (!button) return;
      button.ariaPressed = String(button.ariaPressed !== "true");
      this.#pressed.set(button, button.ariaPressed);
      this.apply();
    });
  }

  #pressed = new WeakMap();

  /** Anew, after the markup changed. */
  apply() {
    for (const scope of this.#root.querySelectorAll("[data-filter-scope]")) this.#filter(scope);
  }

  #filter(scope) {
    const name = scope.dataset.filterScope;
    const inputs = [...this.#root.querySelectorAll("input[data-filter]")].filter((one) => one.dataset.filter === name);
    const controls = [...this.#root.querySelectorAll("[data-filter-kind]")].filter(
      (one) => (one.dataset.filterIn ?? one.closest("[data-filter-scope]")?.dataset.filterScope) === name,
    );
    const state = (control) => ({
      kinds: words(control.dataset.filterKind),
      on: control.type === "checkbox" ? control.checked : control.ariaPressed === "true",
    });
    for (const control of controls) {
      if (this.#pressed.has(control)) control.ariaPressed = this.#pressed.get(control);
    }
    const boxes = controls.filter((control) => control.type === "checkbox").map(state);
    const buttons = controls.filter((control) => control.type !== "checkbox").map(state);
    const elements = [...scope.querySelectorAll(ITEMS)];
    const places = new Map(elements.map((element, index) => [element, index]));
    const items = elements.map((element) => ({
      text: element.dataset.text,
      kinds: words(element.dataset.kind),
      parent: places.get(element.parentElement?.closest(ITEMS)) ?? -1,
    }));
    const seen = shown(items, inputs.map((input) => input.value).join(" "), chosen(boxes, buttons));
    elements.forEach((element, index) => {
      element.hidden = !seen[index];
    });
    for (const count of this.#root.querySelectorAll("[data-filter-count]")) {
      if (count.dataset.filterCount === name) count.textContent = `${seen.filter(Boolean).length} of ${seen.length}`;
    }
  }
}

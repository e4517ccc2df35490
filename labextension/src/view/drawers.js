/**
 * Drawers: `[data-drawer=ID]` opens what is under ID in the view's `[data-drawers]`, one at a time, and closes it again; Escape closes too.
 * The content is the markup's `<template data-for=ID>`, followed as it changes, or else what the kernel answers.
 */
import { filled, patch } from "./patch.js";

const NATIVE = "a[href], button, summary, input, select, textarea, label";
let count = 0;

export class Drawers {
  #root;
  #ask;
  #changed;
  #open = null;
  #body;

  /** ask: (message) → a promise of the kernel's answer. changed: called when a drawer's content is new. */
  constructor(root, ask, changed) {
    this.#root = root;
    this.#ask = ask;
    this.#changed = changed;
    this.#body = document.createElement("div");
    this.#body.className = "drawer";
    this.#body.id = `dockerlab-drawer-${++count}`;
    this.#body.role = "region";
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Anew, after the markup changed: the open drawer stays, its content follows. */
  apply() {
    const openers = [...this.#root.querySelectorAll("[data-drawer]")];
    for (const opener of openers) {
      if (!opener.matches(NATIVE)) {
        if (!opener.hasAttribute("tabindex")) opener.setAttribute("tabindex", "0");
        if (!opener.hasAttribute("role") && opener.localName !== "tr") opener.setAttribute("role", "button");
      }
      const isOpen = opener.dataset.drawer === this.#open;
      opener.setAttribute("aria-expanded", String(isOpen));
      if (isOpen) opener.setAttribute("aria-controls", this.#body.id);
      else opener.removeAttribute("aria-controls");
    }
    const place = this.#root.querySelector("[data-drawers]");
    if (this.#open === null || !place) {
      this.#body.remove();
      return;
    }
    filled.add(place);
    if (this.#body.parentElement !== place) place.replaceChildren(this.#body);
    const opener = openers.find((one) => one.dataset.drawer === this.#open);
    this.#body.ariaLabel = opener?.ariaLabel ?? opener?.textContent.trim().slice(0, 60) ?? this.#open;
    const template = this.#template();
    if (template) this.#fill(template.innerHTML);
  }

  #template() {
    return [...this.#root.querySelectorAll("template[data-for]")].find((one) => one.dataset.for === this.#open);
  }

  #fill(html) {
    if (html !== this.#filled) patch(this.#body, html, { isDrawer: true });
    this.#filled = html;
  }

  #filled = "";

  async #toggle(id) {
    const hadFocus = this.#body.contains(document.activeElement);
    this.#open = this.#open === id ? null : id;
    this.#body.replaceChildren();
    this.#filled = "";
    this.apply();
    if (hadFocus && this.#open !== null) {
      // What had the focus is gone with the drawer's content: Escape still closes.
      this.#body.tabIndex = -1;
      this.#body.focus({ preventScroll: true });
    }
    if (this.#open !== null && !this.#template()) {
      this.#body.innerHTML = '<p class="muted">Asking the kernel …</p>';
      const answer = await this.#ask({ kind: "drawer", id });
      if (this.#open === id) {
        if (answer.error) this.#toggle(id);
        else this.#fill(answer.html);
      }
    }
    this.#changed();
  }

  #click(event) {
    const opener = event.target.closest("[data-drawer]");
    if (!opener || !this.#root.contains(opener)) return;
    // A link or a button in a row that opens a drawer is itself.
    const nearest = event.target.closest(`${NATIVE}, [data-drawer], [data-action], [data-copy]`);
    if (nearest !== opener) return;
    const selection = getSelection();
    if (!selection.isCollapsed && opener.contains(selection.anchorNode)) return;
    this.#toggle(opener.dataset.drawer);
  }

  #key(event) {
    if (event.key === "Escape" && this.#open !== null && !event.defaultPrevented) {
      const id = this.#open;
      const opener = [...this.#root.querySelectorAll("[data-drawer]")].find((one) => one.dataset.drawer === id);
      if (this.#body.contains(document.activeElement)) opener?.focus();
      this.#toggle(id);
    } else if ((event.key === "Enter" || event.key === " ") && event.target.matches("[data-drawer]")) {
      if (event.target.matches(NATIVE)) return; // it clicks by itself
      this.#toggle(event.target.dataset.drawer);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

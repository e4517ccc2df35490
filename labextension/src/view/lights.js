/** Pointing at one thing lights all that belongs to it: every element of `data-lights` that shares a word with it. */

export function words(value) {
  return (value ?? "").split(/\s+/).filter(Boolean);
}

/** Of each of `values`: whether it shares a word with `pointed`. */
export function shared(pointed, values) {
  const wanted = new Set(words(pointed));
  return values.map((value) => words(value).some((word) => wanted.has(word)));
}

export class Lights {
  #root;
  #pointed = null;

  constructor(root) {
    this.#root = root;
    const follow = (event) => this.#point(event.target.closest?.("[data-lights]")?.dataset.lights ?? null);
    root.addEventListener("pointerover", follow);
    root.addEventListener("focusin", follow);
    root.addEventListener("pointerleave", () => this.#point(null));
    root.addEventListener("focusout", (event) => root.contains(event.relatedTarget) || this.#point(null));
  }

  /** Anew, after the markup changed. */
  apply() {
    if (this.#pointed !== null) this.#light();
  }

  #point(pointed) {
    if (pointed === this.#pointed) return;
    this.#pointed = pointed;
    this.#light();
  }

  #light() {
    const elements = [...this.#root.querySelectorAll("[data-lights]")];
    const lit = shared(
      this.#pointed,
      elements.map((element) => element.dataset.lights),
    );
    elements.forEach((element, index) => {
      element.classList.toggle("lit", lit[index]);
      element.classList.toggle("dim", this.#pointed !== null && !lit[index]);
    });
  }
}

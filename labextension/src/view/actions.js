/**
 * `[data-action=NAME]` tells the kernel, with its `data-value`; it waits, disabled, for the answer. `data-confirm` asks the user first, with
 * the button's own word. `[data-freeze]` asks for the end of the view, and `[data-copy]` copies. Of a field, `[data-typed=NAME]` tells what
 * stands in it, once the typing pauses.
 */

const COPIED = 1200; // milliseconds
const TYPED = 200; // milliseconds without a key

export class Actions {
  #root;
  #ask;
  #send;
  #question;
  #typing;
  /** `name value` of those that wait for an answer. */
  #waiting = new Set();
  #scrolled = ({ target }) => {
    if (this.#isAsking && target.contains(this.#asked() ?? null)) this.#cancel();
  };

  /** ask, send: to the kernel. question: an element of the page's own for what is asked first. */
  constructor(root, ask, send, question) {
    this.#root = root;
    this.#ask = ask;
    this.#send = send;
    this.#question = question;
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("input", (event) => this.#type(event.target));
    // The browser closes it by Escape and by a click elsewhere.
    // What scrolls beside it, such as a log that grows, does not move it.
    addEventListener("scroll", this.#scrolled, { capture: true, passive: true });
  }

  /** The view is no longer in the page, which would hold it for as long as it listens. */
  end() {
    removeEventListener("scroll", this.#scrolled, { capture: true });
    clearTimeout(this.#typing);
  }

  /** Anew, after the markup changed. */
  apply() {
    for (const button of this.#root.querySelectorAll("[data-action]")) {
      if (this.#waiting.has(nameOf(button))) {
        button.disabled = true;
        button.ariaBusy = "true";
      } else if (button.ariaBusy === "true") {
        button.disabled = false;
        button.ariaBusy = null;
      }
    }
    if (this.#isAsking && !this.#asked()) this.#cancel();
  }

  get #isAsking() {
    return this.#question.matches(":popover-open");
  }

  #asked() {
    return [...this.#root.querySelectorAll("[data-action]")].find((one) => nameOf(one) === this.#question.dataset.of);
  }

  #click(event) {
    const target = event.target.closest("[data-action], [data-copy], [data-freeze]");
    if (!target || target.disabled) return;
    if ("copy" in target.dataset) this.#copy(target);
    else if ("freeze" in target.dataset) {
      target.disabled = true;
      this.#send({ kind: "freeze" });
    } else if (target.dataset.confirm) this.#confirm(target);
    else this.#act(target);
  }

  #type(field) {
    if (!field.matches("[data-typed]")) return;
    clearTimeout(this.#typing);
    this.#typing = setTimeout(
      () => this.#ask({ kind: "action", name: field.dataset.typed, value: field.value }),
      TYPED,
    );
  }

  async #act(button) {
    const name = nameOf(button);
    const had = button === document.activeElement;
    this.#waiting.add(name);
    this.apply();
    await this.#ask({ kind: "action", name: button.dataset.action, value: button.dataset.value ?? "" });
    this.#waiting.delete(name);
    this.apply();
    if (had && button.isConnected && document.activeElement === document.body) button.focus({ preventScroll: true });
  }

  #confirm(button) {
    const text = document.createElement("span");
    text.textContent = button.dataset.confirm;
    text.id = `${this.#question.id}-text`;
    const yes = document.createElement("button");
    yes.textContent = button.textContent.trim() || button.ariaLabel || "Yes";
    yes.className = "yes";
    yes.addEventListener("click", () => {
      const asked = this.#asked();
      this.#cancel();
      if (asked) this.#act(asked);
    });
    const no = document.createElement("button");
    no.textContent = "Cancel";
    no.addEventListener("click", () => this.#cancel());
    for (const one of [yes, no]) one.type = "button";
    this.#question.replaceChildren(text, yes, no);
    this.#question.setAttribute("aria-labelledby", text.id);
    this.#question.dataset.of = nameOf(button);
    this.#question.showPopover();
    place(this.#question, button);
    no.focus({ preventScroll: true });
  }

  /** The focus goes back to the button, which the browser sees to. */
  #cancel() {
    if (this.#isAsking) this.#question.hidePopover();
  }

  async #copy(element) {
    await copy(element.dataset.copy);
    element.dataset.copied = "";
    setTimeout(() => delete element.dataset.copied, COPIED);
  }
}

function nameOf(button) {
  return `${button.dataset.action} ${button.dataset.value ?? ""}`;
}

/** Puts an element under a button, or above where there is no room. It lies over everything: an output cuts off what sticks out of it. */
function place(element, button) {
  const at = button.getBoundingClientRect();
  const isBelow = at.bottom + 4 + element.offsetHeight < innerHeight;
  element.style.top = `${isBelow ? at.bottom + 4 : at.top - 4 - element.offsetHeight}px`;
  element.style.left = `${Math.max(4, Math.min(at.left, innerWidth - element.offsetWidth - 8))}px`;
}

async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // A page that is neither https nor this machine's own has no clipboard of the new kind.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

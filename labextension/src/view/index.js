/**
 * What the page does for every live view. The kernel renders markup; here it is patched into the page, and made to react to attributes:
 *
 *     data-key                            identity of a repeated element                                   patch.js
 *     data-lights="a b"                   pointing at it lights what shares a word, and dims the rest      lights.js
 *     data-drawer=ID, data-drawers,
 *     <template data-for=ID>              one drawer at a time                                             drawers.js
 *     data-action=NAME data-value=V,
 *     data-confirm, data-freeze,
 *     data-copy, data-typed               buttons and fields                                                        actions.js
 *     data-log=NAME, data-log-search,
 *     data-log-pause                      the end of a log, with its colours                               logs.js
 *     data-filter=SCOPE, data-filter-scope,
 *     data-filter-kind, data-filter-in,
 *     data-filter-count, data-text,
 *     data-kind                           which of many are shown                                          filter.js
 *
 * The model holds `html`, `tails` and `over`; messages carry the rest (shared.js): action, drawer and freeze.
 */
import { Actions } from "./actions.js";
import { Drawers } from "./drawers.js";
import { Filters } from "./filter.js";
import { Lights } from "./lights.js";
import { Logs } from "./logs.js";
import { patch } from "./patch.js";
import { sharedOf } from "./shared.js";
import css from "./view.css";

const BUSY = 1500; // milliseconds without an answer, after which the page says what it waits for

/** One view in the page. */
class View {
  #model;
  #shared;
  #face;
  #alerts;
  #logs;
  #actions;
  #parts;
  #html = null;
  #isOver = false;
  #isDue = false;

  constructor(model, host) {
    this.#model = model;
    this.#shared = sharedOf(model);
    host.classList.add("dockerlab-view");
    // A key that is pressed here is no command of the notebook's.
    host.dataset.lmSuppressShortcuts = "true";
    const style = document.createElement("style");
    style.textContent = css;
    this.#face = document.createElement("div");
    // The page's own, which no patch touches.
    const own = document.createElement("div");
    own.className = "dockerlab own";
    this.#alerts = document.createElement("div");
    const question = document.createElement("div");
    question.className = "question";
    question.role = "alertdialog";
    question.id = `dockerlab-question-${Math.random().toString(36).slice(2)}`;
    question.popover = "auto";
    own.append(this.#alerts, question);
    host.append(style, this.#face, own);
    const ask = (message) => this.#ask(message);
    this.#logs = new Logs(this.#face, this.#shared.rings);
    const filters = new Filters(this.#face);
    const lights = new Lights(this.#face);
    this.#actions = new Actions(this.#face, ask, (message) => this.#shared.send(message), question);
    const after = [this.#actions, filters, lights, this.#logs];
    const drawers = new Drawers(this.#face, ask, () => after.forEach((part) => part.apply()));
    this.#parts = [drawers, ...after];
    this.draw();
  }

  /** It is no longer in the page. */
  end() {
    this.#actions.end();
  }

  /** Draws with the next frame, however often it is called before. */
  update() {
    if (this.#isDue) return;
    this.#isDue = true;
    const draw = () => {
      this.#isDue = false;
      this.draw();
    };
    // Nobody sees a page in the background, which has no frames.
    if (document.hidden) setTimeout(draw, 200);
    else requestAnimationFrame(draw);
  }

  draw() {
    const html = this.#model.get("html");
    if (html === this.#html) this.#logs.apply();
    else {
      patch(this.#face, html);
      this.#html = html;
      for (const part of this.#parts) part.apply();
    }
    const isOver = !this.#shared.isLive || this.#model.get("over");
    if (isOver && !this.#isOver) this.#line("status", "No longer live: this is what was seen last.");
    this.#isOver = isOver;
    this.#face.classList.toggle("over", isOver);
  }

  /** A line that says what went wrong. */
  alert(text) {
    const line = this.#line("alert", text);
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "Dismiss";
    close.addEventListener("click", () => line.remove());
    line.append(" ", close);
  }

  #line(role, text) {
    const line = document.createElement("div");
    line.role = role;
    const said = document.createElement("span");
    said.textContent = text;
    line.append(said);
    this.#alerts.append(line);
    return line;
  }

  async #ask(message) {
    let note = null;
    const timer = setTimeout(() => {
      note = this.#line("status", "The kernel is busy: this waits until its cell has ended.");
    }, BUSY);
    const answer = await this.#shared.ask(message);
    clearTimeout(timer);
    note?.remove();
    if (answer.error) this.alert(answer.error);
    return answer;
  }
}

export default {
  initialize({ model }) {
    const shared = sharedOf(model);
    return () => shared.close();
  },
  render({ model, el }) {
    const shared = sharedOf(model);
    const view = new View(model, el);
    const update = () => view.update();
    shared.add(view);
    model.on("change:html", update);
    model.on("change:over", update);
    return () => {
      model.off("change:html", update);
      model.off("change:over", update);
      shared.remove(view);
      view.end();
    };
  },
};

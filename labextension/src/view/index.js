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
 * The model holds `html`, `tails` and `over`; messages carry the rest. To the kernel: here, gone and leaving with `page`; action, drawer and
 * freeze. From it: log, alert, and answer to what has `ask`.
 */
import { Actions } from "./actions.js";
import { Drawers } from "./drawers.js";
import { Filters } from "./filter.js";
import { Lights } from "./lights.js";
import { Logs } from "./logs.js";
import { patch } from "./patch.js";
import { Ring } from "./ring.js";
import css from "./view.css";

const BUSY = 1500; // milliseconds without an answer, after which the page says what it waits for
const GONE = 1000; // milliseconds without any view, after which the kernel hears of it

/** model → what its views share. */
const shared = new WeakMap();

/** What one model's views share: its logs, what the kernel was asked, and whether there are any. */
class Shared {
  rings = new Map();
  views = new Set();
  isLive = true;
  #model;
  #asked = new Map();
  #page = Math.random().toString(36).slice(2);
  #asks = 0;

  constructor(model) {
    this.#model = model;
    model.on("msg:custom", (message) => this.#hear(message));
    model.on("change:tails", () => this.#readTails());
    // The kernel was started anew or has ended: nobody is there to be told anything.
    model.on("comm_live_update", () => {
      this.isLive = false;
      for (const view of this.views) view.update();
    });
    this.#readTails();
    // Of a page that is closed or loaded again, nothing else tells.
    addEventListener("pagehide", () => this.send({ kind: "leaving" }));
  }

  send(message) {
    if (this.isLive && !this.#model.get("over")) this.#model.send({ ...message, page: this.#page });
  }

  /** Asks the kernel; its answer, `{error}` or `{html}`. */
  ask(message) {
    const ask = `${this.#page}-${++this.#asks}`;
    return new Promise((resolve) => {
      this.#asked.set(ask, resolve);
      this.send({ ...message, ask });
    });
  }

  add(view) {
    if (!this.views.size) this.send({ kind: "here" });
    this.views.add(view);
  }

  remove(view) {
    this.views.delete(view);
    setTimeout(() => {
      if (!this.views.size) this.send({ kind: "gone" });
    }, GONE);
  }

  #hear(message) {
    if (message.kind === "log") this.#add(message.name, message.at, message.lines);
    else if (message.kind === "alert") for (const view of this.views) view.alert(message.error);
    else if (message.kind === "answer") {
      this.#asked.get(message.ask)?.(message);
      this.#asked.delete(message.ask);
    }
  }

  #readTails() {
    for (const [name, { at, lines }] of Object.entries(this.#model.get("tails") ?? {})) this.#add(name, at, lines);
  }

  #add(name, at, lines) {
    if (!this.rings.has(name)) this.rings.set(name, new Ring());
    if (this.rings.get(name).add(at, lines)) for (const view of this.views) view.update();
  }
}

/** One view in the page. */
class View {
  #model;
  #shared;
  #face;
  #alerts;
  #logs;
  #parts;
  #html = null;
  #isOver = false;
  #isDue = false;

  constructor(model, host) {
    this.#model = model;
    this.#shared = shared.get(model);
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
    const actions = new Actions(this.#face, ask, (message) => this.#shared.send(message), question);
    const after = [actions, filters, lights, this.#logs];
    const drawers = new Drawers(this.#face, ask, () => after.forEach((part) => part.apply()));
    this.#parts = [drawers, ...after];
    this.draw();
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
    shared.set(model, new Shared(model));
  },
  render({ model, el }) {
    if (!shared.has(model)) shared.set(model, new Shared(model));
    const view = new View(model, el);
    const update = () => view.update();
    shared.get(model).add(view);
    model.on("change:html", update);
    model.on("change:over", update);
    return () => {
      model.off("change:html", update);
      model.off("change:over", update);
      shared.get(model).remove(view);
    };
  },
};

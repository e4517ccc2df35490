/**
 * What the views of one model in a page share: its logs, what the kernel was asked, and whether there is any view.
 *
 * To the kernel: here, gone and leaving with `page`; what is asked, with `ask`. From it: log, alert, and answer to what has `ask`.
 */
import { Ring } from "./ring.js";

const GONE = 1000; // milliseconds without any view, after which the kernel hears of it
const OVER = "It is no longer live: nobody is there to answer. Run the cell again.";

const known = new WeakMap();

/** A model's. anywidget gives each view a model object of its own; the layout in it is the same one. */
export function sharedOf(model) {
  const same = model.get("layout") ?? model;
  if (!known.has(same)) known.set(same, new Shared(model));
  return known.get(same);
}

class Shared {
  rings = new Map();
  views = new Set();
  isLive = true;
  #model;
  #asked = new Map();
  #page = Math.random().toString(36).slice(2);
  #asks = 0;
  #leave = () => this.send({ kind: "leaving" });

  constructor(model) {
    this.#model = model;
    model.on("msg:custom", (message) => this.#hear(message));
    model.on("change:tails", () => this.#readTails());
    model.on("change:over", () => this.#refuse());
    // The kernel was started anew or has ended: nobody is there to be told anything.
    model.on("comm_live_update", () => {
      this.isLive = false;
      this.#refuse();
      for (const view of this.views) view.update();
    });
    this.#readTails();
    // Of a page that is closed or loaded again, nothing else tells.
    addEventListener("pagehide", this.#leave);
  }

  get #isOver() {
    return !this.isLive || this.#model.get("over");
  }

  /** The model is gone. */
  close() {
    this.isLive = false;
    removeEventListener("pagehide", this.#leave);
  }

  send(message) {
    if (!this.#isOver) this.#model.send({ ...message, page: this.#page });
  }

  /** Asks the kernel; its answer, `{error}` or `{html}`. */
  ask(message) {
    if (this.#isOver) return Promise.resolve({ error: OVER });
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

  /** Answers what nobody answers any more. */
  #refuse() {
    if (!this.#isOver) return;
    for (const resolve of this.#asked.values()) resolve({ error: OVER });
    this.#asked.clear();
  }

  #readTails() {
    for (const [name, { at, lines }] of Object.entries(this.#model.get("tails") ?? {})) this.#add(name, at, lines);
  }

  #add(name, at, lines) {
    const ring = this.rings.get(name);
    // To a page that was loaded late the kernel tells more than the tail, which was there first.
    const isWhole = ring && at < ring.begin && at + lines.length >= ring.end;
    if (!ring || isWhole) this.rings.set(name, new Ring());
    if (this.rings.get(name).add(at, lines)) for (const view of this.views) view.update();
  }
}

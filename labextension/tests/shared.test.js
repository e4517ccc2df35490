/** What the views of one model share: with a model as anywidget hands it out, and a kernel that answers or does not. */
import assert from "node:assert/strict";
import test from "node:test";
import { sharedOf } from "../src/view/shared.js";

const listeners = new Set();
globalThis.addEventListener = (_, listener) => listeners.add(listener);
globalThis.removeEventListener = (_, listener) => listeners.delete(listener);

/** A widget's model: `of()` is a new object each time, as initialize and each view get one. */
class Model {
  state = { layout: {}, over: false, tails: {} };
  sent = [];
  #heard = new Map();

  of() {
    return {
      get: (name) => this.state[name],
      send: (message) => this.sent.push(message),
      on: (name, heard) => this.#heard.set(name, [...(this.#heard.get(name) ?? []), heard]),
    };
  }

  tell(name, message) {
    for (const heard of this.#heard.get(name) ?? []) heard(message);
  }
}

const texts = (shared) => shared.rings.get("a").lines.map((line) => line.text ?? line.skipped);

test("all views of a model have the same, and what came before the first of them", () => {
  const model = new Model();
  const shared = sharedOf(model.of());
  model.tell("msg:custom", { kind: "log", name: "a", at: 0, lines: ["early"] });
  assert.equal(sharedOf(model.of()), shared);
  assert.deepEqual(texts(sharedOf(model.of())), ["early"]);
  assert.notEqual(sharedOf(new Model().of()), shared);
});

test("a page that is loaded late shows what the kernel kept, and not its tail alone", () => {
  const model = new Model();
  model.state.tails = { a: { at: 3, lines: ["d", "e"] } };
  const shared = sharedOf(model.of());
  assert.deepEqual(texts(shared), [3, "d", "e"]);
  model.tell("msg:custom", { kind: "log", name: "a", at: 1, lines: ["b", "c", "d", "e", "f"] });
  assert.deepEqual(texts(shared), [1, "b", "c", "d", "e", "f"]);
  model.tell("msg:custom", { kind: "log", name: "a", at: 2, lines: ["c", "d"] });
  assert.equal(shared.rings.get("a").end, 6, "what is known already changes nothing");
});

for (const [what, end] of [
  ["the kernel has ended", (model) => model.tell("comm_live_update")],
  [
    "the view is over",
    (model) => {
      model.state.over = true;
      model.tell("change:over");
    },
  ],
])
  test(`what is asked is answered where ${what}, too`, async () => {
    const model = new Model();
    const shared = sharedOf(model.of());
    const answered = shared.ask({ kind: "drawer", id: "1" });
    model.tell("msg:custom", { kind: "answer", ask: model.sent[0].ask, html: "<p>" });
    assert.equal((await answered).html, "<p>");
    const waiting = shared.ask({ kind: "drawer", id: "2" });
    end(model);
    assert.match((await waiting).error, /no longer live/);
    assert.match((await shared.ask({ kind: "drawer", id: "3" })).error, /no longer live/);
    assert.equal(model.sent.length, 2);
  });

test("a page that is left is told of, once a model, and nothing stays when the model is gone", () => {
  listeners.clear();
  const model = new Model();
  const shared = sharedOf(model.of());
  sharedOf(model.of());
  for (const leave of listeners) leave();
  assert.deepEqual(
    model.sent.map((message) => message.kind),
    ["leaving"],
  );
  shared.close();
  assert.equal(listeners.size, 0);
});

/**
 * Logs in the page: `<pre data-log=NAME>` shows the last lines of the log NAME, follows its end unless it was scrolled up, and is searched by
 * `[data-log-search=NAME]` and held by `[data-log-pause=NAME]`. Lines become text nodes: what is in them is shown, never run.
 */
import { MOST, matches } from "./ring.js";

const AT_END = 8; // pixels from the end that still count as there

export class Logs {
  #root;
  /** name → Ring, of the model: several views show the same. */
  #rings;
  /** A `<pre>` → what it shows: `{ring, end, wanted}`. */
  #shown = new WeakMap();
  /** name → the number of the line that it was held at. */
  #held = new Map();

  constructor(root, rings) {
    this.#root = root;
    this.#rings = rings;
    root.addEventListener("input", (event) => {
      if (event.target.matches("[data-log-search]")) this.apply();
    });
    root.addEventListener("click", (event) => {
      const name = event.target.closest("[data-log-pause]")?.dataset.logPause;
      if (name === undefined) return;
      if (!this.#held.delete(name)) this.#held.set(name, this.#rings.get(name)?.end ?? 0);
      this.apply();
    });
  }

  /** Shows what is new, or all where it has to be drawn anew. */
  apply() {
    for (const pre of this.#root.querySelectorAll("[data-log]")) this.#draw(pre);
    for (const button of this.#root.querySelectorAll("[data-log-pause]")) this.#label(button);
  }

  #draw(pre) {
    const name = pre.dataset.log;
    const ring = this.#rings.get(name);
    if (!ring?.lines.length) return;
    const wanted = this.#wanted(name);
    const before = this.#shown.get(pre);
    const isSame = before?.ring === ring && before.wanted === wanted && pre.classList.contains("has-lines");
    const end = Math.min(this.#held.get(name) ?? Infinity, ring.end);
    if (isSame && before.end === end) return;
    const follows = !before || pre.scrollHeight - pre.scrollTop - pre.clientHeight < AT_END;
    const news = ring.lines.filter((line) => line.number < end && (!isSame || line.number >= before.end));
    const nodes = news.map((line) => lineNode(line, wanted));
    if (isSame) {
      pre.append(...nodes);
      for (let over = pre.childElementCount - MOST; over > 0; over--) pre.firstElementChild.remove();
    } else {
      pre.classList.add("has-lines");
      pre.replaceChildren(...nodes);
    }
    this.#shown.set(pre, { ring, end, wanted });
    if (follows) pre.scrollTop = pre.scrollHeight;
  }

  #wanted(name) {
    const inputs = [...this.#root.querySelectorAll("[data-log-search]")];
    return inputs.find((input) => input.dataset.logSearch === name)?.value.trim() ?? "";
  }

  #label(button) {
    const name = button.dataset.logPause;
    const at = this.#held.get(name);
    button.ariaPressed = String(at !== undefined);
    button.dataset.word ??= button.textContent;
    const waiting = (this.#rings.get(name)?.end ?? 0) - (at ?? 0);
    const word =
      at === undefined ? button.dataset.word : `Resume${waiting ? ` (${waiting.toLocaleString("en")} new)` : ""}`;
    if (button.textContent !== word) button.textContent = word;
  }
}

/** One line as an element. wanted: what is searched; a line without it is hidden. */
function lineNode(line, wanted) {
  const node = document.createElement("span");
  node.className = "line";
  if (line.skipped) {
    node.classList.add("skipped");
    node.textContent = `… ${line.skipped.toLocaleString("en")} lines came too fast to be shown here\n`;
    return node;
  }
  const found = matches(line.text, wanted);
  node.hidden = Boolean(wanted) && !found.length;
  let at = 0;
  for (const { text, style } of line.pieces) {
    node.append(styled(marked(text, at, found), style));
    at += text.length;
  }
  node.append("\n");
  return node;
}

/** A piece of text that begins at `at` of its line, with what was found in it marked. */
function marked(text, at, found) {
  const fragment = document.createDocumentFragment();
  let last = 0;
  for (const [start, end] of found) {
    const [from, to] = [Math.max(start - at, last), Math.min(end - at, text.length)];
    if (from >= to) continue;
    const mark = document.createElement("mark");
    mark.textContent = text.slice(from, to);
    fragment.append(text.slice(last, from), mark);
    last = to;
  }
  fragment.append(text.slice(last));
  return fragment;
}

function styled(content, { fg, bg, ...flags }) {
  const span = document.createElement("span");
  span.className = Object.keys(flags)
    .map((flag) => `sgr-${flag}`)
    .join(" ");
  if (fg !== undefined) span.style.color = css(fg);
  else if (bg !== undefined) span.style.color = "var(--sgr-paper)";
  if (bg !== undefined) span.style.backgroundColor = css(bg);
  if (!span.className && !span.style.length) return content;
  span.append(content);
  return span;
}

function css(colour) {
  return typeof colour === "number" ? `var(--sgr-${colour})` : colour;
}

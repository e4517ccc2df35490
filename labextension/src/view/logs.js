/**
 * Logs in the page: `<pre data-log=NAME>` shows the last lines of the log NAME, follows its end unless it was scrolled up, and is searched by
 * `[data-log-search=NAME]` and held by `[data-log-pause=NAME]`. Lines become text nodes: what is in them is shown, never run.
 */
import { filled } from "./patch.js";
import { MOST, matches } from "./ring.js";

const CHUNK = 100; // lines in one element
const AT_END = 8; // pixels from the end that still count as there

export class Logs {
  #root;
  /** name → Ring, of the model: several views show the same. */
  #rings;
  /** A `<pre>` → what it shows: `{ring, wanted, end, chunks}`. */
  #shown = new WeakMap();
  /** Those `<pre>` that were scrolled up. */
  #scrolledUp = new WeakSet();
  /** name → the number of the line that it was held at. */
  #held = new Map();

  constructor(root, rings) {
    this.#root = root;
    this.#rings = rings;
    root.addEventListener("input", (event) => {
      if (event.target.matches("[data-log-search]")) this.apply();
    });
    // Heard of, not asked for with each batch: that would lay out the page anew.
    const scrolled = ({ target }) => {
      if (target.scrollHeight - target.scrollTop - target.clientHeight < AT_END) this.#scrolledUp.delete(target);
      else this.#scrolledUp.add(target);
    };
    root.addEventListener("scroll", (event) => event.target.matches("[data-log]") && scrolled(event), {
      capture: true,
      passive: true,
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
    let shown = this.#shown.get(pre);
    if (shown?.ring !== ring || shown.wanted !== wanted) {
      shown = { ring, wanted, end: 0, chunks: [] };
      this.#shown.set(pre, shown);
      filled.add(pre);
      pre.replaceChildren();
    }
    const end = Math.min(this.#held.get(name) ?? Infinity, ring.end);
    if (shown.end === end) return;
    const news = ring.between(shown.end, end);
    shown.end = end;
    write(pre, shown.chunks, news, wanted);
    if (!this.#scrolledUp.has(pre)) pre.scrollTop = pre.scrollHeight;
  }

  #wanted(name) {
    const inputs = [...this.#root.querySelectorAll("[data-log-search]")];
    return inputs.find((input) => input.dataset.logSearch === name)?.value.trim() ?? "";
  }

  #label(button) {
    const name = button.dataset.logPause;
    const at = this.#held.get(name);
    button.dataset.word ??= button.textContent;
    const waiting = (this.#rings.get(name)?.end ?? 0) - (at ?? 0);
    const word =
      at === undefined ? button.dataset.word : `Resume${waiting ? ` (${waiting.toLocaleString("en")} new)` : ""}`;
    if (button.textContent !== word) button.textContent = word;
  }
}

/**
 * Adds lines to a `<pre>`, and takes those away that are too many. chunks: `[{node, count}]`, its elements with how many lines each has.
 *
 * A line is no element of its own: what a fast log costs is elements. wanted: what is searched; a line without it is left out.
 */
function write(pre, chunks, lines, wanted) {
  let text = "";
  const flush = () => {
    if (text) chunks.at(-1).node.append(text);
    text = "";
  };
  const begin = (name) => {
    flush();
    const node = document.createElement("div");
    node.className = name;
    pre.append(node);
    chunks.push({ node, count: 0 });
  };
  for (const line of lines) {
    const found = matches(line.text ?? "", wanted);
    if (wanted && !found.length) continue;
    if (line.skipped) {
      begin("skipped");
      text = `… ${line.skipped.toLocaleString("en")} lines came too fast to be shown here`;
      begin("chunk");
      continue;
    }
    if (!(chunks.at(-1)?.count < CHUNK)) begin("chunk");
    chunks.at(-1).count++;
    let at = 0;
    for (const piece of line.pieces) {
      const content = styled(marked(piece.text, at, found), piece.style);
      at += piece.text.length;
      if (typeof content === "string") text += content;
      else {
        flush();
        chunks.at(-1).node.append(content);
      }
    }
    text += "\n";
  }
  flush();
  let over = chunks.reduce((sum, chunk) => sum + chunk.count, -MOST);
  while (chunks.length && over >= chunks[0].count) {
    over -= chunks[0].count;
    chunks.shift().node.remove();
  }
}

/** A piece of text that begins at `at` of its line, with what was found in it marked; as it is, if nothing was. */
function marked(text, at, found) {
  if (!found.length) return text;
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

function styled(content, style) {
  if (!Object.keys(style).length) return content;
  const { fg, bg, ...flags } = style;
  const span = document.createElement("span");
  span.className = Object.keys(flags)
    .map((flag) => `sgr-${flag}`)
    .join(" ");
  if (fg !== undefined) span.style.color = css(fg);
  else if (bg !== undefined) span.style.color = "var(--sgr-paper)";
  if (bg !== undefined) span.style.backgroundColor = css(bg);
  span.append(content);
  return span;
}

function css(colour) {
  return typeof colour === "number" ? `var(--sgr-${colour})` : colour;
}

/**
 * The last lines of a log, each with its number from 0. What is added twice counts once; what was lost on the way is a gap, and said.
 *
 * Lines come in two ways: in batches, which may arrive before anyone listens, and in a tail, which repeats the last of them.
 */
import { parse } from "./ansi.js";

export const MOST = 1000;

export class Ring {
  /** The number of the line that comes next. */
  end = 0;
  /** `[{number, text, pieces}]`, or `{number, skipped}` for a gap of so many lines before `number`. */
  lines = [];
  #style = {};

  /** The number of the first that is still there. */
  get begin() {
    return this.lines[0]?.number ?? this.end;
  }

  /** at: the number of the first of `lines`. Whether there was anything new. */
  add(at, lines) {
    const known = Math.max(0, this.end - at);
    if (known >= lines.length) return false;
    if (at > this.end) {
      this.lines.push({ number: at, skipped: at - this.end });
      this.#style = {};
    }
    lines.slice(known).forEach((line, index) => {
      const { pieces, style } = parse(line, this.#style);
      this.#style = style;
      this.lines.push({ number: at + known + index, text: pieces.map((piece) => piece.text).join(""), pieces });
    });
    this.end = at + lines.length;
    if (this.lines.length > MOST) this.lines.splice(0, this.lines.length - MOST);
    return true;
  }

  /** Those from number `from` to before `end`. What is not there any more is a gap, unless it is the log's beginning. */
  between(from, end) {
    const found = this.lines.filter(({ number }) => number >= from && number < end);
    const [first] = found;
    const lost = first ? first.number - (first.skipped ?? 0) - from : 0;
    return from && lost > 0 ? [{ number: from, skipped: lost }, ...found] : found;
  }
}

/** Where `wanted` stands in `text`, as [start, end) pairs, whatever the case; none for nothing. */
export function matches(text, wanted) {
  const found = [];
  if (!wanted) return found;
  const [lower, sought] = [text.toLowerCase(), wanted.toLowerCase()];
  for (let at = lower.indexOf(sought); at >= 0; at = lower.indexOf(sought, at + sought.length)) {
    found.push([at, at + sought.length]);
  }
  return found;
}

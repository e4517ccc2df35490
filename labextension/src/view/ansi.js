/**
 * Lines with SGR sequences (ECMA-48: colours, bold, …) as pieces of text with their style. All other control sequences are cut out.
 *
 * A style is `{fg, bg, bold, dim, italic, underline, inverse}`; a colour is 0–15, one of the palette's, or "#rrggbb".
 */

// CSI … final byte, or the line's end; OSC … BEL or ST; other escapes of two characters; control characters but the tabulator.
/* eslint-disable no-control-regex */
const SEQUENCE =
  /\x1b\[([0-?]*)[ -/]*([@-~]|$)|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]|[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;
/* eslint-enable no-control-regex */

const FLAGS = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse" };
const LEVELS = [0, 95, 135, 175, 215, 255];

/** A line's pieces, `[{text, style}]`, and the style that the next line begins with. A progress line shows what was written last. */
export function parse(line, style = {}) {
  const pieces = [];
  const written = line.replace(/\r+$/, "");
  let last = 0;
  const add = (end) => {
    if (end > last) pieces.push({ text: written.slice(last, end), style });
  };
  for (const match of written.matchAll(SEQUENCE)) {
    add(match.index);
    last = match.index + match[0].length;
    if (match[2] === "m") style = next(style, match[1]);
    else if (match[0] === "\r") pieces.length = 0;
  }
  add(written.length);
  return { pieces, style };
}

/** The style after a sequence with these parameters. */
function next(style, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  let changed = { ...style };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    const tens = Math.floor(code / 10);
    if (code === 0) changed = {};
    else if (FLAGS[code]) changed[FLAGS[code]] = true;
    else if (code === 22) changed = without(changed, "bold", "dim");
    else if (FLAGS[code - 20]) changed = without(changed, FLAGS[code - 20]);
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(i + 1));
      i += used;
      if (colour !== null) changed[code === 38 ? "fg" : "bg"] = colour;
    } else if (code === 39) changed = without(changed, "fg");
    else if (code === 49) changed = without(changed, "bg");
    else if (tens === 3) changed.fg = code - 30;
    else if (tens === 4) changed.bg = code - 40;
    else if (code >= 90 && code <= 97) changed.fg = code - 82;
    else if (code >= 100 && code <= 107) changed.bg = code - 92;
  }
  return changed;
}

function without(style, ...names) {
  return Object.fromEntries(Object.entries(style).filter(([name]) => !names.includes(name)));
}

/** A colour of 256 or of 16 million, and how many parameters it takes. */
function extended([kind, ...values]) {
  if (kind === 5) return [indexed(values[0]), 2];
  if (kind === 2 && values.length >= 3) return [hex(values.slice(0, 3)), 4];
  return [null, 1];
}

function indexed(index) {
  if (!(index >= 0 && index <= 255)) return null;
  if (index < 16) return index;
  if (index >= 232) return hex(Array(3).fill(8 + 10 * (index - 232)));
  const cube = index - 16;
  return hex([LEVELS[Math.floor(cube / 36)], LEVELS[Math.floor(cube / 6) % 6], LEVELS[cube % 6]]);
}

function hex(levels) {
  return `#${levels.map((level) => Math.min(level, 255).toString(16).padStart(2, "0")).join("")}`;
}

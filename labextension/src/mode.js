/**
 * A `%%dockerfile` cell as a CodeMirror stream parser: the magic's line, then a Dockerfile.
 *
 * It goes by what the Dockerfile reference says of lines: an instruction ends with its line unless that ends in the escape character
 * (`\`, or a backtick where `# escape=` says so); comments and empty lines within it are skipped; the bodies of heredocs follow it and
 * are nobody's syntax. Names of tokens are CodeMirror's; what has no name here is plain text.
 */

/** What a cell starts with that is a Dockerfile. IPython, too, skips empty lines before a magic. */
export const MAGIC = /^(?:[ \t]*\r?\n)*%%dockerfile(?!\w)/;

const INSTRUCTIONS = new Set(
  (
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME " +
    "WORKDIR"
  ).split(" "),
);
const HAVE_HEREDOCS = new Set(["ADD", "COPY", "RUN"]);
const DIRECTIVE = /^#\s*(syntax|escape|check)\s*=\s*(\S*).*/i;
const HEREDOC = /^\d*<<(-?)(["']?)([A-Za-z_][\w.]*)\2/;

export const dockerfile = {
  name: "dockerlab-dockerfile",

  startState: () => ({
    part: "before", // then "magic", its line, then "dockerfile"
    mayDirect: true, // whether a comment can still be a directive
    escape: "\\",
    instruction: "",
    isContinued: false, // whether the next line belongs to this instruction
    expectsInstruction: false,
    mayBeFlag: false,
    heredocs: [], // those that this instruction has announced, in order
  }),

  copyState: (state) => ({ ...state, heredocs: [...state.heredocs] }),

  token(stream, state) {
    if (stream.sol() && state.part === "magic") state.part = "dockerfile";
    if (state.part !== "dockerfile") return magic(stream, state);
    if (stream.sol()) {
      if (!state.isContinued && state.heredocs.length) return heredoc(stream, state);
      const said = lineStart(stream, state);
      if (said !== undefined) return said;
    }
    if (stream.eatSpace()) return null;
    return state.expectsInstruction ? instruction(stream, state) : argument(stream, state);
  },

  blankLine(state) {
    if (state.part === "before") return;
    state.part = "dockerfile";
    state.mayDirect = false;
  },

  languageData: { commentTokens: { line: "#" } },
};

/** The magic and its flags: `%%dockerfile -t app --build-arg A=b`. */
function magic(stream, state) {
  if (stream.eatSpace()) return null;
  if (state.part === "before" && stream.match("%%dockerfile")) {
    state.part = "magic";
    return "meta";
  }
  if (stream.match(/^-[\w-]+/)) return "attributeName";
  stream.match(/^(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|\S)[^\s"']*/);
  return null;
}

/** What a line is as a whole: a comment's token, or undefined where an instruction begins or goes on. */
function lineStart(stream, state) {
  const directive = state.mayDirect && stream.match(DIRECTIVE);
  if (directive) {
    if (directive[1].toLowerCase() === "escape" && directive[2]) state.escape = directive[2][0];
    return "meta";
  }
  state.mayDirect = false;
  if (stream.match(/^\s*#.*/)) return "comment";
  if (stream.match(/^\s+$/)) return null;
  state.expectsInstruction = !state.isContinued;
  state.isContinued = false;
  return undefined;
}

function instruction(stream, state) {
  const word = stream.match(/^\S+/)[0].toUpperCase();
  state.instruction = word;
  state.expectsInstruction = word === "ONBUILD";
  state.mayBeFlag = true;
  return INSTRUCTIONS.has(word) ? "keyword" : "invalid";
}

function argument(stream, state) {
  const rest = stream.string.slice(stream.pos);
  if (rest[0] === state.escape && !rest.slice(1).trim()) {
    stream.skipToEnd();
    state.isContinued = true;
    return "operator";
  }
  if (state.mayBeFlag && stream.match(/^--[a-z][\w-]*/)) return "attributeName";
  // Of a flag's value: `=type=cache,target=/x`.
  const isValue = stream.pos > 0 && /\S/.test(stream.string[stream.pos - 1]);
  const mayBeFlag = state.mayBeFlag;
  state.mayBeFlag = mayBeFlag && isValue;
  if (HAVE_HEREDOCS.has(state.instruction)) {
    const found = stream.match(HEREDOC);
    if (found) {
      state.heredocs.push({ name: found[3], hasTabs: found[1] === "-", isFile: state.instruction !== "RUN" });
      return "labelName";
    }
  }
  if (!isValue && state.instruction === "FROM" && stream.match(/^as(?=\s)/i)) return "keyword";
  if (!isValue && state.instruction === "HEALTHCHECK" && stream.match(/^(?:CMD|NONE)(?=\s|$)/i)) return "keyword";
  if (stream.match(/^"(?:[^"\\]|\\.)*"?/) || stream.match(/^'[^']*'?/)) {
    // The rest of an open string may be the line's continuation.
    return "string";
  }
  if (stream.match(/^\$(?:\{[^}]*\}?|\w+)/)) return "variableName.special";
  if (state.instruction === "EXPOSE" && stream.match(/^\d+/)) return "number";
  // A flag's value ends where a space does; until then flags may follow.
  stream.next();
  stream.eatWhile((c) => !/[\s"'$<\\`]/.test(c));
  state.mayBeFlag = mayBeFlag && isValue;
  return null;
}

/** A line of a heredoc's body, or its end. */
function heredoc(stream, state) {
  const { name, hasTabs, isFile } = state.heredocs[0];
  stream.skipToEnd();
  const line = hasTabs ? stream.string.replace(/^\t+/, "") : stream.string;
  if (line !== name) return isFile ? "string" : null;
  state.heredocs.shift();
  return "labelName";
}

/**
 * JupyterLab's plugin: while a code cell's source starts with `%%dockerfile`, its language is ours; before and after, the notebook's.
 *
 * A cell's language is the MIME type of its model, which is not saved. The notebook sets it anew for all cells whenever the kernel says what
 * it speaks, so that both the source and the type are followed.
 */
import { LanguageSupport, StreamLanguage } from "@codemirror/language";
import { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import { INotebookTracker } from "@jupyterlab/notebook";
import { MAGIC, dockerfile } from "./mode.js";

const MIME = "text/x-dockerlab-dockerfile";

/** Follows a cell until its model is disposed, which ends its signals. */
function follow(cell) {
  if (cell.type !== "code") return;
  let usual = cell.mimeType;
  const update = () => {
    if (MAGIC.test(cell.sharedModel.getSource())) {
      if (cell.mimeType !== MIME) {
        usual = cell.mimeType;
        cell.mimeType = MIME;
      }
    } else if (cell.mimeType === MIME) {
      cell.mimeType = usual;
    }
  };
  cell.sharedModel.changed.connect(update);
  cell.mimeTypeChanged.connect(update);
  update();
}

function followAll(panel) {
  const followed = new WeakSet();
  const update = () => {
    for (const cell of panel.model?.cells ?? []) {
      if (followed.has(cell)) continue;
      followed.add(cell);
      follow(cell);
    }
  };
  const begin = () => {
    panel.model?.cells.changed.connect(update);
    update();
  };
  panel.content.modelChanged.connect(begin);
  begin();
}

export default {
  id: "jupyter-dockerlab:highlighting",
  description: "Colours %%dockerfile cells.",
  autoStart: true,
  requires: [IEditorLanguageRegistry, INotebookTracker],
  activate: (app, languages, notebooks) => {
    languages.addLanguage({
      name: "dockerlab-dockerfile",
      displayName: "Dockerfile (dockerlab)",
      mime: MIME,
      support: new LanguageSupport(StreamLanguage.define(dockerfile)),
    });
    notebooks.forEach(followAll);
    notebooks.widgetAdded.connect((_, panel) => followAll(panel));
  },
};

/**
 * Markup into the page, by changing what differs: what the user has done with an element stays on it.
 *
 * The user's are: which `<details>` stand open (until the markup itself says something else), what is typed or ticked, the focus, the
 * selection and what is scrolled. The page's are the children of what it has filled: `[data-drawers]`, and a `[data-log]` that has lines.
 */
import morphdom from "morphdom";

/** What the markup last said of a `<details>`: open or not. */
const said = new WeakMap();

/** Elements whose children are the page's, not the markup's. */
export const filled = new WeakSet();

const SCROLLABLE = "pre, [data-key], [data-scroll]";

/** root: an element whose children become those of `html`. isDrawer: whether it is a drawer's body, whose keys are its own. */
export function patch(root, html, { isDrawer = false } = {}) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const wanted = root.cloneNode(false);
  wanted.append(template.content);
  const scrolled = [...root.querySelectorAll(SCROLLABLE)]
    .map((element) => [element, element.scrollTop, element.scrollLeft])
    .filter(([, top, left]) => top || left);
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  morphdom(root, wanted, {
    childrenOnly: true,
    getNodeKey: (node) => key(node, isDrawer),
    onBeforeElUpdated: keep,
    onBeforeElChildrenUpdated: (element) => !filled.has(element),
  });
  for (const details of root.querySelectorAll("details")) if (!said.has(details)) said.set(details, details.open);
  // Whatever was moved has lost these.
  for (const [element, top, left] of scrolled) {
    if (element.isConnected && element.scrollTop !== top) element.scrollTop = top;
    if (element.isConnected && element.scrollLeft !== left) element.scrollLeft = left;
  }
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

function key(node, isDrawer) {
  if (node.nodeType !== Node.ELEMENT_NODE) return undefined;
  const own = node.dataset.key ?? (node.localName === "template" ? node.dataset.for : undefined);
  if (own === undefined || (!isDrawer && node.parentElement?.closest("[data-drawers]"))) return undefined;
  return `${node.localName} ${own}`;
}

/** Before an element is made like `wanted`: what is the user's goes over to `wanted`. */
function keep(element, wanted) {
  if (element.localName === "template") {
    element.content.replaceChildren(...wanted.content.childNodes);
    return false;
  }
  if (element.dataset.log !== wanted.dataset.log) filled.delete(element);
  if (element.localName === "details") {
    const before = said.get(element) ?? element.open;
    said.set(element, wanted.open);
    if (before === wanted.open) wanted.open = element.open;
  } else if (element.localName === "input") {
    wanted.checked = element.checked;
    wanted.value = element.value;
  } else if (element.localName === "textarea") {
    wanted.value = element.value;
  } else if (element.localName === "select") {
    const chosen = [...element.selectedOptions].map((option) => option.value);
    for (const option of wanted.options) option.toggleAttribute("selected", chosen.includes(option.value));
  }
  return true;
}

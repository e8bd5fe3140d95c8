// Elements by hand. What comes from the gateway becomes text, never markup.

export type Child = Node | string | number | null | undefined | false;
type Props = Record<string, unknown>;
const SVG = "http://www.w3.org/2000/svg";

function fill(element: Element, props: Props, children: Child[]): void {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (name === "css") {
      for (const [key, each] of Object.entries(value as Record<string, string>)) {
        (element as HTMLElement).style.setProperty(key, each);
      }
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Make an element; `on…` props are listeners, `css` sets style properties one by one. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, props, children);
  return element;
}

/** The same of SVG. */
export function s(tag: string, props: Props = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS(SVG, tag) as SVGElement;
  fill(element, props, children);
  return element;
}

export function clear(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  fill(element, {}, children);
}

let numbers = 0;
/** An id that no other element has. */
export function fresh(name: string): string {
  numbers += 1;
  return `${name}-${numbers}`;
}

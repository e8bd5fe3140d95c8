// Light, dark, or as the system has it.

import { h } from "./dom";

const KEY = "waterfall.theme";
const NEXT: Record<string, string> = { auto: "light", light: "dark", dark: "auto" };
const MARKS: Record<string, string> = { auto: "◐", light: "○", dark: "●" };

function chosen(): string {
  const found = localStorage.getItem(KEY) ?? "auto";
  return found in NEXT ? found : "auto";
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = chosen();
}

export function themeButton(): HTMLElement {
  const button = h("button", { type: "button", class: "quiet icon" });
  const name = (): void => {
    button.textContent = MARKS[chosen()] ?? "";
    button.title = `Theme: ${chosen()}`;
    button.setAttribute("aria-label", `Theme: ${chosen()}. Change to ${NEXT[chosen()]}`);
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, NEXT[chosen()] ?? "auto");
    applyTheme();
    name();
  });
  name();
  return button;
}

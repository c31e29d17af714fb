/** Colours for canvases, which know no style sheets: read from the page, and again whenever its theme changes. */

export interface Theme {
  readonly isDark: boolean;
  readonly isHighContrast: boolean;
  readonly foreground: string;
  readonly muted: string;
  readonly grid: string;
  readonly background: string;
  readonly accent: string;
  readonly font: string;
}

let current: Theme | undefined;

/** Colours of the moment. */
export function theme(): Theme {
  current ??= readTheme();
  return current;
}

function readTheme(): Theme {
  const style = getComputedStyle(document.body);
  const variable = (name: string) => style.getPropertyValue(name).trim();
  const background = style.backgroundColor;
  const channels = (background.match(/[\d.]+/g) ?? ["255", "255", "255"]).slice(0, 3).map(Number);
  const isHighContrast =
    document.body.className.includes("high-contrast") || matchMedia("(prefers-contrast: more)").matches;
  return {
    isDark: 0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2] < 128,
    isHighContrast,
    foreground: style.color,
    muted: isHighContrast ? style.color : variable("--muted"),
    grid: variable("--grid"),
    background,
    accent: variable("--accent"),
    font: style.fontFamily,
  };
}

/** Calls back after every change of theme, from the editor or the system. */
export function onThemeChange(listener: () => void): void {
  const changed = () => {
    current = undefined;
    listener();
  };
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["style", "class"] });
  observer.observe(document.body, {
    attributes: true,
    attributeFilter: ["class", "data-vscode-theme-kind", "style"],
  });
  for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"])
    matchMedia(query).addEventListener("change", changed);
}

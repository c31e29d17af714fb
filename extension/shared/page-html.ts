/** The HTML around a page's bundle, for VS Code's webviews and for `slm board`: nothing but what bears the nonce runs. */
import { PAGES, type PageName } from "./protocol.js";

export interface PageHtmlOptions {
  /** A page of the board, or the form, which only the editor has. */
  readonly page: PageName | "form";
  /** Fresh random text for every response. */
  readonly nonce: string;
  readonly script: string;
  readonly style: string;
  /** Sources a page may connect to: "'self'" on the board, nothing in VS Code. */
  readonly connect: string;
  /** Where VS Code serves a webview's files from; empty on the board. */
  readonly resources: string;
  /** Addresses of the pages, for a bar to go between them; absent in VS Code, which has tabs. */
  readonly links?: Readonly<Record<PageName, string>>;
}

export const PAGE_TITLES: Readonly<Record<PageName, string>> = {
  dashboard: "Runs",
  clusters: "Clusters",
  comparison: "Comparison",
};

const TITLES = { ...PAGE_TITLES, form: "Configuration" };

/** The content security policy of a page. */
export function contentSecurityPolicy({ nonce, connect, resources }: PageHtmlOptions): string {
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}' ${resources}`.trim(),
    "img-src data: blob:",
    connect === "" ? "" : `connect-src ${connect}`,
    "base-uri 'none'",
    "form-action 'none'",
  ]
    .filter(Boolean)
    .join("; ");
}

/** The whole document. */
export function pageHtml(options: PageHtmlOptions): string {
  const { page, nonce, script, style, links } = options;
  const bar =
    links === undefined
      ? ""
      : `<nav class="pages" aria-label="Pages"><strong>slm-forge</strong>${PAGES.map(
          (name) =>
            `<a href="${escapeHtml(links[name])}"${name === page ? ' aria-current="page"' : ""}>${PAGE_TITLES[name]}</a>`,
        ).join("")}</nav>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(contentSecurityPolicy(options))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<link rel="stylesheet" nonce="${nonce}" href="${escapeHtml(style)}">
<title>${TITLES[page]} – slm-forge</title>
</head>
<body class="page-${page}">
${bar}
<main id="page"></main>
<script nonce="${nonce}" src="${escapeHtml(script)}"></script>
</body>
</html>
`;
}

/** Text as it may stand in an element or an attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

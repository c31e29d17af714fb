/** report.html: the comparison page of the board and of VS Code with its report inside, so that one file can be sent round. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { escapeHtml } from "../extension/shared/page-html.js";
import type { ComparisonReport } from "../specialization/stages/report-types.js";
import { packageRoot } from "./version.js";

/** The whole document; it loads nothing else. @throws Error when the pages have not been built */
export function reportPage(report: ComparisonReport): string {
  const [script, style] = [bundle("comparison.js"), bundle("comparison.css")];
  /* "</script" inside a string would end the element */
  const json = JSON.stringify(report).replaceAll("<", "\\u003c");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${escapeHtml(report.name)} – comparison</title>
<style>${style}</style>
</head>
<body class="page-comparison">
<main id="page"></main>
<script type="application/json" id="report">${json}</script>
<script>${script.replaceAll("</script", "<\\/script")}</script>
</body>
</html>
`;
}

function bundle(name: string): string {
  const path = join(packageRoot(), "dist", "pages", name);
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new Error(`${path}: the pages are not built. Run npm run build:pages in ${packageRoot()}.`, {
      cause,
    });
  }
}

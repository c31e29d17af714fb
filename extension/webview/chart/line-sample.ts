/** A piece of a line as a chart draws it, with its colour and dashes, for legends and lists. */

export function lineSample({ color, dash }: { color: string; dash: readonly number[] }): SVGSVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(namespace, "svg");
  picture.setAttribute("class", "line-sample");
  picture.setAttribute("viewBox", "0 0 22 10");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(namespace, "line");
  const places = { x1: "0", x2: "22", y1: "5", y2: "5", stroke: color, "stroke-width": "3" };
  for (const [name, value] of Object.entries(places)) line.setAttribute(name, value);
  if (dash.length > 0) line.setAttribute("stroke-dasharray", dash.join(" "));
  picture.append(line);
  return picture;
}

"use strict";
// Figures: the data come from the page, colours of text and grid from its style sheet, also when that changes.
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const narrow = window.matchMedia("(max-width: 560px)");

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = (given) => ({
    gridcolor: colour("--grid"), linecolor: colour("--line"), zerolinecolor: colour("--grid"),
    tickcolor: colour("--line"), ...given, tickfont: { color: colour("--soft"), size: narrow.matches ? 10 : 12 },
    title: { ...(given || {}).title, font: { color: colour("--soft"), size: narrow.matches ? 11 : 13 } },
  });
  const ternary = layout.ternary && { ...layout.ternary, bgcolor: "rgba(0,0,0,0)" };
  for (const name of ternary ? ["aaxis", "baxis", "caxis"] : []) ternary[name] = axis(ternary[name]);
  return {
    ...layout, ...(ternary && { ternary }), paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("--ink"), size: 13 },
    hoverlabel: { ...layout.hoverlabel, bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
    xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis),
  };
}

function traces(data) {
  return data.map((trace) => trace.type !== "heatmap" || !narrow.matches ? trace
    : { ...trace, xgap: 0.5, ygap: 0.5, textfont: { size: trace.x.length > 8 ? 8 : 10 } });
}

function draw() {
  for (const place of document.querySelectorAll("[data-figure]")) {
    const figure = figures[Number(place.dataset.figure)];
    const options = { responsive: true, displaylogo: false, displayModeBar: false, plotlyServerURL: "" };
    Plotly.react(place, traces(figure.data), themed(figure.layout), options);
  }
}
draw();
for (const query of [dark, narrow]) query.addEventListener("change", draw);

// Tables: a click on a heading sorts by it, a second click the other way round; empty cells stay at the end.
function key(row, column) {
  const text = row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const a = key(one, column), b = key(other, column);
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * compare(a, b);
    });
    table.tBodies[0].append(...rows);
    for (const other of headings) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  }));
}

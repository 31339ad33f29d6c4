// What is seen, as files: the ranking and a trend as CSV, the map as SVG and PNG.
"use strict";

/** A file name: whose figures, and of what; synthetic ones say so first. */
function fileName(parts, ending) {
  const all = [DATA.release.synthetic ? text("file_synthetic") : "", text("file"), ...parts];
  return `${all.filter(Boolean).join("_").replace(/[^\p{L}\p{N}_-]+/gu, "-")}.${ending}`;
}

function save(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// --- CSV: in English with comma and point; else as a Belgian Excel reads it: semicolon, decimal comma, codes as text

/** What a cell holds: a number, words, or for an area its code. As ``for_excel`` in files.py. */
function csvWords(value) {
  const forExcel = language !== "en";
  if (value === undefined || value === null) return "";
  if (typeof value === "object") return forExcel ? `="${value.code}"` : value.code;
  // What begins like a formula is shown as it is, with the apostrophe by which Excel marks a text.
  if (typeof value === "string") return value.replace(/^[=+\-@\t\r]/, "'$&");
  const number = String(Number.isInteger(value) ? value : +value.toFixed(4));
  return forExcel ? number.replace(".", ",") : number;
}

function csvText(heads, rows) {
  const separator = language === "en" ? "," : ";";
  const written = value => {
    const words = csvWords(value);
    return /[";,\r\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  };
  return "\ufeff" + [heads, ...rows].map(row => row.map(written).join(separator)).join("\r\n") + "\r\n";
}

const csvFile = (name, heads, rows) => save(name, new Blob([csvText(heads, rows)], { type: "text/csv;charset=utf-8" }));

const FIGURE_HEADS = ["patients", "beneficiaries", "rate", "lower", "upper", "status", "reliability", "release"];
/** The columns in words; the rate is called what it is. */
const heads = (keys, cell) => [...keys, ...FIGURE_HEADS, ...MARK]
  .map(key => (key === "rate" && cell === STANDARDISED ? unitOf(cell) : text(key)));
const MARK = DATA.release.synthetic ? ["synthetic"] : []; // a column of its own, filled in every row
const figureCells = shown => [shown.n, shown.N, shown.rate, shown.lower, shown.upper,
  shown.status === "suppressed" || shown.status === "published" ? label("status", shown.status) : text("empty"),
  shown.care === undefined ? "" : label("reliability", shown.care ? "care" : "reliable"),
  DATA.release.number, ...MARK.map(key => text(key))];

function downloadRanking({ year, cell, parts }) {
  csvFile(fileName(parts, "csv"), heads(["year", "rank", "code", "area", "within", "group"], cell),
    ranking.rows.map(row => [year, row.rank, row.area, row.name, row.within, cellLabel(cell), ...figureCells(row)]));
}

function downloadTrend({ area, year, cell }) {
  const rows = [area, ...comparedWith(area, year)].flatMap(each => DATA.years.map(at => [each, at, figure(each, at, cell)]));
  csvFile(fileName([nameOf(area, year), area.code, cell === TOTAL ? "" : cellLabel(cell)], "csv"),
    heads(["year", "code", "area", "group"], cell),
    rows.filter(([, , shown]) => shown.status !== "absent")
      .map(([each, at, shown]) => [at, each, nameOf(each, at), cellLabel(cell), ...figureCells(shown)]));
}

// --- The map on a sheet of its own, with title, legend and source

const SHEET = { width: 1000, top: 100, legend: 64, foot: 66 };

function mapSheet({ year, cell, title, parts }) {
  const width = SHEET.width - 60, height = width * DATA.frame[3] / DATA.frame[2];
  const all = SHEET.top + SHEET.legend + height + SHEET.foot;
  const sheet = d3.create("svg").attr("xmlns", "http://www.w3.org/2000/svg")
    .attr("viewBox", `0 0 ${SHEET.width} ${all}`).attr("width", SHEET.width).attr("height", all)
    .attr("font-family", "Inter, Segoe UI, Roboto, Helvetica, Arial, sans-serif").attr("fill", "#1b2430");
  const write = (x, y, size, words) =>
    sheet.append("text").attr("x", x).attr("y", y).attr("font-size", size).text(words);
  sheet.append("title").text(title);
  sheet.append("rect").attr("width", SHEET.width).attr("height", all).attr("fill", "#fff");
  write(30, 50, 26, text("title")).attr("font-weight", 700);
  write(30, 80, 17, `${title} · ${unitOf(cell)}`).attr("fill", "#4b5563");

  const entries = [...classes(), ["url(#care)", text("legend_care"), COLOURS[2]], ["url(#hatch)", text("legend_hidden")], ["url(#blank)", text("legend_none")]];
  const step = width / entries.length, row = sheet.append("g").attr("transform", `translate(30,${SHEET.top + 4})`);
  entries.forEach(([fill, words, ground], i) => {
    for (const each of ground ? [ground, fill] : [fill]) // the mark of care lies on the colour of a class
      row.append("rect").attr("x", i * step).attr("width", step - 6).attr("height", 16)
        .attr("fill", each).attr("stroke", "#9aa1ab").attr("stroke-width", 0.6);
    row.append("text").attr("x", i * step).attr("y", 33).attr("font-size", 12).text(words);
  });

  const drawn = sheet.append("svg").attr("x", 30).attr("y", SHEET.top + SHEET.legend)
    .attr("width", width).attr("height", height).attr("viewBox", DATA.frame.join(" ")).attr("overflow", "hidden");
  sheet.append(() => atlasMap.svg.select("defs").node().cloneNode(true)).selectAll("pattern").attr("patternTransform", null);
  // The shapes are in units of the frame; a hatch inside them has to be enlarged to be seen.
  const units = DATA.frame[2] / width / atlasMap.scale;
  sheet.selectAll("pattern").clone(true).attr("id", function () { return `${this.id}-map`; })
    .attr("patternTransform", `scale(${units})`);
  const inside = drawn.append("g").attr("transform", atlasMap.inside.attr("transform")).attr("fill-rule", "evenodd");
  for (const layer of ["ground", "areas", "care", "borders"]) for (const path of atlasMap[layer].node().children) {
    const copy = inside.append("path");
    for (const name of ["d", "fill", "stroke", "stroke-width", "stroke-opacity"]) copy.attr(name, path.getAttribute(name));
    copy.attr("vector-effect", "non-scaling-stroke");
    const fill = copy.attr("fill");
    if (fill?.startsWith("url")) copy.attr("fill", fill.replace(")", "-map)"));
  }
  if (DATA.release.synthetic) {
    const mark = text("synthetic").toUpperCase(), middle = [SHEET.width / 2, SHEET.top + SHEET.legend + height / 2];
    const marked = words => words.attr("font-weight", 700).attr("fill", "#9a3412");
    marked(write(SHEET.width - 30, 50, 22, mark)).attr("text-anchor", "end");
    marked(write(0, 0, 74, mark)).attr("text-anchor", "middle").attr("fill-opacity", 0.16)
      .attr("transform", `translate(${middle}) rotate(-24)`);
  }
  write(30, all - 34, 13, sourceWords());
  write(30, all - 14, 12, creditOf(outlinesOf(year))).attr("fill", "#4b5563");
  return { svg: new XMLSerializer().serializeToString(sheet.node()), width: SHEET.width, height: all, name: parts };
}

function downloadSvg(view) {
  const sheet = mapSheet(view);
  save(fileName(sheet.name, "svg"), new Blob([sheet.svg], { type: "image/svg+xml" }));
}

async function downloadPng(view) {
  const sheet = mapSheet(view), image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(sheet.svg)}`; // a blob would taint the canvas of a file
  await image.decode();
  const canvas = element("canvas", { width: 2 * sheet.width, height: Math.round(2 * sheet.height) });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob(blob => save(fileName(sheet.name, "png"), blob), "image/png");
}

// The panel of the chosen area: its figure in words, its trend, its breakdowns, each chart with its table.
"use strict";

const SERIES_COLOURS = ["#b4560a", "#4b5563", "#6d4aa3"]; // those it is compared with; the area itself is in accent
const SERIES_DASHES = ["5 3", "1.5 3", "8 3 2 3"];
const ACCENT = "#0a5c8f";

/** element("p", {class: "note"}, "text", otherElement) */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  made.append(...children.filter(child => child !== undefined && child !== null));
  return made;
}

function tableOf(caption, heads, rows) {
  const cell = (value, i) => element(i ? "td" : "th", i ? {} : { scope: "row" }, value);
  return element("table", {}, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...heads.map(head => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map(row => element("tr", {}, ...row.map(cell)))));
}

const asTable = (kind, caption, heads, rows, open) => element("details", { "data-kind": kind, open },
  element("summary", {}, text("as_table")),
  element("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": caption }, tableOf(caption, heads, rows)));

function drawPanel(panel, { area, year, cell, actions }) {
  const opened = new Set([...panel.querySelectorAll("details[open]")].map(details => details.dataset.kind));
  const shown = figure(area, year, cell);
  panel.replaceChildren(
    ...panelHead(area, year, cell, shown), element("div", { class: "actions" }, ...actions),
    ...trendPart(area, year, cell, panelWidth(panel), opened), ...breakdownPart(area, year, cell, panelWidth(panel), opened));
}

const panelWidth = panel => Math.max(260, panel.clientWidth - 2 * parseFloat(getComputedStyle(panel).paddingLeft));

// --- In words

function panelHead(area, year, cell, shown) {
  return [
    element("p", { class: "kicker" }, panelPlace(area, year)),
    element("h2", { id: "area-name", tabindex: -1 }, nameOf(area, year)),
    element("p", { class: "subtitle" }, [String(year), ...(cell === TOTAL ? [] : [cellLabel(cell)])].join(" · ")),
    headline(area, year, cell, shown),
    ...(shown.care ? [element("p", { class: "badge" }, text("care"))] : []),
    element("dl", { class: "facts" }, ...panelFacts(area, year, cell, shown).map(([name, value, hint]) =>
      element("div", { title: hint }, element("dt", {}, name), element("dd", {}, value)))),
  ];
}

/** "Municipality · Province of Liège · Walloon Region · 62063" */
function panelPlace(area, year) {
  if (area.level === "country") return "";
  const above = LEVELS.slice(1, LEVELS.indexOf(area.level)).reverse().map(level => ancestor(area, level, year))
    .filter(each => each && each.code !== area.code);
  const others = above.filter((each, i) => above.findIndex(other => other.code === each.code) === i); // Brussels is two
  return [label("level", area.level), ...others.slice(0, 2).map(each => nameOf(each, year)), area.code].join(" · ");
}

/** [name, value, what it means] */
function panelFacts(area, year, cell, shown) {
  const facts = [], counted = cell !== STANDARDISED;
  const hides = shown.status === "suppressed" && counted;
  if (shown.n !== undefined || hides) facts.push([text("patients"), hides ? text("hidden_count") : whole(shown.n)]);
  if (counted && shown.status !== "absent")
    facts.push([text("beneficiaries"), shown.N === undefined ? text("hidden_count") : whole(shown.N)]);
  if (shown.lower !== undefined) facts.push([text("interval"), interval(shown)]);
  const adjusted = cell === TOTAL && area.standardised ? figure(area, year, STANDARDISED) : { status: "absent" };
  if (adjusted.status !== "absent")
    facts.push([text("standardised"), inWords(adjusted, year), text("standardised_hint")]);
  return facts;
}

function headline(area, year, cell, shown) {
  if (shown.status === "published") {
    const words = cell === STANDARDISED ? [unitOf(cell)] : [text("per_10000"), element("small", {}, share(shown.rate))];
    return element("p", { class: "headline" }, element("b", {}, perTenThousand(shown.rate)), " ", element("span", {}, ...words));
  }
  const first = area.history[0][0], last = Math.min(area.history.at(-1)[1], DATA.years.at(-1));
  const [from, to] = periodOf(area, year);
  const words = {
    suppressed: text("suppressed_more"),
    empty: text("empty"),
    absent: from <= year && year <= to ? text("absent_now", { year }) : text("absent", { year, first, last }),
  };
  return element("p", { class: `headline words ${shown.status}` }, words[shown.status]);
}

/** "8,1 % · about 1 in 12": of a rate that is a share. */
const share = rate => (rate > 0 ? `${percent(rate)} · ${oneIn(rate)}` : percent(rate));

const SHARES = [[1, 5], [1, 4], [3, 10], [1, 3], [2, 5], [1, 2], [3, 5], [2, 3], [3, 4], [4, 5], [9, 10], [1, 1]];

/** "about 1 in 12", or the nearest of a few simple shares where it is large. */
function oneIn(rate) {
  const part = rate / 10_000, nearest = d3.minIndex(SHARES, ([a, b]) => Math.abs(a / b - part));
  const [a, b] = part < 0.19 ? [1, Math.round(1 / part)] : SHARES[nearest];
  return text("one_in", { a: whole(a), b: whole(b) });
}

/** For a screen reader a chart is one picture with one text; Plot names its layers too. */
function asPicture(chart) {
  for (const layer of chart.querySelectorAll("g[aria-label]")) layer.removeAttribute("aria-label");
  chart.setAttribute("role", "img");
  return chart;
}

// --- Trend

/** The labels of an axis: with as many decimals as its lines need, so that they say where these are. */
function axisWords(value, _, ticks) {
  const places = ticks?.length > 1 ? d3.precisionFixed(Math.abs(ticks[1] - ticks[0])) : 0;
  return format(places).format(value);
}

const COUNT_HEADS = () => [text("rate"), text("interval"), text("patients"), text("beneficiaries")];
const orNothing = count => (count === undefined ? "" : whole(count));
const countsInWords = (shown, year) => [inWords(shown, year), interval(shown), orNothing(shown.n), orNothing(shown.N)];

function trendPart(area, year, cell, width, opened) {
  const has = other => (cell === STANDARDISED ? other.standardised : other.counts[cell]);
  const others = comparedWith(area, year).filter(has);
  const series = [area, ...others].map((each, i) => ({
    area: each, name: nameOf(each, year), main: i === 0,
    colour: i ? SERIES_COLOURS[i - 1] : ACCENT, dash: i ? SERIES_DASHES[i - 1] : null,
    points: DATA.years.map(at => ({ year: at, name: nameOf(each, year), ...figure(each, at, cell) })),
  }));
  const [main, ...rest] = series;
  const heading = element("h3", {}, text("trend"));
  const caption = pair(text("trend"), [main.name, ...(cell === TOTAL ? [] : [cellLabel(cell)])].join(", "));
  const rows = main.points.map((point, i) => [String(point.year), ...countsInWords(point, point.year),
    ...rest.map(other => inWords(other.points[i], point.year))]);
  const heads = [text("year"), ...COUNT_HEADS(), ...rest.map(other => other.name)];
  const table = asTable("trend", caption, heads, rows, opened.has("trend"));
  const published = each => each.points.filter(point => point.status === "published");
  if (!series.some(each => published(each).length))
    return [heading, element("p", { class: "note" }, text("trend_none")), table];
  const chart = trendChart(series, year, width, trendInWords(main.name, published(main), caption));
  return [heading, seriesKey(series), element("div", { class: "chart", id: "trend" }, chart),
    element("p", { class: "fine" }, text("band")), table];
}

function trendInWords(name, points, caption) {
  if (!points.length) return `${caption}. ${text("trend_none")}`;
  const [first, last] = [points[0], points.at(-1)];
  const ends = { a: perTenThousand(first.rate), first: first.year, b: perTenThousand(last.rate), last: last.year };
  return text("trend_alt", { name, ...ends });
}

const seriesKey = series => element("ul", { class: "key" }, ...series.map(each => {
  const stroke = d3.create("svg").attr("width", 26).attr("height", 10).attr("aria-hidden", "true");
  stroke.append("line").attr("x2", 26).attr("y1", 5).attr("y2", 5)
    .attr("stroke", each.colour).attr("stroke-width", each.main ? 3 : 2).attr("stroke-dasharray", each.dash);
  return element("li", {}, stroke.node(), each.name);
}));

/** "name\n812,4\n95 % interval: 790,2–835,0", as a tip has it. */
const tipOf = (name, shown) => [name, perTenThousand(shown.rate),
  ...(shown.lower === undefined ? [] : [pair(text("interval"), interval(shown))]),
  ...(shown.care ? [text("care")] : [])].join("\n");

function trendChart(series, year, width, alternative) {
  const [main, ...rest] = series, years = DATA.years;
  const hidden = main.points.filter(point => point.status === "suppressed");
  const rate = point => (point.status === "published" ? point.rate : NaN);
  const isAlone = (point, i) =>
    point.lower !== undefined && [i - 1, i + 1].every(j => main.points[j]?.lower === undefined);
  const ticks = d3.ticks(years[0], years.at(-1), width < 420 ? 4 : 7).filter(Number.isInteger);
  const compared = each => [
    Plot.line(each.points, { x: "year", y: rate, stroke: each.colour, strokeWidth: 1.8, strokeDasharray: each.dash }),
    Plot.dot(each.points, { x: "year", y: rate, fill: each.colour, r: 1.6 }),
  ];
  const own = [
    Plot.ruleX(main.points.filter(isAlone),
      { x: "year", y1: "lower", y2: "upper", stroke: main.colour, strokeOpacity: 0.3, strokeWidth: 5 }),
    Plot.line(main.points, { x: "year", y: rate, stroke: main.colour, strokeWidth: 2.6 }),
    Plot.dot(main.points,
      { x: "year", y: rate, r: point => (point.year === year ? 5 : 2.6), fill: main.colour, stroke: "#fff" }),
    Plot.text(hidden, { x: "year", y: 0, text: () => "×", dy: -7, fill: "#6b7280", fontSize: 13 }),
  ];
  const band = Plot.areaY(main.points,
    { x: "year", y1: point => point.lower ?? NaN, y2: point => point.upper ?? NaN, fill: main.colour, fillOpacity: 0.16 });
  const tip = Plot.tip(series.flatMap(each => each.points.filter(point => point.status === "published")), Plot.pointer({
    x: "year", y: "rate", lineHeight: 1.3,
    title: point => tipOf(`${point.name}, ${point.year}`, { ...point, care: false }),
  }));
  const chart = Plot.plot({
    width, height: 250, marginLeft: 46, marginRight: 14, marginTop: 14, marginBottom: 28, ariaLabel: alternative,
    x: { domain: [years[0] - 0.4, years.at(-1) + 0.4], tickFormat: "d", ticks, label: null, insetLeft: 4 },
    y: { grid: true, zero: true, nice: true, ticks: 5, tickFormat: axisWords, label: null },
    marks: [
      Plot.ruleY([0], { stroke: "#9aa1ab" }),
      Plot.ruleX([year], { stroke: "#9aa1ab", strokeDasharray: "2 3" }),
      band, ...rest.flatMap(compared), ...own, tip,
    ],
  });
  return asPicture(chart);
}

// --- Breakdowns

function breakdownPart(area, year, cell, width, opened) {
  const heading = element("h3", {}, text("breakdown", { year }));
  const groups = Object.keys(area.counts).filter(each => each !== TOTAL);
  if (!groups.length) return [heading, element("p", { class: "note" }, text("breakdown_none"))];
  // The finer ages where the level has them, the three groups where it has not.
  const hasClasses = groups.some(each => each.startsWith("age_class."));
  const finest = hasClasses ? groups.filter(each => !each.startsWith("age_group.")) : groups;
  const rows = [TOTAL, ...finest].map(each =>
    ({ cell: each, name: cellLabel(each), dimension: split(each)[0], ...figure(area, year, each) }));
  const name = nameOf(area, year);
  const table = asTable("breakdown", `${name}, ${year}`, [text("group"), ...COUNT_HEADS()],
    rows.map(row => [row.name, ...countsInWords(row, year)]), opened.has("breakdown"));
  if (!rows.some(row => row.status === "published"))
    return [heading, element("p", { class: "note" }, text("trend_none")), table];
  const chart = breakdownChart(rows, cell, width, text("breakdown_alt", { name, year }));
  return [heading, element("div", { class: "chart", id: "breakdown" }, chart), table];
}

function breakdownChart(rows, cell, width, alternative) {
  const published = rows.filter(row => row.status === "published");
  const others = rows.filter(row => row.status !== "published");
  // One band a category, and an empty one between dimensions.
  const isFirst = (row, i) => i > 0 && rows[i - 1].dimension !== row.dimension;
  const bands = rows.flatMap((row, i) => (isFirst(row, i) ? [`gap ${row.dimension}`, row.cell] : [row.cell]));
  const isNarrow = width < 420;
  const names = Plot.text(rows, {
    x: 0, y: "cell", text: "name", textAnchor: "end", dx: -10, fontSize: isNarrow ? 11 : 12, fill: "#1b2430",
    fontWeight: row => (row.cell === cell ? 700 : 400),
  });
  const figures = [
    Plot.ruleX([0], { stroke: "#9aa1ab" }),
    Plot.ruleX(published.filter(row => row.cell === TOTAL), { x: "rate", stroke: "#9aa1ab", strokeDasharray: "2 3" }),
    Plot.ruleY(published, {
      y: "cell", x1: "lower", x2: "upper", stroke: ACCENT, strokeWidth: 5, strokeOpacity: 0.28, strokeLinecap: "round",
    }),
    Plot.dot(published,
      { y: "cell", x: "rate", fill: row => (row.care ? "#fff" : ACCENT), stroke: ACCENT, strokeWidth: 1.8, r: 4.2 }),
  ];
  const words = Plot.text(others, {
    y: "cell", x: 0, text: row => (row.status === "suppressed" ? text("suppressed") : "–"),
    textAnchor: "start", dx: 6, fontSize: 11.5, fontStyle: "italic", fill: "#5b6470",
  });
  const tip = Plot.tip(published, Plot.pointerY({
    y: "cell", x: "rate", anchor: "bottom", lineHeight: 1.3, title: row => tipOf(row.name, row),
  }));
  const chart = Plot.plot({
    width, height: 32 + 19 * bands.length, marginLeft: Math.min(218, width * 0.61), marginRight: 20,
    marginTop: 4, marginBottom: 28, ariaLabel: alternative,
    x: { grid: true, zero: true, ticks: isNarrow ? 2 : 4, tickFormat: axisWords, label: null, nice: true },
    y: { domain: bands, type: "point", axis: null },
    marks: [names, ...figures, words, tip],
  });
  return asPicture(chart);
}

// The ranking: areas of the level and year that are on the map, sorted, with their figures.
"use strict";

const FEW_ROWS = 20;
const ranking = { all: false, rows: [], sort: "-rate" };

/** Columns: key, heading, value to sort by, and what is shown. */
const RANKING_COLUMNS = [
  { key: "rank", head: () => text("rank"), by: row => row.rank },
  { key: "name", head: () => text("area"), by: row => row.name },
  { key: "within", head: () => text("within"), by: row => row.within },
  { key: "rate", head: () => text("rate"), by: row => row.rate, number: true },
  { key: "interval", head: () => text("interval"), by: row => (row.upper === undefined ? undefined : row.upper - row.lower), number: true },
  { key: "patients", head: () => text("patients"), by: row => row.n, number: true },
  { key: "beneficiaries", head: () => text("beneficiaries"), by: row => row.N, number: true },
  { key: "status", head: () => text("status"), by: row => row.status + (row.care ? "0" : "1") },
];
const RANKING_SORTS = new Set(RANKING_COLUMNS.flatMap(({ key }) => [key, `-${key}`]));

function rankingRows(areas, year, cell) {
  const rows = areas.map(area => {
    const above = LEVELS[LEVELS.indexOf(area.level) - 1];
    const within = ancestor(area, area.level === "municipality" ? "province" : above, year);
    return { area, year, name: nameOf(area, year), within: within ? nameOf(within, year) : "", ...figure(area, year, cell) };
  }).filter(row => row.status !== "absent");
  // No rank for what is to be interpreted with care: a few persons would change it (docs/release.md).
  d3.sort(rows.filter(row => row.rate !== undefined && !isWithCare(row)), row => -row.rate)
    .forEach((row, i, all) => { row.rank = i && all[i - 1].rate === row.rate ? all[i - 1].rank : i + 1; });
  return rows;
}

/** Also of an age-standardised rate, which rests on the same persons. */
const isWithCare = row => row.care || figure(row.area, row.year, TOTAL).care;

/** Sorted by a column, "-" for the largest first; what has no value stays last either way. */
function sortedRows(rows, sort) {
  const column = RANKING_COLUMNS.find(({ key }) => key === sort.replace("-", "")), sign = sort.startsWith("-") ? -1 : 1;
  const collator = new Intl.Collator(LOCALES[language]);
  const compare = (a, b) => (typeof a === "string" ? collator.compare(a, b) : a - b);
  return d3.sort(rows, (one, other) => {
    const [a, b] = [column.by(one), column.by(other)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined) || collator.compare(one.name, other.name);
    return sign * compare(a, b) || collator.compare(one.name, other.name);
  });
}

function drawRanking({ areas, year, cell, chosen, choose, resort, sort }) {
  const table = document.querySelector("#ranking table"), more = document.getElementById("more");
  const left = [...(areas[0]?.level === "region" ? ["within"] : []), ...(cell === STANDARDISED ? ["patients", "beneficiaries"] : [])];
  const columns = RANKING_COLUMNS.filter(({ key }) => !left.includes(key));
  const rows = (ranking.rows = sortedRows(rankingRows(areas, year, cell), sort));
  Object.assign(ranking, { columns, sort });
  table.tHead.rows[0].replaceChildren(...columns.map(column => rankingHead(column, sort, resort)));
  const top = d3.max(rows, row => row.rate) || 1;
  const visible = ranking.all ? rows : rows.slice(0, FEW_ROWS);
  const own = rows.find(row => row.area === chosen);
  if (own && !visible.includes(own)) visible.push(own);
  table.tBodies[0].replaceChildren(...visible.map(row => rankingRow(row, columns, top, row === own, choose, year)));
  table.caption?.remove();
  more.hidden = rows.length <= FEW_ROWS;
  more.textContent = ranking.all ? text("show_fewer") : text("show_all", { n: whole(rows.length) });
}

function rankingHead({ key, head, number }, sort, resort) {
  const isSorted = sort.replace("-", "") === key, isFalling = sort.startsWith("-");
  const arrow = isSorted ? (isFalling ? " ▼" : " ▲") : "";
  const button = element("button", { type: "button" }, head(), element("span", { class: "arrow", "aria-hidden": "true" }, arrow));
  const falls = isSorted ? !isFalling : number; // figures with the largest first, words from A on
  button.onclick = () => resort(falls ? `-${key}` : key);
  const direction = isSorted ? (isFalling ? "descending" : "ascending") : undefined;
  return element("th", { scope: "col", "data-key": key, class: number ? "number" : "", "aria-sort": direction }, button);
}

function rankingRow(row, columns, top, isChosen, choose, year) {
  const button = element("button", { type: "button", class: "link", "aria-pressed": String(isChosen) }, row.name);
  button.onclick = () => choose(row.area);
  const bar = element("i", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${row.rate === undefined ? 0 : 100 * row.rate / top}%`;
  const count = value => (value === undefined ? "–" : whole(value));
  const content = {
    rank: count(row.rank), name: button, within: row.within,
    rate: element("span", { class: "rate" }, bar, element("span", {}, row.rate === undefined ? "–" : perTenThousand(row.rate))),
    interval: interval(row), patients: count(row.n), beneficiaries: count(row.N),
    status: row.status !== "published" ? inWords(row, year) : row.care ? text("care") : label("status", "published"),
  };
  const cells = columns.map(({ key, number }) => (key === "name"
    ? element("th", { scope: "row" }, content.name)
    : element("td", { class: number ? "number" : "", "data-key": key }, content[key])));
  return element("tr", { class: [isChosen ? "chosen" : "", row.status].join(" "), "data-code": row.area.code }, ...cells);
}

// The data of the page, its language, and what a figure is. Nothing here touches what is seen.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const TOKEN = document.getElementById("data").dataset.token; // of the page and its sectors, as in page.py
const ABSENT = -2, HIDDEN = -1; // as in figures.py
const LANGUAGES = ["fr", "nl", "de", "en"];
const LOCALES = { fr: "fr-BE", nl: "nl-BE", de: "de-BE", en: "en-GB" };
const LEVELS = ["country", "region", "province", "arrondissement", "municipality", "sector"];
const TOTAL = "total.total", STANDARDISED = "standardised";

// --- Language

let language = "fr";
const formats = {};

function format(digits) {
  const key = language + digits;
  return (formats[key] ??= new Intl.NumberFormat(LOCALES[language], { minimumFractionDigits: digits, maximumFractionDigits: digits }));
}

const whole = value => format(0).format(value);
const perTenThousand = value => format(1).format(value);
const percent = value => // of a rate per 10 000
  format(value < 100 ? 2 : 1).format(value / 100) + (["nl", "en"].includes(language) ? "%" : "\u00a0%");
const day = iso => new Date(iso + "T12:00:00Z").toLocaleDateString(LOCALES[language], { dateStyle: "long", timeZone: "UTC" });

/** A text of the page in its language, with {name} replaced. */
function text(key, values = {}) {
  return DATA.texts[key][language].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** "Interval: 3–5", with the space that French has before a colon. */
const pair = (a, b) => text("pair", { a, b });

/** The label of a code: label("level", "region"), label("category", "sex", "F"). */
const label = (...path) => path.reduce((at, key) => at[key], DATA.labels)[language];

const plain = words => words.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase().replace(/[’'-]/g, " ");

// --- Areas

/** key ("municipality.62063") -> { key, level, code, history, counts: {cell: [...]}, standardised } */
const AREAS = new Map();
const BY_LEVEL = Object.fromEntries(LEVELS.map(level => [level, []]));

function addAreas(level, packed) {
  const cells = packed.cells.map(([dimension, category]) => `${dimension}.${category}`);
  for (const [code, history, figures] of packed.areas) {
    const area = { key: `${level}.${code}`, level, code, history, counts: {} };
    cells.forEach((cell, i) => { area.counts[cell] = figures[i]; });
    area.standardised = DATA.standardised[level]?.[code];
    if (AREAS.has(area.key)) continue; // a sector whose municipality changed its arrondissement is, whole, in two files
    AREAS.set(area.key, area);
    BY_LEVEL[level].push(area);
  }
}

for (const level of LEVELS) if (DATA.levels[level]) addAreas(level, DATA.levels[level]);

const periodOf = (area, year) => area.history.find(([first, last]) => first <= year && year <= last) ?? area.history.at(-1);
const nameIn = (names, language) => names[LANGUAGES.indexOf(language)] ?? names[0];
const nameOf = (area, year) => nameIn(periodOf(area, year)[3], language);
const parentCode = (area, year) => periodOf(area, year)[2];

/** The area of a level above, through the parents of the year. */
function ancestor(area, level, year) {
  for (let at = area; at; ) {
    if (at.level === level) return at;
    const above = LEVELS[LEVELS.indexOf(at.level) - 1];
    at = above && AREAS.get(`${above}.${parentCode(at, year)}`);
  }
  return undefined;
}

/** All names that the area has had, in all languages, without accents. */
const plainNames = area => (area.names ??= [...new Set(area.history.flatMap(([, , , names]) => names).map(plain))]);

/** Those that bear the name of an area in a year in which there is no such area: a code ends where borders change. */
function namesakes(area, year) {
  if (area.level === "sector" || existsIn(area, year)) return [];
  const isNamesake = other => existsIn(other, year) && plainNames(other).some(name => plainNames(area).includes(name));
  return BY_LEVEL[area.level].filter(isNamesake);
}

/** Whom a trend is compared with: the province (of a sector: the municipality) and Belgium; of Belgium, the regions. */
function comparedWith(area, year) {
  if (area.level === "country") return BY_LEVEL.region;
  const nearer = { sector: "municipality", municipality: "province", arrondissement: "province", province: "region" }[area.level];
  return [nearer, "country"].filter(Boolean).map(level => ancestor(area, level, year)).filter(Boolean);
}

// --- Figures

/** The 95 % score interval of n among N (Wilson 1927), per 10 000; as interval.py. */
function wilson(n, N) {
  const z = DATA.interval.z, share = n / N, middle = share + z * z / (2 * N);
  const half = z * Math.sqrt(share * (1 - share) / N + z * z / (4 * N * N)), scale = 10_000 / (1 + z * z / N);
  return [n === 0 ? 0 : (middle - half) * scale, n === N ? 10_000 : (middle + half) * scale];
}

/**
 * What the page says of an area in a year: { status, N, n, rate, lower, upper, care }.
 * status: "published", "suppressed", "empty" (nobody lives there) or "absent" (not an area of that year).
 */
function figure(area, year, cell) {
  const at = DATA.years.indexOf(year);
  if (cell === STANDARDISED) {
    const [rate, lower, upper] = area.standardised?.slice(3 * at, 3 * at + 3) ?? [ABSENT, ABSENT, ABSENT];
    if (rate < 0) return { status: rate === HIDDEN ? "suppressed" : "absent" };
    return lower < 0 ? { status: "published", rate } : { status: "published", rate, lower, upper };
  }
  const counts = area.counts[cell];
  const N = counts?.[2 * at] ?? ABSENT, n = counts?.[2 * at + 1] ?? ABSENT;
  if (n === ABSENT) return { status: "absent" };
  if (n === HIDDEN) return { status: "suppressed", N: N === HIDDEN ? undefined : N };
  if (N === 0) return { status: "empty", N, n };
  const [lower, upper] = wilson(n, N);
  const care = n < DATA.interval.patients || N < DATA.interval.beneficiaries;
  return { status: "published", N, n, rate: 10_000 * n / N, lower, upper, care };
}

const existsIn = (area, year) => area.counts[TOTAL][2 * DATA.years.indexOf(year) + 1] !== ABSENT;

/** The figure in words: "812,4 (790,2–835,0)", "suppressed" ... */
function inWords(shown, year) {
  if (shown.status === "suppressed") return text("suppressed");
  if (shown.status === "empty") return text("empty");
  if (shown.status === "absent") return text("absent_now", { year });
  return perTenThousand(shown.rate);
}

const interval = shown => (shown.lower === undefined ? "" : `${perTenThousand(shown.lower)}–${perTenThousand(shown.upper)}`);

const cellsOf = level => {
  const some = BY_LEVEL[level][0];
  const counts = some ? Object.keys(some.counts) : [TOTAL];
  return DATA.standardised[level] ? [TOTAL, STANDARDISED, ...counts.filter(cell => cell !== TOTAL)] : counts;
};

/** The figure in words, and that it is to be interpreted with care. */
const inWordsWithCare = (shown, year) => [inWords(shown, year), shown.care ? text("care") : ""].filter(Boolean).join(", ");

const sourceWords = () =>
  text("source", { publisher: DATA.publisher, n: DATA.release.number, date: day(DATA.release.date) });

/** What a rate of the cell is: a share of the beneficiaries, or a rate that is comparable between ages. */
const unitOf = cell => text(cell === STANDARDISED ? "standardised_per_10000" : "patients_per_10000");

function cellLabel(cell) {
  if (cell === STANDARDISED) return text("standardised");
  const [dimension, category] = split(cell);
  return label("category", dimension, category);
}

const split = cell => [cell.slice(0, cell.indexOf(".")), cell.slice(cell.indexOf(".") + 1)];

// --- Classes of the map: fixed over the years

const BOUNDS = [50, 100, 200, 400, 800, 1600];
// ColorBrewer's YlGnBu in seven classes: its order survives every kind of colour blindness, and grey printing.
const COLOURS = ["#ffffcc", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#0c2c84"];
const NOBODY = "#e9dcf0"; // a rate of exactly 0: neither paper nor the ground, nor the palest class
const colourOf = d3.scaleThreshold(BOUNDS, COLOURS);

function fillOf(shown) {
  if (shown.status !== "published") return shown.status === "suppressed" ? "url(#hatch)" : "url(#blank)";
  return shown.rate === 0 ? NOBODY : colourOf(shown.rate);
}

/** The classes with a colour: [colour, label]. A rate on a bound is in the class that begins there. */
function classes() {
  const labels = [`<\u00a0${whole(BOUNDS[0])}`,
    ...d3.pairs(BOUNDS, (a, b) => `${whole(a)}–<${whole(b)}`), `≥\u00a0${whole(BOUNDS.at(-1))}`];
  return [[NOBODY, "0"], ...d3.zip(COLOURS, labels)];
}

// --- Outlines

/** The outlines that belong to a year: { paths: {level: {code: path}}, source, year }, or undefined. */
const outlinesOf = year => DATA.outlines[DATA.outlines_of_year[DATA.years.indexOf(year)]];

/** Whose outlines they are: those of Statbel are described in the language of the page. */
function creditOf(outlines) {
  if (!outlines?.source.startsWith("Statbel")) return outlines?.source ?? "";
  return `${outlines.source.split(", ")[0]}, ${text(`outlines_${outlines.finest}`, { year: outlines.year })}`;
}

const pathOf = (area, year) => outlinesOf(year)?.paths[area.level]?.[area.code];

// --- Sectors: loaded when asked for

const sectorFiles = new Map(); // place -> a promise of true, or of the key of the text that says why not
const arrived = new Set();

/** A file of sectors calls this. What was written with another page (remade since, or elsewhere) is left alone. */
function receiveSectors(token, part) {
  if (token !== TOKEN || part.outlines.length !== DATA.outlines.length) return;
  addAreas("sector", part);
  part.outlines.forEach((paths, i) => { Object.assign((DATA.outlines[i].paths.sector ??= {}), paths); });
  arrived.add(part.place);
}

/** A script element works where the page is a file, which fetch does not. */
function loadSectors(place) {
  if (!sectorFiles.has(place)) sectorFiles.set(place, new Promise(resolve => {
    const script = document.createElement("script");
    script.src = `sectors/${place}.js?${TOKEN}`;
    script.onload = () => resolve(arrived.has(place) || "reload");
    script.onerror = () => { sectorFiles.delete(place); resolve("load_failed"); };
    document.head.append(script);
  }));
  return sectorFiles.get(place);
}

const isLoaded = place => arrived.has(place);

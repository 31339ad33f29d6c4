// What is seen and where it comes from: the state of the view, kept in the address, and who draws it.
"use strict";

const get = id => document.getElementById(id);
const announce = words => { get("live").textContent = words; };
const years = DATA.years;
const MAP_LEVELS = LEVELS.slice(1).filter(level => BY_LEVEL[level].length || (level === "sector" && DATA.places.length));
const COUNTRY = BY_LEVEL.country[0];

// --- The state, as the address has it: #year=2021&level=municipality&area=municipality.62063&show=sex.F&sort=-rate&lang=fr

const state = {};

/** The finest level but the sectors that the map of the latest year can draw. */
const firstLevel = () => ["municipality", "arrondissement", "province", "region"]
  .find(level => MAP_LEVELS.includes(level) && outlinesOf(years.at(-1))?.paths[level]) ?? MAP_LEVELS[0];

function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const among = (name, values, otherwise) => (values.includes(said.get(name)) ? said.get(name) : otherwise);
  language = among("lang", LANGUAGES, state.language ?? browserLanguage());
  state.language = language;
  state.year = years.includes(+said.get("year")) ? +said.get("year") : years.at(-1);
  state.level = among("level", MAP_LEVELS, firstLevel());
  state.place = among("place", DATA.places, DATA.places.find(place => place === "21000") ?? DATA.places[0]);
  state.area = said.get("area") ?? COUNTRY?.key; // a sector is known once its file is there
  state.cell = said.get("show") ?? TOTAL;
  state.sort = RANKING_SORTS.has(said.get("sort")) ? said.get("sort") : "-rate";
}

function browserLanguage() {
  const wanted = (navigator.languages ?? [navigator.language]).map(code => code.slice(0, 2).toLowerCase());
  return wanted.find(code => LANGUAGES.includes(code)) ?? "fr";
}

function writeAddress() {
  const said = new URLSearchParams({ year: state.year, level: state.level });
  if (state.level === "sector") said.set("place", state.place);
  if (state.area !== COUNTRY?.key) said.set("area", state.area);
  if (state.cell !== TOTAL) said.set("show", state.cell);
  if (state.sort !== "-rate") said.set("sort", state.sort);
  said.set("lang", language);
  history.replaceState(null, "", `#${said}`);
}

const chosenArea = () => AREAS.get(state.area) ?? COUNTRY;

/** Change the view; what does not go together with the change is put right in ``show``. */
function change(part) {
  Object.assign(state, part);
  show();
}

function choose(area) {
  const part = { area: area.key };
  if (area.level === "sector") part.place = ancestor(area, "arrondissement", state.year)?.code ?? state.place;
  if (area.level !== "country") part.level = MAP_LEVELS.includes(area.level) ? area.level : state.level;
  if (state.area !== area.key) announce(`${nameOf(area, state.year)}: ${inWords(figure(area, state.year, state.cell), state.year)}`);
  change(part);
}

function showSectorsOf(area) {
  change({ level: "sector", place: ancestor(area, "arrondissement", state.year).code });
}

// --- What is seen

/** The areas of the map and the ranking. */
function areasInView() {
  if (state.level !== "sector") return BY_LEVEL[state.level];
  return BY_LEVEL.sector.filter(area => ancestor(area, "arrondissement", state.year)?.code === state.place && existsIn(area, state.year));
}

function show() {
  if (state.level === "sector" && !isLoaded(state.place)) { awaitSectors(state.place); return; }
  const cells = cellsOf(state.level);
  if (!cells.includes(state.cell)) state.cell = TOTAL;
  showControls(cells);
  state.area = chosenArea().key; // a link may name an area that is not, or no longer, here
  const view = { ...state, areas: areasInView(), chosen: chosenArea() };
  const { drawn, without } = mapDraw(view);
  showMapWords(view, drawn, without);
  showPanel();
  showRanking(view);
  writeAddress();
  scheduleSlow();
}

/** The sectors of a place are on their way: say so, and draw when they are there. */
async function awaitSectors(place) {
  mapNote(text("loading"));
  showControls([TOTAL]);
  const outcome = await loadSectors(place);
  if (state.level !== "sector" || state.place !== place) return;
  if (outcome !== true) state.level = firstLevel();
  show();
  if (outcome !== true) { announce(text(outcome)); mapNote(text(outcome)); }
}

function showControls(cells) {
  for (const input of get("level").querySelectorAll("input")) input.checked = input.value === state.level;
  const group = get("group"), select = get("place");
  group.replaceChildren(...cellOptions(cells));
  group.value = state.cell;
  group.disabled = cells.length < 2;
  get("place-field").hidden = state.level !== "sector";
  if (state.level === "sector") {
    const places = DATA.places.map(code => [code, AREAS.get(`arrondissement.${code}`)]).map(([code, area]) => [code, area ? nameOf(area, state.year) : code]);
    select.replaceChildren(...d3.sort(places, ([, name]) => plain(name)).map(([code, name]) => new Option(name, code)));
    select.value = state.place;
  }
  const year = get("year");
  year.value = years.indexOf(state.year);
  year.setAttribute("aria-valuetext", state.year);
  get("year-shown").textContent = state.year;
}

function cellOptions(cells) {
  const single = cells.filter(cell => cell === TOTAL || cell === STANDARDISED).map(cell => new Option(cellLabel(cell), cell));
  const groups = d3.group(cells.filter(cell => cell !== TOTAL && cell !== STANDARDISED), cell => split(cell)[0]);
  return [...single, ...Array.from(groups, ([dimension, some]) => {
    const group = element("optgroup", { label: label("dimension", dimension) });
    group.append(...some.map(cell => new Option(cellLabel(cell), cell)));
    return group;
  })];
}

const placeName = () => (state.level === "sector" ? nameOf(AREAS.get(`arrondissement.${state.place}`), state.year) : "");
const viewTitle = place => [text(state.level), place, state.year, state.cell === TOTAL ? "" : cellLabel(state.cell)].filter(Boolean).join(" · ");

function showMapWords(view, drawn, without) {
  get("map-title").textContent = viewTitle();
  const alive = view.areas.filter(area => existsIn(area, state.year));
  const values = { n: whole(without), total: whole(alive.length), year: state.year };
  mapNote(!alive.length ? text("no_sectors", values) : !drawn ? text("no_outlines") : without ? text("no_outline", values) : "");
  const source = outlinesOf(state.year)?.source;
  get("map-source").textContent = source ? `${text("outlines")}: ${source}` : "";
}

function mapNote(words) {
  get("map-note").textContent = words;
  get("map-note").hidden = !words;
}

function showPanel() {
  const area = chosenArea(), actions = [];
  const button = (words, act, id) => { const made = element("button", { type: "button", id }, words); made.onclick = act; actions.push(made); };
  const moved = act => () => { act(); get("area-name").focus({ preventScroll: true }); }; // the button itself is gone
  if (area.level !== "country") button(text("back_to_country"), moved(() => change({ area: COUNTRY.key })), "to-country");
  const place = ancestor(area, "arrondissement", state.year);
  if (state.level !== "sector" && place && DATA.places.includes(place.code)) button(text("show_sectors"), moved(() => showSectorsOf(area)), "to-sectors");
  button(text("csv_trend"), () => downloadTrend({ ...state, area }), "csv-trend");
  const cell = area.counts[state.cell] || (state.cell === STANDARDISED && area.standardised) ? state.cell : TOTAL;
  drawPanel(get("panel"), { area, year: state.year, cell, actions });
}

function showRanking(view) {
  get("ranking-of").textContent = viewTitle(placeName());
  drawRanking({ ...view, choose: area => { choose(area); get("area-name").focus(); }, resort: sort => {
    change({ sort });
    document.querySelector(`#ranking th[data-key="${sort.replace("-", "")}"] button`)?.focus(); // the head is drawn anew
  } });
}

// --- What stays the same but for the language

function showLanguage() {
  document.documentElement.lang = language;
  document.title = `${DATA.release.synthetic ? `[${text("synthetic")}] ` : ""}${text("title")}`;
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = text(each.dataset.text);
  get("lead").textContent = text("lead", { first: years[0] });
  get("edition").textContent = `· ${text("edition", { n: DATA.release.number, date: day(DATA.release.date) })}`;
  get("foot").textContent = text("source", { n: DATA.release.number, date: day(DATA.release.date) });
  get("search").placeholder = text("search_hint");
  get("results").setAttribute("aria-label", text("search"));
  get("languages").setAttribute("aria-label", text("language"));
  get("map-actions").setAttribute("aria-label", text("download"));
  for (const [id, key] of [["zoom-in", "zoom_in"], ["zoom-out", "zoom_out"], ["zoom-reset", "zoom_reset"]])
    for (const name of ["aria-label", "title"]) get(id).setAttribute(name, text(key));
  const names = { fr: "Français", nl: "Nederlands", de: "Deutsch", en: "English" };
  get("languages").replaceChildren(...LANGUAGES.map(code => {
    const button = element("button", { type: "button", lang: code, title: names[code], "aria-label": names[code], "aria-pressed": String(code === language) }, code.toUpperCase());
    button.onclick = () => { language = state.language = code; showLanguage(); show(); get("languages").querySelector(`[lang=${code}]`).focus(); };
    return button;
  }));
  get("level").querySelector(".segments").replaceChildren(...MAP_LEVELS.map(level =>
    element("label", {}, element("input", { type: "radio", name: "level", value: level }), element("span", {}, text(level)))));
  showPlay();
  mapLegend();
  showAbout();
}

function showAbout() {
  const fiche = DATA.fiche[language], part = (key, ...content) => element("div", {}, element("h3", {}, text(key)), ...content);
  const paragraph = words => element("p", {}, words);
  const link = (href, words) => element("a", { href }, words);
  const sources = [...new Set(DATA.outlines.map(({ source }) => source))];
  const workbook = `../series/stat_003_007${language === "en" ? "" : `.${language}`}.xlsx`;
  const files = [["../series/rates.csv", "CSV"], ["../series/rates.parquet", "Parquet"], [workbook, text("data_workbook")], [`../series/fiche.html#${language}`, text("data_fiche")]];
  get("about").replaceChildren(
    element("h2", { id: "about-title" }, text("about")),
    element("p", { class: "standfirst" }, fiche.title), paragraph(fiche.description),
    element("div", { class: "prose-columns" },
      part("method", ...fiche.method.split("\n").map(paragraph)),
      part("remarks", element("ul", {}, ...fiche.remarks.map(remark => element("li", {}, remark)))),
      part("protection", paragraph(text("protection_more")), paragraph(text("care_more", DATA.interval))),
      part("data", paragraph(text("data_more")), element("ul", {}, ...files.map(([href, words]) => element("li", {}, link(href, words)))),
        element("p", { class: "fine" }, link("LICENSES.txt", text("licences")))),
      part("outlines", ...sources.map(paragraph)),
      part("citation", element("p", { class: "citation" }, fiche.citation))));
}

// --- Years, one after the other

let playing;

function showPlay() {
  const button = get("play"), words = text(playing ? "pause" : "play");
  button.setAttribute("aria-label", words);
  button.title = words;
  button.classList.toggle("playing", Boolean(playing));
}

function play(on) {
  clearInterval(playing);
  playing = on ? setInterval(() => {
    const next = years[years.indexOf(state.year) + 1];
    if (next === undefined) play(false);
    else change({ year: next });
  }, stillness.matches ? 1600 : 900) : undefined;
  if (on && state.year === years.at(-1)) change({ year: years[0] });
  if (!on) announceView();
  showPlay();
}

let announcement;

/** Say the view once it stands still: not at each step of the slider. */
function scheduleSlow() {
  clearTimeout(announcement);
  if (!playing) announcement = setTimeout(announceView, 600);
}

let announced = "";

function announceView() {
  const shown = ranking.rows.filter(row => row.status !== "suppressed").length;
  const words = text("updated", { level: text(state.level), year: state.year, n: whole(shown), hidden: whole(ranking.rows.length - shown) });
  if (words !== announced && announced) announce(words);
  announced = words;
}

// --- Start

function setUp() {
  const year = get("year"), view = () => ({ ...state, title: viewTitle(placeName()) });
  year.max = years.length - 1;
  const labelled = new Set([0, Math.floor((years.length - 1) / 2), years.length - 1]);
  get("ticks").replaceChildren(...years.map((each, i) => element("i", {}, labelled.has(i) ? String(each) : "")));
  year.oninput = () => { if (playing) play(false); change({ year: years[+year.value] }); };
  get("level").onchange = event => {
    const level = event.target.value, area = chosenArea(), place = ancestor(area, "arrondissement", state.year)?.code;
    if (level === "sector") change(DATA.places.includes(place) ? { level, place } : { level });
    else change({ level, area: (area.level === "sector" ? ancestor(area, "municipality", state.year) : area).key });
  };
  get("group").onchange = event => change({ cell: event.target.value });
  get("place").onchange = event => change({ place: event.target.value });
  get("play").onclick = () => play(!playing);
  get("more").onclick = () => { ranking.all = !ranking.all; show(); get("more").focus(); };
  get("csv").onclick = () => downloadRanking(state);
  get("svg").onclick = () => downloadSvg(view());
  get("png").onclick = () => downloadPng(view());
  get("copy").onclick = copyLink;
  mapSetUp(choose);
  searchSetUp(choose);
  addEventListener("hashchange", () => { readAddress(); showLanguage(); show(); });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; showPanel(); } });
}

async function copyLink() {
  const input = element("textarea", {}, location.href); // for pages without the clipboard: those that are files
  try { await navigator.clipboard.writeText(location.href); } catch { document.body.append(input); input.select(); document.execCommand("copy"); input.remove(); }
  get("copy").textContent = text("copied");
  announce(text("copied"));
  setTimeout(() => { get("copy").textContent = text("copy_link"); }, 2500);
}

get("page").hidden = false;
get("synthetic").hidden = !DATA.release.synthetic;
if (years.length && COUNTRY) {
  readAddress();
  setUp();
  showLanguage();
  show();
}
performance.mark("atlas-drawn");

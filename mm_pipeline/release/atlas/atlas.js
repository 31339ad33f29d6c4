// What is seen and where it comes from: the state of the view, kept in the address, and who draws it.
"use strict";

const get = id => document.getElementById(id);
const announce = words => { get("live").textContent = words; };
const years = DATA.years;
const isThere = level => BY_LEVEL[level].length > 0 || (level === "sector" && DATA.places.length > 0);
const MAP_LEVELS = LEVELS.slice(1).filter(isThere);
const COUNTRY = BY_LEVEL.country[0];
const isOneColumn = matchMedia("(max-width: 900px)"); // as in atlas.css

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

/** What is another view to the reader, whom the browser's Back then takes to the one before; the year slides. */
const STEPS = ["area", "level", "place", "cell", "language"];

function writeAddress(isStep) {
  const said = new URLSearchParams({ year: state.year, level: state.level });
  if (state.level === "sector") said.set("place", state.place);
  if (state.area !== COUNTRY?.key) said.set("area", state.area);
  if (state.cell !== TOTAL) said.set("show", state.cell);
  if (state.sort !== "-rate") said.set("sort", state.sort);
  said.set("lang", language);
  if (location.hash === `#${said}`) return;
  history[isStep ? "pushState" : "replaceState"](null, "", `#${said}`);
}

const chosenArea = () => AREAS.get(state.area) ?? COUNTRY;

/** Change the view; what does not go together with the change is put right in ``show``. */
function change(part) {
  Object.assign(state, part);
  show(Object.keys(part).some(key => STEPS.includes(key)));
}

function choose(area) {
  const part = { area: area.key };
  if (area.level === "sector") part.place = ancestor(area, "arrondissement", state.year)?.code ?? state.place;
  if (area.level !== "country") part.level = MAP_LEVELS.includes(area.level) ? area.level : state.level;
  const words = inWordsWithCare(figure(area, state.year, state.cell), state.year);
  if (state.area !== area.key) announce(pair(nameOf(area, state.year), words));
  change(part);
}

/** To the panel, where it is below the map or the table. */
function goToPanel() {
  get("area-name").focus();
}

function showSectorsOf(area) {
  change({ level: "sector", place: ancestor(area, "arrondissement", state.year).code });
}

// --- What is seen

/** The areas of the map and the ranking. */
function areasInView() {
  if (state.level !== "sector") return BY_LEVEL[state.level];
  const isHere = area => ancestor(area, "arrondissement", state.year)?.code === state.place;
  return BY_LEVEL.sector.filter(area => existsIn(area, state.year) && isHere(area));
}

function show(isStep) {
  if (state.level === "sector" && !isLoaded(state.place)) { awaitSectors(state.place, isStep); return; }
  const cells = cellsOf(state.level);
  if (!cells.includes(state.cell)) state.cell = TOTAL;
  showControls(cells);
  const unknown = AREAS.has(state.area) ? "" : state.area; // a link may name an area that is not, or no longer, here
  state.area = chosenArea().key;
  const view = { ...state, areas: areasInView(), chosen: chosenArea() };
  const { drawn, without } = mapDraw(view);
  showMapWords(view, drawn, without);
  if (unknown) mapNote(text("unknown_area", { area: unknown.slice(unknown.indexOf(".") + 1) }));
  showPanel();
  showRanking(view);
  writeAddress(isStep);
  scheduleSlow();
}

/** The sectors of a place are on their way: say so, and draw when they are there. */
async function awaitSectors(place, isStep) {
  mapTooltip();
  mapNote(text("loading"));
  showControls([TOTAL]);
  const outcome = await loadSectors(place);
  if (state.level !== "sector" || state.place !== place) return;
  if (outcome !== true) state.level = firstLevel();
  show(isStep);
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
    const places = DATA.places.filter(code => code === state.place || existsIn(placeOf(code), state.year));
    const options = places.map(code => new Option(nameOf(placeOf(code), state.year), code));
    select.replaceChildren(...d3.sort(options, option => plain(option.text)));
    select.value = state.place;
  }
  const year = get("year");
  year.value = years.indexOf(state.year);
  year.setAttribute("aria-valuetext", state.year);
  get("year-shown").textContent = state.year;
}

function cellOptions(cells) {
  const option = cell => new Option(cellLabel(cell), cell);
  const isAlone = cell => cell === TOTAL || cell === STANDARDISED;
  const groups = d3.group(cells.filter(cell => !isAlone(cell)), cell => split(cell)[0]);
  return [...cells.filter(isAlone).map(option), ...Array.from(groups, ([dimension, some]) => {
    const group = element("optgroup", { label: label("dimension", dimension) });
    group.append(...some.map(option));
    return group;
  })];
}

/** The arrondissement whose sectors are in a file. */
const placeOf = code => AREAS.get(`arrondissement.${code}`);

/** What the view is, in parts: its level, whose sectors, year and group. */
function viewParts() {
  const place = state.level === "sector" ? nameOf(placeOf(state.place), state.year) : "";
  return [text(state.level), place, state.year, state.cell === TOTAL ? "" : cellLabel(state.cell)].filter(Boolean);
}

const viewTitle = () => viewParts().join(" · ");

function showMapWords(view, drawn, without) {
  get("map-title").textContent = viewTitle();
  get("map-unit").textContent = unitOf(state.cell);
  const alive = view.areas.filter(area => existsIn(area, state.year)).length;
  const values = { n: whole(without), total: whole(alive), year: state.year };
  if (!alive) mapNote(text("no_sectors", values));
  else if (!drawn) mapNote(text("no_outlines"));
  else mapNote(without ? text("no_outline", values) : "");
  const credit = creditOf(outlinesOf(state.year));
  get("map-source").textContent = credit ? pair(text("outlines"), credit) : "";
}

function mapNote(words) {
  get("map-note").textContent = words;
  get("map-note").hidden = !words;
}

function showPanel() {
  const area = chosenArea(), { year } = state, actions = [];
  const button = (words, act, id, title) => {
    const made = element("button", { type: "button", id, title }, words);
    made.onclick = act;
    actions.push(made);
  };
  // The button itself is gone once it is pressed.
  const moved = act => () => { act(); get("area-name").focus({ preventScroll: true }); };
  for (const other of namesakes(area, year))
    button(text("same_name", { year, name: nameOf(other, year), code: other.code }), moved(() => choose(other)));
  if (area.level !== "country")
    button(text("back_to_country"), moved(() => change({ area: COUNTRY.key })), "to-country");
  const place = ancestor(area, "arrondissement", year);
  if (state.level !== "sector" && existsIn(area, year) && DATA.places.includes(place?.code))
    button(text("show_sectors"), moved(() => showSectorsOf(area)), "to-sectors");
  // An area that does not have the group is shown in total, and so is its file.
  const has = state.cell === STANDARDISED ? area.standardised : area.counts[state.cell];
  const cell = has ? state.cell : TOTAL;
  button(text("csv_trend"), () => downloadTrend({ area, year, cell }), "csv-trend", text("csv_hint"));
  drawPanel(get("panel"), { area, year, cell, actions });
  get("to-panel").hidden = area.level === "country";
  get("to-panel").textContent = text("see_figures", { name: nameOf(area, year) });
}

function showRanking(view) {
  get("ranking-of").textContent = viewTitle();
  drawRanking({ ...view, choose: area => { choose(area); goToPanel(); }, resort: sort => {
    change({ sort });
    document.querySelector(`#ranking th[data-key="${sort.replace("-", "")}"] button`)?.focus(); // the head is drawn anew
  } });
}

// --- What stays the same but for the language

function showLanguage() {
  document.documentElement.lang = language;
  document.title = (DATA.release.synthetic ? `[${text("synthetic")}] ` : "") + text("title");
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = text(each.dataset.text);
  get("lead").textContent = text("lead", { first: years[0] });
  get("edition").textContent = `· ${text("edition", { n: DATA.release.number, date: day(DATA.release.date) })}`;
  get("foot").textContent = sourceWords();
  get("search").placeholder = text("search_hint");
  get("results").setAttribute("aria-label", text("search"));
  get("languages").setAttribute("aria-label", text("language"));
  get("map-actions").setAttribute("aria-label", text("download"));
  get("csv").title = text("csv_hint");
  for (const [id, key] of [["zoom-in", "zoom_in"], ["zoom-out", "zoom_out"], ["zoom-reset", "zoom_reset"]])
    for (const name of ["aria-label", "title"]) get(id).setAttribute(name, text(key));
  get("languages").replaceChildren(...LANGUAGES.map(languageButton));
  get("level").querySelector(".segments").replaceChildren(...MAP_LEVELS.map(level =>
    element("label", {}, element("input", { type: "radio", name: "level", value: level }), element("span", {}, text(level)))));
  showPlay();
  mapLegend();
  showAbout();
}

function languageButton(code) {
  const name = { fr: "Français", nl: "Nederlands", de: "Deutsch", en: "English" }[code];
  const button = element("button", {
    type: "button", lang: code, title: name, "aria-label": name, "aria-pressed": String(code === language),
  }, code.toUpperCase());
  button.onclick = () => {
    language = code;
    showLanguage();
    change({ language });
    get("languages").querySelector(`[lang=${code}]`).focus();
  };
  return button;
}

function showAbout() {
  const fiche = DATA.fiche[language];
  const part = (key, ...content) => element("div", {}, element("h3", {}, text(key)), ...content);
  const paragraph = words => element("p", {}, words);
  const link = (href, words) => element("a", { href }, words);
  const credits = [...new Set(DATA.outlines.map(creditOf))];
  const workbook = `../series/stat_003_007${language === "en" ? "" : `.${language}`}.xlsx`;
  const files = [["../series/rates.csv", "CSV"], ["../series/rates.parquet", "Parquet"],
    [workbook, text("data_workbook")], [`../series/fiche.html#${language}`, text("data_fiche")]];
  const list = element("ul", {}, ...files.map(([href, words]) => element("li", {}, link(href, words))));
  get("about").replaceChildren(
    element("h2", { id: "about-title" }, text("about")),
    element("p", { class: "standfirst" }, fiche.title), paragraph(fiche.description),
    element("div", { class: "prose-columns" },
      part("method", ...fiche.method.split("\n").map(paragraph)),
      part("remarks", element("ul", {}, ...fiche.remarks.map(remark => element("li", {}, remark)))),
      part("protection", paragraph(text("protection_more")), paragraph(text("care_more", DATA.interval))),
      part("data", paragraph(text("data_more")), list, element("p", { class: "fine" }, link("LICENSES.txt", text("licences")))),
      part("outlines", ...credits.map(paragraph)),
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
  const hidden = whole(ranking.rows.length - shown);
  const words = text("updated", { level: text(state.level), year: state.year, n: whole(shown), hidden });
  if (words !== announced && announced) announce(words);
  announced = words;
}

// --- Start

function setUp() {
  const year = get("year"), view = () => ({ ...state, title: viewTitle(), parts: viewParts() });
  year.max = years.length - 1;
  const labelled = new Set([0, Math.floor((years.length - 1) / 2), years.length - 1]);
  get("ticks").replaceChildren(...years.map((each, i) => element("i", {}, labelled.has(i) ? String(each) : "")));
  year.oninput = () => { if (playing) play(false); change({ year: years[+year.value] }); };
  get("level").onchange = event => {
    const level = event.target.value, area = chosenArea(), place = ancestor(area, "arrondissement", state.year)?.code;
    if (level === "sector") change(DATA.places.includes(place) ? { level, place } : { level });
    else change({ level, area: (area.level === "sector" ? ancestor(area, "municipality", state.year) ?? COUNTRY : area).key });
  };
  get("group").onchange = event => change({ cell: event.target.value });
  get("place").onchange = event => change({ place: event.target.value, area: placeOf(event.target.value).key });
  get("play").onclick = () => play(!playing);
  get("more").onclick = () => { ranking.all = !ranking.all; show(); get("more").focus(); };
  get("csv").onclick = () => downloadRanking(view());
  get("svg").onclick = () => downloadSvg(view());
  get("png").onclick = () => downloadPng(view());
  get("copy").onclick = copyLink;
  get("to-panel").onclick = goToPanel;
  document.querySelector(".skip").onclick = event => { event.preventDefault(); get("ranking").focus(); };
  mapSetUp(choose);
  searchSetUp(area => { choose(area); if (isOneColumn.matches) goToPanel(); }, () => state.year);
  addEventListener("hashchange", () => {
    if (!location.hash.includes("=")) { writeAddress(); return; } // a place in the page not a view
    readAddress();
    showLanguage();
    show();
  });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; showPanel(); } });
}

async function copyLink() {
  const input = element("textarea", {}, location.href); // for pages without the clipboard: those that are files
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    document.body.append(input);
    input.select();
    document.execCommand("copy");
    input.remove();
  }
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

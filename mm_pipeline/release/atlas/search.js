// The search for a place: a combobox with a list, after the pattern of the ARIA Authoring Practices.
"use strict";

const MOST_RESULTS = 8;
const LEVEL_ORDER = ["municipality", "arrondissement", "province", "region", "country", "sector"];

/** What the regions are called besides their official names. */
const REGION_NAMES = {
  "02000": ["vlaanderen", "flandre", "flandern", "flanders"],
  "03000": ["wallonie", "wallonien", "wallonia"],
  "04000": ["bruxelles", "brussel", "brussels"],
};

/** Words as they are looked for, and with every saint written "st". */
function spellings(words) {
  const spelt = plain(words).replaceAll("œ", "oe").replaceAll(".", " ").replace(/\s+/g, " ").trim();
  return [...new Set([spelt, spelt.replace(/\b(?:sainte?|sint|sankt|ste)(?= )/g, "st")])];
}

/** 0: the name itself, 1: its beginning, 2: the beginning of a word of it, 3: a part of it, 9: none. */
function score(name, wanted) {
  if (name === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  if (name.includes(` ${wanted}`)) return 2;
  return name.includes(wanted) ? 3 : 9;
}

/** What may be a postcode is none of our codes: 9000 is not the beginning of 90000. */
const isPostcode = words => /^[1-9]\d{3}$/.test(words.replace(/\s/g, ""));

/** Whether Enter takes this area: a number leads to the area of that code only, not to one whose code begins so. */
const isMeant = (words, area) => !/^[\d\s]+$/.test(words) || area.code === words.replace(/\s/g, "");

/** Areas whose name, in any language, or code begins with the words, then those whose name contains them. */
function found(words, year) {
  const wanted = spellings(words), last = DATA.years.at(-1);
  if (!wanted[0]) return [];
  const scored = [];
  for (const area of AREAS.values()) {
    area.words ??= [...plainNames(area), ...((area.level === "region" && REGION_NAMES[area.code]) || [])].flatMap(spellings);
    const code = area.code.toLowerCase();
    const codes = wanted.map(each => (code === each ? 0 : code.startsWith(each) ? 1 : 9));
    const best = Math.min(...codes, ...area.words.flatMap(name => wanted.map(each => score(name, each))));
    if (best < 9) scored.push({ area, best, gone: existsIn(area, year) ? 0 : existsIn(area, last) ? 1 : 2 });
  }
  const rank = ({ area }) => LEVEL_ORDER.indexOf(area.level);
  const byName = (a, b) => d3.ascending(nameOf(a.area, last), nameOf(b.area, last));
  return d3.sort(scored, (a, b) => a.best - b.best || a.gone - b.gone || rank(a) - rank(b) || byName(a, b))
    .slice(0, MOST_RESULTS).map(({ area }) => area);
}

/** "Municipality · Province of Liège · –2018 · 55022" */
function searchDetails(area) {
  const last = DATA.years.at(-1), until = area.history.at(-1)[1];
  const above = ancestor(area, area.level === "sector" ? "municipality" : "province", last);
  const parts = [label("level", area.level), above && above !== area ? nameOf(above, last) : "",
    until < last ? `–${until}` : "", area.code];
  return parts.filter(Boolean).join(" · ");
}

/** ``yearOf``: the year that is seen; what exists in it comes first. */
function searchSetUp(choose, yearOf) {
  const input = document.getElementById("search"), list = document.getElementById("results");
  let results = [], active = -1;

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  };
  const take = area => { input.value = ""; close(); choose(area); };

  const show = () => {
    results = isPostcode(input.value) ? [] : found(input.value, yearOf());
    const last = DATA.years.at(-1);
    list.replaceChildren(...results.map((area, i) => {
      const attributes = { role: "option", id: `result-${i}`, "aria-selected": "false", "data-key": area.key };
      const option = element("li", attributes, nameOf(area, last), element("small", {}, searchDetails(area)));
      option.onpointerdown = event => { event.preventDefault(); take(area); };
      return option;
    }));
    const isOpen = input.value.trim() !== "";
    const none = { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "none" };
    if (isOpen && !results.length) list.append(element("li", none, text(isPostcode(input.value) ? "no_postcode" : "no_result")));
    list.hidden = !isOpen;
    input.setAttribute("aria-expanded", String(isOpen));
    input.removeAttribute("aria-activedescendant");
    active = -1;
    const said = { 0: "no_result", 1: "one_result" }[results.length] ?? "results";
    if (isOpen) announce(text(said === "no_result" && isPostcode(input.value) ? "no_postcode" : said, { n: results.length }));
  };

  const move = to => {
    if (!results.length) return;
    active = (to + results.length) % results.length;
    results.forEach((_, i) => list.children[i].setAttribute("aria-selected", String(i === active)));
    list.children[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", `result-${active}`);
  };

  input.addEventListener("input", show);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", event => {
    if (event.key === "Escape") { if (list.hidden) input.value = ""; close(); return; }
    if (event.key === "Enter" && results.length && !list.hidden) {
      event.preventDefault();
      const area = results[Math.max(active, 0)];
      if (active >= 0 || isMeant(input.value, area)) take(area);
      return;
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    if (list.hidden) show();
    move(event.key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
  });
}

// The search for a place: a combobox with a list, after the pattern of the ARIA Authoring Practices.
"use strict";

const MOST_RESULTS = 8;
const LEVEL_ORDER = ["municipality", "arrondissement", "province", "region", "country", "sector"];

/** Areas whose name, in any language, or code begins with the words, then those that contain them. */
function found(words) {
  const wanted = plain(words.trim());
  if (!wanted) return [];
  const scored = [];
  for (const area of AREAS.values()) {
    area.words ??= [...new Set(area.history.flatMap(([, , , names]) => names).map(plain)), area.code.toLowerCase()];
    const score = Math.min(...area.words.map(name => name === wanted ? 0 : name.startsWith(wanted) ? 1 : name.includes(` ${wanted}`) ? 2 : name.includes(wanted) ? 3 : 9));
    if (score < 9) scored.push({ area, score });
  }
  const last = DATA.years.at(-1);
  return d3.sort(scored, (a, b) => a.score - b.score || LEVEL_ORDER.indexOf(a.area.level) - LEVEL_ORDER.indexOf(b.area.level)
    || d3.ascending(nameOf(a.area, last), nameOf(b.area, last))).slice(0, MOST_RESULTS).map(({ area }) => area);
}

function searchSetUp(choose) {
  const input = document.getElementById("search"), list = document.getElementById("results");
  let results = [], active = -1;

  const close = () => { list.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); active = -1; };
  const take = area => { input.value = ""; close(); choose(area); };

  const show = () => {
    results = found(input.value);
    const last = DATA.years.at(-1);
    list.replaceChildren(...results.map((area, i) => {
      const until = area.history.at(-1)[1], province = ancestor(area, area.level === "sector" ? "municipality" : "province", last);
      const more = [label("level", area.level), province && province !== area ? nameOf(province, last) : "", until < last ? `–${until}` : "", area.code].filter(Boolean).join(" · ");
      const option = element("li", { role: "option", id: `result-${i}`, "aria-selected": "false", "data-key": area.key }, nameOf(area, last), element("small", {}, more));
      option.onpointerdown = event => { event.preventDefault(); take(area); };
      return option;
    }));
    const isOpen = input.value.trim() !== "";
    if (isOpen && !results.length) list.append(element("li", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "none" }, text("no_result")));
    list.hidden = !isOpen;
    input.setAttribute("aria-expanded", String(isOpen));
    input.removeAttribute("aria-activedescendant");
    active = -1;
    if (isOpen) announce(results.length ? text("results", { n: results.length }) : text("no_result"));
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
    if (event.key === "Enter" && results.length && !list.hidden) { event.preventDefault(); take(results[Math.max(active, 0)]); return; }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    if (list.hidden) show();
    move(event.key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
  });
}

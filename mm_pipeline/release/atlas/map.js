// The map: areas in their classes, to be hovered, clicked, walked with the arrow keys, and zoomed.
"use strict";

const MAP_STROKES = { country: 0, region: 1.2, province: 1, arrondissement: 0.8, municipality: 0.5, sector: 0.4 };
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

const atlasMap = {
  svg: d3.select("#map"),
  drawn: "", // which outlines are there
  pointed: undefined, // the area that the tooltip is of
  units: 1, // units of the frame per pixel
};

function mapSetUp(choose) {
  const { svg } = atlasMap, [left, top, width, height] = DATA.frame;
  atlasMap.choose = choose;
  svg.attr("viewBox", DATA.frame.join(" "));
  const defs = svg.append("defs");
  const pattern = (id, size, ground) => {
    const made = defs.append("pattern").attr("id", id).attr("patternUnits", "userSpaceOnUse");
    made.attr("width", size).attr("height", size);
    made.append("rect").attr("width", size).attr("height", size).attr("fill", ground);
    return made;
  };
  pattern("hatch", 7, "#fff").append("path").attr("d", "M-1 8L8 -1M-1 1L1 -1M6 8L8 6")
    .attr("stroke", "#6b7280").attr("stroke-width", 1.4);
  pattern("care", 5, "none").append("path").attr("d", "M-1 1L1 -1M0 5L5 0M4 6L6 4")
    .attr("stroke", "#fff").attr("stroke-width", 0.9).attr("stroke-opacity", 0.75);
  pattern("blank", 6, "#efefec").append("circle").attr("cx", 3).attr("cy", 3).attr("r", 0.8).attr("fill", "#a3a6a3");
  const inside = (atlasMap.inside = svg.append("g"));
  for (const layer of ["ground", "areas", "care", "borders", "marks"])
    atlasMap[layer] = inside.append("g").attr("class", layer).attr("fill-rule", "evenodd");
  atlasMap.areas.attr("aria-describedby", "map-help");
  for (const mark of ["hovered", "chosen-halo", "chosen", "focused-halo", "focused"])
    atlasMap.marks.append("path").attr("class", mark);

  const extent = [[left, top], [left + width, top + height]];
  // The wheel and one finger scroll the page; the wheel with Ctrl and two fingers zoom.
  const scrolls = event => (event.type === "wheel" && !event.ctrlKey && !event.metaKey)
    || (event.touches?.length === 1 && atlasMap.scale === 1);
  atlasMap.zoom = d3.zoom().scaleExtent([1, 60]).translateExtent(extent).extent(extent)
    .filter(event => !event.button && !scrolls(event))
    .on("zoom", ({ transform }) => { atlasMap.scale = transform.k; inside.attr("transform", transform); mapPatterns(); });
  atlasMap.scale = 1;
  svg.call(atlasMap.zoom).on("dblclick.zoom", null);
  d3.select("#zoom-in").on("click", () => mapZoom(2));
  d3.select("#zoom-out").on("click", () => mapZoom(0.5));
  d3.select("#zoom-reset").on("click", () => mapFit());
  new ResizeObserver(mapPatterns).observe(svg.node());
}

const mapMotion = selection => (stillness.matches ? selection : selection.transition().duration(450));
const mapZoom = factor => mapMotion(atlasMap.svg).call(atlasMap.zoom.scaleBy, factor);

/** Hatches look the same at every zoom and size of the map. */
function mapPatterns() {
  const { width, height } = atlasMap.svg.node().getBoundingClientRect();
  if (!width) return;
  atlasMap.units = Math.max(DATA.frame[2] / width, DATA.frame[3] / height);
  atlasMap.svg.selectAll("pattern").attr("patternTransform", `scale(${atlasMap.units / atlasMap.scale})`);
}

/** Show a box (of the layer of areas), or everything. */
function mapFit(box) {
  if (!box?.width) { mapMotion(atlasMap.svg).call(atlasMap.zoom.transform, d3.zoomIdentity); return; }
  const [left, top, width, height] = DATA.frame;
  const scale = Math.min(60, 0.92 / Math.max(box.width / width, box.height / height));
  const to = d3.zoomIdentity.translate(left + width / 2, top + height / 2).scale(scale)
    .translate(-box.x - box.width / 2, -box.y - box.height / 2);
  mapMotion(atlasMap.svg).call(atlasMap.zoom.transform, to);
}

/** Draw areas (those with an outline) of a level in a year. */
function mapDraw({ level, year, cell, areas, place, chosen }) {
  const outlines = outlinesOf(year), has = areas.filter(area => pathOf(area, year));
  const without = areas.filter(area => existsIn(area, year) && !pathOf(area, year));
  const key = [level, place, DATA.outlines.indexOf(outlines)].join();
  const isNew = atlasMap.drawn !== key;
  if (isNew) mapDrawLines(level, outlines, has.length > 0);
  const current = has.includes(chosen) ? chosen : has.includes(atlasMap.current) ? atlasMap.current : has[0];
  const shown = new Map(has.map(area => [area, figure(area, year, cell)]));
  Object.assign(atlasMap, { drawn: key, current, year, cell, shown });
  mapDrawAreas(level, has, chosen);
  mapTooltip(shown.has(atlasMap.pointed) ? atlasMap.pointed : undefined); // of what is seen now, or of nothing
  mapMark("hovered");
  atlasMap.marks.selectAll(".chosen-halo,.chosen").attr("d", pathOf(chosen, year) ?? null)
    .attr("display", chosen.level === "country" ? "none" : null);
  if (isNew && has.length) mapFit(level === "sector" ? atlasMap.areas.node().getBBox() : undefined);
  return { drawn: has.length, without: without.length };
}

/** The ground below the areas, and the borders of a level above them. */
function mapDrawLines(level, outlines, hasAreas) {
  const { country, province } = outlines?.paths ?? {};
  const bounding = { sector: "municipality", municipality: "province" }[level] ?? LEVELS[LEVELS.indexOf(level) - 1];
  const borders = (hasAreas ? outlines.paths[bounding] : province) ?? {};
  const paths = (layer, some) => layer.selectAll("path").data(Object.values(some)).join("path").attr("d", d => d);
  paths(atlasMap.ground, country ?? province ?? {}).attr("fill", "#e9e8e2");
  paths(atlasMap.borders, borders).attr("fill", "none").attr("stroke", "#1b2430")
    .attr("stroke-opacity", hasAreas ? 0.55 : 0.25).attr("stroke-width", level === "sector" ? 1.2 : 0.8);
}

function mapDrawAreas(level, areas, chosen) {
  const { year, shown, current } = atlasMap, some = areas.length > 0;
  atlasMap.areas.attr("role", some ? "listbox" : null)
    .attr("aria-label", some ? pair(text("map"), `${text(level)}, ${year}`) : null);
  atlasMap.areas.selectAll("path").data(areas, area => area.key).join(mapEnter)
    .attr("d", area => pathOf(area, year)).attr("stroke-width", MAP_STROKES[level])
    .attr("fill", area => fillOf(shown.get(area)))
    .attr("data-code", area => area.code).attr("data-status", area => shown.get(area).status)
    .attr("tabindex", area => (area === current ? 0 : -1)).attr("aria-selected", area => area === chosen)
    .attr("aria-label", area => pair(nameOf(area, year), inWordsWithCare(shown.get(area), year)));
  atlasMap.care.selectAll("path").data(areas.filter(area => shown.get(area).care), area => area.key).join("path")
    .attr("d", area => pathOf(area, year)).attr("fill", "url(#care)").attr("data-code", area => area.code);
}

const mapEnter = enter => enter.append("path").attr("role", "option").attr("stroke", "#5f6b79").attr("stroke-opacity", 0.6)
  .on("click", (_, area) => atlasMap.choose(area))
  .on("pointerenter", (event, area) => { if (event.pointerType === "mouse") mapHover(area); })
  .on("pointermove", mapTooltipAt).on("pointerleave", () => mapHover())
  .on("focus", (event, area) => mapFocus(area, event.target)).on("blur", () => mapFocus())
  .on("keydown", mapKey);

function mapMark(name, area) {
  atlasMap.marks.selectAll(`.${name},.${name}-halo`).attr("d", area ? pathOf(area, atlasMap.year) : null);
}

// --- Tooltip

/** Figure, unit, counts, year and group of an area: always those of the view. */
function mapTooltip(area) {
  const tooltip = document.getElementById("tooltip");
  atlasMap.pointed = area;
  tooltip.hidden = !area;
  if (!area) return;
  const { year, cell } = atlasMap, shown = atlasMap.shown.get(area), small = words => element("small", {}, words);
  const lines = [
    shown.status === "published" ? unitOf(cell) : "",
    ...[["interval", interval(shown)], ["patients", orNothing(shown.n)], ["beneficiaries", orNothing(shown.N)]]
      .map(([key, words]) => words && pair(text(key), words)),
    shown.care ? text("care") : "",
  ];
  tooltip.replaceChildren(element("strong", {}, nameOf(area, year)),
    small([year, cell === TOTAL ? "" : cellLabel(cell)].filter(Boolean).join(" · ")),
    element("span", { class: shown.status === "published" ? "figure" : "" }, inWords(shown, year)),
    ...lines.filter(Boolean).map(small));
}

function mapTooltipAt(event) {
  const stage = document.getElementById("map-stage").getBoundingClientRect();
  mapPlaceTooltip(event.clientX - stage.left, event.clientY - stage.top, stage);
}

function mapPlaceTooltip(x, y, stage) {
  const tooltip = document.getElementById("tooltip"), left = x > stage.width / 2;
  tooltip.style.left = left ? "" : `${x + 14}px`;
  tooltip.style.right = left ? `${stage.width - x + 14}px` : "";
  tooltip.style.top = `${Math.max(0, y - 20)}px`;
}

function mapHover(area) { mapMark("hovered", area); mapTooltip(area); }

// --- Keys

function mapFocus(area, path) {
  mapMark("focused", area);
  mapTooltip(area);
  if (!area) return;
  const stage = document.getElementById("map-stage").getBoundingClientRect(), box = path.getBoundingClientRect();
  mapPlaceTooltip(box.right - stage.left, box.top + box.height / 2 - stage.top, stage);
}

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

function mapKey(event, area) {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); atlasMap.choose(area); return; }
  if (event.key === "+" || event.key === "-") { mapZoom(event.key === "+" ? 2 : 0.5); return; }
  const direction = ARROWS[event.key];
  if (!direction || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const middle = path => { const box = path.getBBox(); return [box.x + box.width / 2, box.y + box.height / 2]; };
  const [x, y] = middle(event.currentTarget);
  let best = Infinity, next;
  for (const path of atlasMap.areas.node().children) {
    const [dx, dy] = (([a, b]) => [a - x, b - y])(middle(path));
    const along = dx * direction[0] + dy * direction[1];
    const across = Math.abs(dx * direction[1]) + Math.abs(dy * direction[0]);
    const cost = along + 2.5 * across;
    if (along > 0 && cost < best) { best = cost; next = path; }
  }
  if (!next) return;
  event.currentTarget.setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  atlasMap.current = d3.select(next).datum();
  next.focus({ preventScroll: true });
  if (atlasMap.scale > 1) mapMotion(atlasMap.svg).call(atlasMap.zoom.translateTo, ...middle(next));
}

// --- Legend

function mapLegend() {
  const box = (fill, words, kind) => element("li", { class: kind }, svgBox(fill), element("span", {}, words));
  const legend = document.getElementById("legend");
  legend.setAttribute("aria-label", text("legend"));
  legend.replaceChildren(...classes().map(([colour, words]) => box(colour, words, "class")),
    box("care", text("legend_care"), "other"), box("hatch", text("legend_hidden"), "other"), box("blank", text("legend_none"), "other"));
}

function svgBox(fill) {
  const box = element("i", { "aria-hidden": "true", class: "swatch" });
  if (fill.startsWith("#")) box.style.background = fill;
  else box.classList.add(fill);
  return box;
}

"use strict";
/* Tables that sort and filter, curves that answer, and a browser for the images. No library, no network. */
(() => {
  const report = window.SODBENCH;
  const $ = (id) => document.getElementById(id);
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const options = (select, names) =>
    select.replaceChildren(...names.map((name, i) => make("option", { value: i }, name)));

  /* ---- state: what is chosen, and the address that keeps it ---- */
  const PARTS = ["dataset", "metric", "method"];
  const namesOf = { dataset: report.datasets.map((d) => d.name), metric: report.metrics.map((m) => m.name), method: report.methods };
  const off = Object.fromEntries(PARTS.map((part) => [part, new Set()]));
  const address = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  function remember(name, value) {
    if (value === "" || value === null || value === undefined) address.delete(name); else address.set(name, value);
    const text = address.toString();
    history.replaceState(null, "", text ? `#?${text}` : location.pathname + location.search);
  }

  /* ---- tables ---- */
  const tables = [...document.querySelectorAll(".table")].map((box) => {
    const table = box.querySelector("table"), body = table.tBodies[0];
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const original = [...body.rows], filter = box.querySelector(".filter");
    const empty = make("p", { class: "note", hidden: "" }, "No row matches.");
    box.querySelector(".scroll").after(empty);
    heads.forEach((head, column) => head.querySelector(".sort").addEventListener("click", () => {
      const number = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const first = number && !head.textContent.includes("↓") ? "descending" : "ascending";
      const second = first === "descending" ? "ascending" : "descending";
      const now = before === "none" ? first : before === first ? second : "none"; // the third click restores the order
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", now);
      const key = (row) => {
        const cell = row.cells[column];
        return number ? parseFloat(cell.dataset.value) : (cell.dataset.value || cell.textContent).toLowerCase();
      };
      const order = (a, b) => {
        const published = a.classList.contains("published") - b.classList.contains("published");
        if (published) return published; // never among the measured ones
        const x = key(a), y = key(b);
        if (number && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y); // absent numbers last, always
        const sign = x < y ? -1 : x > y ? 1 : 0;
        return now === "descending" ? -sign : sign;
      };
      body.append(...(now === "none" ? original : [...body.rows].sort(order)));
    }));
    const showRows = () => {
      const wanted = filter ? filter.value.trim().toLowerCase() : "";
      let shown = 0;
      for (const row of original) {
        row.hidden = off.method.has(row.dataset.method) || !row.textContent.toLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      empty.hidden = shown > 0;
    };
    const hides = (head) => (head.dataset.dataset && off.dataset.has(head.dataset.dataset)) || (head.dataset.metric && off.metric.has(head.dataset.metric));
    let hiddenBefore = "";
    const showColumns = () => {
      const hidden = heads.map((head) => Boolean(hides(head)));
      if (String(hidden) === hiddenBefore) return;
      hiddenBefore = String(hidden);
      for (const row of [table.tHead.rows[table.tHead.rows.length - 1], ...original])
        hidden.forEach((isHidden, i) => { row.cells[i].hidden = isHidden; });
      box.hidden = heads.length > 1 && hidden.slice(1).every(Boolean);
      const folded = box.closest("details.more");
      if (folded) folded.hidden = box.hidden;
      if (table.tHead.rows.length < 2) return;
      let at = 1;
      for (const group of [...table.tHead.rows[0].cells].slice(1)) {
        group.dataset.span ??= group.colSpan;
        const own = hidden.slice(at, at + Number(group.dataset.span));
        at += own.length;
        const left = own.filter((isHidden) => !isHidden).length;
        group.hidden = left === 0;
        if (left) group.colSpan = left;
      }
    };
    if (filter) filter.addEventListener("input", showRows);
    return () => { showColumns(); showRows(); };
  });
  document.querySelectorAll(".needs-script").forEach((element) => { element.hidden = false; });
  const openFor = (id) => {
    const target = id && document.getElementById(id);
    if (target) for (let e = target.querySelector("details.fold") || target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  };
  const openHash = () => { if (location.hash && !location.hash.startsWith("#?")) openFor(decodeURIComponent(location.hash.slice(1))); };
  window.addEventListener("hashchange", openHash);
  openHash();
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((e) => { e.open = true; }));

  /* ---- chooser ---- */
  const afterChoice = [];
  function choiceChanged() {
    for (const part of PARTS) remember(`no-${part}`, [...off[part]].map(encodeURIComponent).join(","));
    const parts = PARTS.filter((part) => off[part].size).map((part) => `${namesOf[part].length - off[part].size} of ${namesOf[part].length} ${part}s`);
    $("chooser-state").textContent = parts.length ? `(${parts.join(", ")})` : "";
    tables.forEach((update) => update());
    afterChoice.forEach((update) => update());
  }
  for (const part of PARTS) {
    const labels = part === "metric" ? report.metrics.map((m) => m.heading) : namesOf[part];
    for (const name of (address.get(`no-${part}`) || "").split(",").map(decodeURIComponent)) if (namesOf[part].includes(name)) off[part].add(name);
    namesOf[part].forEach((name, i) => {
      const box = make("input", { type: "checkbox" });
      box.checked = !off[part].has(name);
      box.addEventListener("change", () => {
        if (box.checked) off[part].delete(name); else off[part].add(name);
        choiceChanged();
      });
      $(`choose-${part}`).append(make("label", {}, box, " ", labels[i]));
    });
  }
  $("choose-all").addEventListener("click", () => {
    PARTS.forEach((part) => off[part].clear());
    document.querySelectorAll("#chooser input").forEach((box) => { box.checked = true; });
    choiceChanged();
  });

  /* ---- curves ---- */
  const svg = $("chart-svg"), tip = $("chart-tip"), hidden = new Set(report.methods.flatMap((_, m) => (report.pale[m] ? [m] : [])));
  const area = { left: 58, right: 745, top: 15, bottom: 370 };
  const isOff = (m) => hidden.has(m) || off.method.has(report.methods[m]);
  const at = { method: -1, threshold: 128 };
  let curves = [], scaleX, scaleY;
  // zoomed: the part of the axes that was chosen, null for all of them; shown: what is drawn, [x0, x1, y0, y1] in their units
  let zoomed = null, shown = null, dragStart = null, isPrinting = false;

  const line = (method) => report.lines[method];
  const stroke = (element, method) => {
    const colour = line(method).colour;
    element.style.setProperty("--stroke", colour === "#000000" ? "var(--text)" : colour); // black has to show in dark mode
    element.setAttribute("stroke-dasharray", line(method).dash.map((d) => d * 2).join(" "));
  };
  const draw = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /* Where the grid's lines are, and their labels, with more digits than usual where a part is shown. */
  function ticks(low, high, digits) {
    const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 1, 2, 5, 10, 20, 50].find((s) => (high - low) / s <= 7);
    const needed = digits && Math.max(digits, Math.ceil(-Math.log10(step) - 1e-9));
    const values = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) values.push([i * step, (i * step).toFixed(needed)]);
    return values;
  }

  function drawChart() {
    // as many units as pixels, so that the text keeps its size on a narrow screen
    area.right = Math.max(320, Math.min(760, svg.clientWidth || 760)) - 15;
    const kind = $("chart-kind").value, stored = report.curves[$("chart-set").value];
    const thresholds = Array.from({ length: 256 }, (_, t) => t);
    curves = report.methods.map((_, m) => {
      const c = stored[m];
      if (!c || isOff(m)) return null;
      return kind === "pr" ? { x: c.recall, y: c.precision } : { x: thresholds, y: c[kind] };
    });
    const values = curves.flatMap((c) => (c ? c.y.filter((v) => v !== null) : [])).sort((a, b) => a - b);
    const low = values.length ? Math.floor(values[Math.floor(values.length * 0.03)] * 20) / 20 : 0;
    const high = values.length ? Math.min(1, Math.ceil(values[values.length - 1] * 20) / 20) : 1;
    shown = zoomed && !isPrinting ? zoomed : [0, rightEnd(), low, high];
    const [x0, x1, y0, y1] = shown;
    scaleX = (x) => area.left + ((x - x0) / (x1 - x0)) * (area.right - area.left);
    scaleY = (y) => area.bottom - ((y - y0) / (y1 - y0 || 1)) * (area.bottom - area.top);
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${area.right + 15} 420`);
    const clip = draw("clipPath", { id: "area" });
    clip.append(draw("rect", { x: area.left, y: area.top, width: area.right - area.left, height: area.bottom - area.top }));
    svg.append(clip);
    for (const [x, label] of ticks(x0, x1, kind === "pr" ? 1 : 0)) {
      svg.append(draw("line", { class: "grid", x1: scaleX(x), x2: scaleX(x), y1: area.top, y2: area.bottom }));
      svg.append(draw("text", { x: scaleX(x), y: area.bottom + 18, "text-anchor": "middle" }, label));
    }
    for (const [y, label] of ticks(y0, y1, 2)) {
      svg.append(draw("line", { class: "grid", x1: area.left, x2: area.right, y1: scaleY(y), y2: scaleY(y) }));
      svg.append(draw("text", { x: area.left - 8, y: scaleY(y) + 4, "text-anchor": "end" }, label));
    }
    svg.append(draw("text", { x: (area.left + area.right) / 2, y: 412, "text-anchor": "middle" }, kind === "pr" ? "recall" : "threshold"));
    svg.append(draw("text", { transform: `translate(14 ${(area.top + area.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
      { pr: "precision", f: "F-measure", e: "E-measure" }[kind]));
    curves.forEach((c, m) => {
      if (!c) return;
      const points = c.y.flatMap((y, t) => (y === null || c.x[t] === null ? [] : [`${scaleX(c.x[t]).toFixed(1)},${scaleY(y).toFixed(1)}`]));
      const path = draw("polyline", { class: "curve", points: points.join(" "), "clip-path": "url(#area)", "data-method": m });
      stroke(path, m);
      svg.append(path);
      const f = stored[m].f, best = kind === "e" ? -1 : f.reduce((b, v, t) => (v !== null && (b < 0 || v > f[b]) ? t : b), -1);
      if (best >= 0 && c.y[best] !== null) { // where F is highest
        const dot = draw("circle", { class: "best", r: 3.5, cx: scaleX(c.x[best]), cy: scaleY(c.y[best]), "clip-path": "url(#area)" });
        stroke(dot, m);
        svg.append(dot);
      }
    });
    svg.append(draw("rect", { id: "chart-drag", visibility: "hidden" }));
    svg.append(draw("circle", { id: "chart-dot", r: 5, "clip-path": "url(#area)", visibility: "hidden", fill: "none", stroke: "currentColor", "stroke-width": 2 }));
    tip.textContent = "Point at a curve to read it; click a name to hide it, double-click it to see it alone. A dot marks the highest F. Drag a rectangle to enlarge it, double-click to see all.";
  }

  function read(method, threshold) {
    const c = curves[method];
    if (!c || c.y[threshold] === null) return;
    Object.assign(at, { method, threshold });
    const kind = $("chart-kind").value;
    const value = kind === "pr"
      ? `precision ${c.y[threshold].toFixed(4)}, recall ${c.x[threshold].toFixed(4)}`
      : `${kind === "f" ? "F" : "E"} ${c.y[threshold].toFixed(4)}`;
    tip.textContent = `${report.methods[method]}, threshold ${threshold}: ${value}`;
    const dot = $("chart-dot");
    dot.setAttribute("cx", scaleX(c.x[threshold]));
    dot.setAttribute("cy", scaleY(c.y[threshold]));
    dot.setAttribute("visibility", "visible");
    for (const path of svg.querySelectorAll(".curve")) {
      const own = Number(path.dataset.method) === method;
      path.classList.toggle("strong", own);
      path.classList.toggle("faint", !own);
    }
  }

  /* The place of an event in the units of the drawing. */
  function place(event) {
    const box = svg.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * (area.right + 15), ((event.clientY - box.top) / box.height) * 420];
  }

  function nearest(event) {
    const [px, py] = place(event), [x0, x1, y0, y1] = shown;
    let best = null;
    curves.forEach((c, m) => c && c.y.forEach((y, t) => {
      if (y === null || c.x[t] === null || c.x[t] < x0 || c.x[t] > x1 || y < y0 || y > y1) return;
      const distance = (scaleX(c.x[t]) - px) ** 2 + (scaleY(y) - py) ** 2;
      if (!best || distance < best.distance) best = { distance, m, t };
    }));
    if (best) read(best.m, best.t);
  }

  function calm() {
    svg.querySelectorAll(".curve").forEach((path) => path.classList.remove("strong", "faint"));
    $("chart-dot")?.setAttribute("visibility", "hidden");
  }

  /* ---- a part of the curves, enlarged ---- */
  const rightEnd = () => ($("chart-kind").value === "pr" ? 1 : 255);
  const isPart = (part) => part.length === 4 && part.every((v, i) => v >= 0 && v <= (i < 2 ? rightEnd() : 1))
    && part[1] - part[0] >= rightEnd() / 100 && part[3] - part[2] >= 0.005;

  function zoomCurves(part) {
    zoomed = part && isPart(part) ? part : null;
    remember("curve-part", zoomed ? zoomed.join(",") : "");
    drawChart();
    $("chart-whole").disabled = !zoomed;
  }

  /* The better half: of precision and recall both, of F and E the upper one. */
  function zoomIn() {
    const [x0, x1, y0, y1] = shown;
    const part = [$("chart-kind").value === "pr" ? (x0 + x1) / 2 : x0, x1, (y0 + y1) / 2, y1].map((v) => Number(v.toFixed(4)));
    if (isPart(part)) zoomCurves(part);
  }

  /* The corners of the rectangle between two places, within the axes: left, right, top, bottom. */
  function rectangle(from, to) {
    const within = (v, low, high) => Math.min(high, Math.max(low, v));
    const xs = [from[0], to[0]].map((v) => within(v, area.left, area.right)), ys = [from[1], to[1]].map((v) => within(v, area.top, area.bottom));
    return [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  }

  function drag(event) {
    const [left, right, top, bottom] = rectangle(dragStart, place(event));
    for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top, visibility: "visible" }))
      $("chart-drag").setAttribute(name, value);
  }

  function drop(event) {
    if (!dragStart) return;
    const [left, right, top, bottom] = rectangle(dragStart, place(event));
    dragStart = null;
    $("chart-drag").setAttribute("visibility", "hidden");
    if (right - left < 8 || bottom - top < 8) return; // a click
    const [x0, x1, y0, y1] = shown;
    const x = (px) => x0 + ((px - area.left) / (area.right - area.left)) * (x1 - x0);
    const y = (py) => y0 + ((area.bottom - py) / (area.bottom - area.top)) * (y1 - y0);
    const part = [x(left), x(right), y(bottom), y(top)].map((v) => Number(v.toFixed(4)));
    if (isPart(part)) zoomCurves(part);
  }

  function drawLegend() {
    const buttons = report.methods.map((name, m) => {
      const button = make("button", { type: "button", "aria-pressed": String(!hidden.has(m)), title: name });
      const sample = draw("svg", { width: 34, height: 10, "aria-hidden": "true" });
      const mark = draw("line", { x1: 1, x2: 33, y1: 5, y2: 5 });
      stroke(mark, m);
      sample.append(mark);
      button.append(sample, make("span", {}, name));
      button.addEventListener("click", () => {
        if (hidden.has(m)) hidden.delete(m); else hidden.add(m);
        button.setAttribute("aria-pressed", String(!hidden.has(m)));
        drawChart();
      });
      button.addEventListener("dblclick", () => showOnly([m]));
      button.hidden = off.method.has(name);
      return button;
    });
    $("chart-legend").replaceChildren(...buttons);
  }

  function showOnly(methods) {
    hidden.clear();
    report.methods.forEach((_, m) => { if (!methods.includes(m)) hidden.add(m); });
    drawLegend();
    drawChart();
  }
  const bestF = (m) => Math.max(-1, ...(report.curves[$("chart-set").value][m]?.f || []).filter((v) => v !== null));
  $("chart-top").addEventListener("click", () => {
    const present = report.methods.map((_, m) => m).filter((m) => !off.method.has(report.methods[m]));
    showOnly(present.sort((a, b) => bestF(b) - bestF(a)).slice(0, 5));
  });
  $("chart-all").addEventListener("click", () => showOnly(report.methods.map((_, m) => m)));
  afterChoice.push(() => { drawLegend(); drawChart(); });
  let width = 0;
  new ResizeObserver(() => { if (svg.clientWidth !== width) { width = svg.clientWidth; drawChart(); } }).observe(svg);

  options($("chart-set"), report.datasets.map((s) => s.name));
  $("chart-set").addEventListener("change", () => {
    remember("curve-set", $("chart-set").value === "0" ? "" : report.datasets[$("chart-set").value].name);
    drawChart();
  });
  $("chart-kind").addEventListener("change", () => {
    remember("curve", $("chart-kind").value === "pr" ? "" : $("chart-kind").value);
    zoomCurves(null);
  });
  $("chart-zoom").addEventListener("click", zoomIn);
  $("chart-whole").addEventListener("click", () => zoomCurves(null));
  svg.addEventListener("dblclick", () => zoomCurves(null));
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return; // a finger scrolls
    dragStart = place(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => { if (dragStart) drag(event); else nearest(event); });
  svg.addEventListener("pointerup", drop);
  svg.addEventListener("pointercancel", () => { dragStart = null; $("chart-drag").setAttribute("visibility", "hidden"); });
  svg.addEventListener("pointerleave", calm);
  for (const [name, value] of [["beforeprint", true], ["afterprint", false]])
    window.addEventListener(name, () => { isPrinting = value; drawChart(); });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 0, ArrowDown: 0 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const drawn = curves.flatMap((c, m) => (c ? [m] : []));
    if (!drawn.length) return;
    let i = Math.max(0, drawn.indexOf(at.method));
    if (event.key === "ArrowUp") i = (i + drawn.length - 1) % drawn.length;
    if (event.key === "ArrowDown") i = (i + 1) % drawn.length;
    read(drawn[i], Math.min(255, Math.max(0, at.threshold + step)));
  });
  function restoreCurves() {
    $("chart-set").value = Math.max(0, report.datasets.findIndex((s) => s.name === address.get("curve-set")));
    $("chart-kind").value = address.get("curve") ?? "pr";
    if ($("chart-kind").selectedIndex < 0) $("chart-kind").value = "pr";
    zoomCurves((address.get("curve-part") || "").split(",").map(parseFloat));
  }
  drawLegend();
  restoreCurves();

  /* ---- image browser ---- */
  const ROW = 48, TILE = { width: 176, height: 156 };
  const list = $("view-list"), space = $("view-space"), detail = $("view-detail"), viewer = $("viewer");
  let data = null, order = [], keys = [], chosen = -1, prefix = 0;

  const url = (...parts) => "thumbnails/" + parts.map(encodeURIComponent).join("/");
  const thumbnail = (set, kind, i) => {
    const name = url(report.datasets[set].folder, kind, `${String(i).padStart(6, "0")}.${kind === "image" ? "webp" : "jpg"}`);
    return report.inline ? report.inline[name] || "" : name;
  };
  const image = (source, alt) => {
    const gone = () => make("div", { class: "gone" }, "no image");
    if (!source) return gone();
    const element = make("img", { src: source, alt, loading: "lazy", decoding: "async" });
    element.addEventListener("error", () => {
      element.closest(".photo")?.querySelectorAll(".layer").forEach((layer) => layer.remove()); // nothing to lay errors over
      element.replaceWith(gone());
    });
    return element;
  };

  function load(set, then) {
    if (report.images[set]) { then(); return; }
    $("view-count").textContent = "loading ...";
    const script = make("script", { src: report.datasets[set].file });
    script.onload = then;
    script.onerror = () => { $("view-count").textContent = `${report.datasets[set].file} is missing from this folder`; };
    document.head.append(script);
  }

  function fill(select, entries) {
    const before = select.value;
    select.replaceChildren(...entries.map(([value, text]) => make("option", { value }, text)));
    if (entries.some(([value]) => String(value) === before)) select.value = before;
  }

  function openSet(then) {
    const set = Number($("view-set").value);
    load(set, () => {
      if (set !== Number($("view-set").value)) return; // another one was chosen meanwhile
      data = report.images[set];
      const here = data.methods.map((m) => report.methods[m]);
      fill($("view-sort"), [["mean", "mean of the methods"], ["spread", "range across methods"], ["name", "name"], ...here.entries()]);
      fill($("view-minus"), [["", "nothing"], ...here.entries()]);
      const groups = Object.entries(data.groups || {}).flatMap(([attribute, g]) => g.names.map((name, i) => [`${attribute}=${i}`, `${attribute}: ${name}`]));
      fill($("view-group"), [["", "all"], ...groups]);
      prefix = commonPrefix(data.stems);
      if (then) then();
      arrange();
    });
  }

  function commonPrefix(stems) {
    let n = stems.length > 1 ? stems[0].length : 0;
    for (const stem of stems) while (n && stem.slice(0, n) !== stems[0].slice(0, n)) n--;
    return n > 8 ? n : 0; // of long names only the part that differs is shown
  }

  function arrange() {
    const metric = $("view-metric").value, scores = data.scores[metric], by = $("view-sort").value, minus = $("view-minus").value;
    $("view-minus").disabled = isNaN(parseInt(by));
    // scores made in different ways have no common mean: only comparable methods count, if there are any
    const kept = (m) => !off.method.has(report.methods[data.methods[m]]);
    const alike = scores.filter((_, m) => kept(m) && data.compared[m]);
    const judged = alike.length ? alike : scores.filter((_, m) => kept(m));
    const row = (i) => judged.map((column) => column[i]).filter((v) => v !== null);
    keys = data.stems.map((stem, i) => {
      if (by === "name") return stem;
      if (by === "mean") { const r = row(i); return r.length ? r.reduce((a, b) => a + b, 0) / r.length : null; }
      if (by === "spread") { const r = row(i); return r.length ? Math.max(...r) - Math.min(...r) : null; }
      const own = scores[by][i], other = minus === "" ? 0 : scores[minus][i];
      return own === null || other === null ? null : own - other;
    });
    const wanted = $("view-filter").value.trim().toLowerCase();
    const [attribute, code] = $("view-group").value.split("=");
    const codes = attribute ? data.groups[attribute].codes : null;
    const low = parseFloat($("view-low").value), high = parseFloat($("view-high").value);
    // a range across methods is worst where it is largest; otherwise the metric's direction decides
    const better = by === "name" ? -1 : by === "spread" ? -1 : report.metrics[metric].sign;
    const sign = ($("view-order").value === "worst" ? 1 : -1) * (by === "name" ? 1 : better);
    const stem = chosen >= 0 ? data.stems[order[chosen]] : undefined;
    const passes = (s, i) => s.toLowerCase().includes(wanted) && (!codes || codes[i] === Number(code));
    const candidates = data.stems.flatMap((s, i) => (passes(s, i) ? [i] : []));
    drawBins(candidates, low, high);
    order = candidates.filter((i) => (isNaN(low) || keys[i] >= low) && (isNaN(high) || keys[i] <= high));
    order.sort((a, b) => {
      if (keys[a] === null || keys[b] === null) return (keys[a] === null) - (keys[b] === null);
      return sign * (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : 0) || a - b;
    });
    $("view-count").textContent = `${order.length} of ${data.stems.length} images`;
    layOut();
    chosen = Math.max(0, order.findIndex((i) => data.stems[i] === stem));
    show(order.length ? chosen : -1, false);
    for (const [id, usual] of Object.entries(USUAL)) remember(id, $(`view-${id}`).value === usual ? "" : $(`view-${id}`).value);
  }

  const isGrid = () => $("view-layout").value === "grid";
  const across = () => (isGrid() ? Math.max(1, Math.floor(list.clientWidth / TILE.width)) : 1);
  const rowHeight = () => (isGrid() ? TILE.height : ROW);
  function layOut() {
    viewer.classList.toggle("as-grid", isGrid());
    space.style.height = `${Math.ceil(order.length / across()) * rowHeight()}px`;
  }

  /* A histogram of the values by which images are sorted; a click on a bin shows its images. */
  function drawBins(candidates, low, high) {
    const values = candidates.map((i) => keys[i]).filter((v) => typeof v === "number");
    const box = $("view-bins");
    box.hidden = values.length < 2;
    if (box.hidden) return;
    const min = Math.min(...values), max = Math.max(...values), n = 20, step = (max - min) / n || 1;
    const counts = new Array(n).fill(0);
    for (const v of values) counts[Math.min(n - 1, Math.floor((v - min) / step))]++;
    const most = Math.max(...counts);
    box.replaceChildren(...counts.map((count, k) => {
      const from = Number((min + k * step - 5e-5).toFixed(4)), to = Number((min + (k + 1) * step + 5e-5).toFixed(4));
      const text = `${count} images from ${from.toFixed(3)} to ${to.toFixed(3)}`;
      const bin = make("button", { type: "button", title: text, "aria-label": text, "aria-pressed": String(low === from && high === to) });
      bin.style.setProperty("--share", count ? `${Math.max(4, Math.round((100 * count) / most))}%` : "0%");
      bin.addEventListener("click", () => {
        const again = low === from && high === to;
        $("view-low").value = again ? "" : from;
        $("view-high").value = again ? "" : to;
        arrange();
      });
      return bin;
    }));
  }

  function paint() {
    const columns = across(), height = rowHeight();
    const first = Math.max(0, Math.floor(list.scrollTop / height) - 3) * columns;
    const last = Math.min(order.length, first + (Math.ceil(list.clientHeight / height) + 6) * columns);
    const set = Number($("view-set").value), items = [], sort = parseInt($("view-sort").value);
    // in the grid, the map of the method that is sorted by
    const kind = isGrid() && !isNaN(sort) ? report.folders[data.methods[sort]] : "image";
    for (let k = first; k < last; k++) {
      const i = order[k];
      const item = make("div", { class: "item", role: "option", id: `item-${k}`, "aria-selected": String(k === chosen),
        "aria-setsize": order.length, "aria-posinset": k + 1 });
      item.style.top = `${Math.floor(k / columns) * height}px`;
      if (isGrid()) item.style.left = `${(k % columns) * TILE.width}px`;
      const key = keys[i] === null ? "–" : typeof keys[i] === "number" ? keys[i].toFixed(3) : "";
      const name = prefix ? `…${data.stems[i].slice(prefix - 1)}` : data.stems[i];
      item.append(image(thumbnail(set, kind, i), ""), make("span", { class: "name", title: data.stems[i] }, name), make("span", {}, key));
      item.addEventListener("click", () => {
        show(k, true);
        // on a narrow screen the detail is below the list
        if (isGrid() || matchMedia("(max-width: 760px)").matches) detail.scrollIntoView({ block: "start" });
      });
      items.push(item);
    }
    space.replaceChildren(...items);
    if (chosen >= first && chosen < last) list.setAttribute("aria-activedescendant", `item-${chosen}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function show(k, isChosen) {
    chosen = k;
    if (k < 0) { detail.replaceChildren("No image matches."); space.replaceChildren(); list.removeAttribute("aria-activedescendant"); return; }
    const top = Math.floor(k / across()) * rowHeight();
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + rowHeight() > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight() - list.clientHeight;
    paint();
    const set = Number($("view-set").value), i = order[k], stem = data.stems[i], mode = $("view-show").value;
    const photo = (title, below, content) => {
      const button = make("button", { class: "open", type: "button", "aria-label": `enlarge ${title}` }, make("div", { class: "photo" }, ...content));
      button.addEventListener("click", () => zoom(set, i, below));
      return button;
    };
    const card = (title, below, content, ...rest) => make("div", { class: "card" }, make("h4", { title }, title), photo(title, below, content), ...rest);
    const cards = [
      card("image", "image", [image(thumbnail(set, "image", i), `image ${stem}`)]),
      card("GT", "mask", [image(thumbnail(set, "mask", i), `ground truth of ${stem}`)]),
    ];
    data.methods.forEach((m, column) => {
      if (off.method.has(report.methods[m])) return;
      const folder = report.folders[m], source = thumbnail(set, folder, i);
      const content = [image(source, `map of ${report.methods[m]}`)];
      if (mode === "errors") {
        content.push(make("div", { class: "layer truth" }, image(thumbnail(set, "mask", i), "")));
        content.push(make("div", { class: "layer map" }, image(source, `errors of ${report.methods[m]}`)));
      } else if (mode === "overlay") {
        const layer = make("div", { class: "layer" }, image(thumbnail(set, "image", i), ""));
        layer.style.opacity = .55;
        content.push(layer);
      }
      const scores = make("dl");
      report.metrics.forEach((metric, n) => {
        const value = data.scores[n] && data.scores[n][column][i];
        if (value === undefined || off.metric.has(metric.name)) return;
        const style = String(n) === $("view-metric").value ? { class: "chosen" } : {};
        scores.append(make("dt", style, metric.heading), make("dd", style, value === null ? "undefined" : value.toFixed(3)));
      });
      cards.push(card(report.methods[m], folder, content, scores));
    });
    const groups = Object.entries(data.groups || {}).flatMap(([attribute, g]) => (g.codes[i] < 0 ? [] : [`${attribute}: ${g.names[g.codes[i]]}`]));
    detail.replaceChildren(make("h3", {}, `${report.datasets[set].name}: ${stem}`), make("p", { class: "note" }, groups.join("; ")),
      make("div", { class: "cards" }, ...cards));
    if (isChosen) remember("image", stem);
  }

  /* ---- enlarged: one layer over another, blended or split; original files where the page links them ---- */
  const original = (kind, i) => {
    const links = data.links && data.links[kind];
    return links && links.rest[i] !== null ? links.start + links.rest[i] : "";
  };
  function enlarge(element, set, kind, i) {
    const small = thumbnail(set, kind, i), source = original(kind, i) || small;
    if (element.dataset.wanted === source) return;
    element.dataset.wanted = source;
    element.classList.toggle("small", source === small);
    element.onload = arrangeStage;
    element.onerror = () => {
      if (element.classList.contains("small")) return;
      element.classList.add("small");
      element.src = small;
    };
    element.src = source;
  }
  function arrangeStage() {
    const note = $("zoom-note");
    if (!note) return;
    const small = (id) => $(id).classList.contains("small");
    const leading = small("zoom-under") && !small("zoom-top") ? $("zoom-top") : $("zoom-under");
    if (leading.naturalWidth) {
      $("zoom-stage").style.setProperty("--ratio", leading.naturalWidth / leading.naturalHeight);
      $("zoom-stage").style.setProperty("--width", `${leading.naturalWidth}px`);
    }
    const names = [...new Set([...document.querySelectorAll("#zoom img.small")].map((e) => e.alt))];
    note.textContent = names.length
      ? `Only the thumbnail of ${names.join(" and ")} is shown: the original file is missing, was moved, or has a format that this browser cannot show.` : "";
  }
  function zoom(set, i, above) {
    const layers = [["image", "image"], ["mask", "GT"], ...data.methods.map((m) => [report.folders[m], report.methods[m]])];
    fill($("zoom-below"), layers);
    fill($("zoom-above"), layers);
    $("zoom-below").value = above === "image" ? "image" : $("zoom-below").value === above ? "image" : $("zoom-below").value;
    $("zoom-above").value = above === "image" ? "mask" : above;
    const update = () => {
      $("zoom-title").textContent = data.stems[i];
      for (const [id, select] of [["zoom-under", "zoom-below"], ["zoom-top", "zoom-above"]]) {
        $(id).alt = $(select).selectedOptions[0].textContent;
        enlarge($(id), set, $(select).value, i);
      }
      arrangeStage();
      const amount = Number($("zoom-amount").value), isSplit = $("zoom-mode").value === "slider";
      $("zoom-over").style.opacity = isSplit ? 1 : amount / 100;
      $("zoom-over").style.clipPath = isSplit ? `inset(0 0 0 ${amount}%)` : "none";
    };
    for (const id of ["zoom-below", "zoom-above", "zoom-mode", "zoom-amount"]) $(id).oninput = $(id).onchange = update;
    update();
    $("zoom").showModal();
  }
  $("zoom-close").addEventListener("click", () => $("zoom").close());
  $("zoom-actual")?.addEventListener("change", () => {
    $("zoom-stage").classList.toggle("actual", $("zoom-actual").checked);
    // one pixel of the file is one of the screen, also where the screen has several per CSS pixel
    $("zoom-stage").style.zoom = $("zoom-actual").checked ? 1 / devicePixelRatio : 1;
  });

  // the settings that the address keeps, with their usual values
  const USUAL = { metric: String(report.primary), sort: "mean", minus: "", order: "worst", layout: "list", show: "", filter: "", group: "", low: "", high: "" };
  function restore() {
    for (const [id, usual] of Object.entries(USUAL)) $(`view-${id}`).value = address.get(id) ?? usual;
    for (const id of ["sort", "metric"]) if ($(`view-${id}`).selectedIndex < 0) $(`view-${id}`).value = USUAL[id];
    for (const id of ["minus", "group", "order", "layout", "show"]) if ($(`view-${id}`).selectedIndex < 0) $(`view-${id}`).value = USUAL[id];
    const wanted = address.get("image");
    order = wanted === null ? [] : [data.stems.indexOf(wanted)];
    chosen = order.length && order[0] >= 0 ? 0 : -1;
    if (wanted !== null) { openFor("browser"); $("browser").scrollIntoView(); }
  }

  options($("view-set"), report.datasets.map((s) => s.name));
  options($("view-metric"), report.metrics.map((m) => m.heading));
  $("view-metric").value = report.primary;
  $("view-set").addEventListener("change", () => {
    chosen = -1;
    list.scrollTop = 0;
    remember("set", $("view-set").value === "0" ? "" : report.datasets[$("view-set").value].name);
    remember("image", "");
    openSet();
  });
  const fromTop = () => { chosen = -1; list.scrollTop = 0; arrange(); };
  for (const id of ["metric", "sort", "minus", "order", "group", "layout"]) $(`view-${id}`).addEventListener("change", fromTop);
  for (const id of ["filter", "low", "high"]) $(`view-${id}`).addEventListener("input", () => { list.scrollTop = 0; arrange(); });
  $("view-reset").addEventListener("click", () => {
    for (const id of ["filter", "low", "high", "group"]) $(`view-${id}`).value = "";
    arrange();
  });
  $("view-show").addEventListener("change", arrange);
  list.addEventListener("scroll", () => requestAnimationFrame(paint));
  new ResizeObserver(() => { if (data && isGrid()) { layOut(); paint(); } }).observe(list);
  list.addEventListener("keydown", (event) => {
    const columns = across(), page = Math.floor(list.clientHeight / rowHeight()) * columns;
    const step = { ArrowDown: columns, ArrowRight: 1, ArrowUp: -columns, ArrowLeft: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !order.length) return;
    event.preventDefault();
    show(Math.min(order.length - 1, Math.max(0, chosen + step)), true);
  });
  afterChoice.push(() => { if (data) arrange(); });
  function follow() {
    const set = report.datasets.findIndex((s) => s.name === address.get("set"));
    $("view-set").value = Math.max(0, set);
    openSet(restore);
  }
  /* A part of a figure shows its images: the worst of that method, and of that group, first. */
  document.addEventListener("click", (event) => {
    const spot = event.target.closest("a.spot");
    if (!spot || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const key of ["set", "image", ...Object.keys(USUAL)]) address.delete(key);
    for (const [key, value] of new URLSearchParams(spot.getAttribute("href").slice(2))) address.set(key, value);
    follow();
    openFor("browser");
    $("browser").scrollIntoView();
  });
  window.addEventListener("hashchange", () => {
    if (!location.hash.startsWith("#?")) return;
    for (const key of [...address.keys()]) address.delete(key);
    for (const [key, value] of new URLSearchParams(location.hash.slice(2))) address.set(key, value);
    restoreCurves();
    follow();
  });
  follow();
  if (PARTS.some((part) => off[part].size)) choiceChanged();

  const save = $("save-json");
  if (save) save.addEventListener("click", () => {
    const blob = new Blob([$("report-json").textContent], { type: "application/json" });
    const link = make("a", { href: URL.createObjectURL(blob), download: "report.json" });
    link.click();
    URL.revokeObjectURL(link.href);
  });
})();

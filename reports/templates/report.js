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

  /* ---- tables ---- */
  for (const box of document.querySelectorAll(".table")) {
    const table = box.querySelector("table"), body = table.tBodies[0];
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => head.querySelector(".sort").addEventListener("click", () => {
      const number = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const descending = before === "none" ? number && !head.textContent.includes("↓") : before === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[column];
        return number ? parseFloat(cell.dataset.value) : (cell.dataset.value || cell.textContent).toLowerCase();
      };
      const order = (a, b) => {
        const x = key(a), y = key(b);
        if (number && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y); // absent numbers last, always
        const sign = x < y ? -1 : x > y ? 1 : 0;
        return descending ? -sign : sign;
      };
      body.append(...[...body.rows].sort(order));
    }));
    const filter = box.querySelector(".filter");
    if (filter) filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  }
  document.querySelectorAll(".needs-script").forEach((element) => { element.hidden = false; });

  /* ---- curves ---- */
  const svg = $("chart-svg"), tip = $("chart-tip"), hidden = new Set();
  const area = { left: 58, right: 745, top: 15, bottom: 370 };
  const at = { method: -1, threshold: 128 };
  let curves = [], scaleX, scaleY;

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

  function ticks(low, high) {
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 50].find((s) => (high - low) / s <= 7);
    const values = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) values.push(i * step);
    return values;
  }

  function drawChart() {
    const kind = $("chart-kind").value, stored = report.curves[$("chart-set").value];
    const thresholds = Array.from({ length: 256 }, (_, t) => t);
    curves = report.methods.map((_, m) => {
      const c = stored[m];
      if (!c || hidden.has(m)) return null;
      return kind === "pr" ? { x: c.recall, y: c.precision } : { x: thresholds, y: c[kind] };
    });
    const values = curves.flatMap((c) => (c ? c.y.filter((v) => v !== null) : [])).sort((a, b) => a - b);
    const low = values.length ? Math.floor(values[Math.floor(values.length * 0.03)] * 20) / 20 : 0;
    const high = values.length ? Math.min(1, Math.ceil(values[values.length - 1] * 20) / 20) : 1;
    const [x0, x1] = kind === "pr" ? [0, 1] : [0, 255];
    scaleX = (x) => area.left + ((x - x0) / (x1 - x0)) * (area.right - area.left);
    scaleY = (y) => area.bottom - ((y - low) / (high - low || 1)) * (area.bottom - area.top);
    svg.replaceChildren();
    const clip = draw("clipPath", { id: "area" });
    clip.append(draw("rect", { x: area.left, y: area.top, width: area.right - area.left, height: area.bottom - area.top }));
    svg.append(clip);
    for (const x of ticks(x0, x1)) {
      svg.append(draw("line", { class: "grid", x1: scaleX(x), x2: scaleX(x), y1: area.top, y2: area.bottom }));
      svg.append(draw("text", { x: scaleX(x), y: area.bottom + 18, "text-anchor": "middle" }, kind === "pr" ? x.toFixed(1) : x.toFixed(0)));
    }
    for (const y of ticks(low, high)) {
      svg.append(draw("line", { class: "grid", x1: area.left, x2: area.right, y1: scaleY(y), y2: scaleY(y) }));
      svg.append(draw("text", { x: area.left - 8, y: scaleY(y) + 4, "text-anchor": "end" }, y.toFixed(2)));
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
    });
    svg.append(draw("circle", { id: "chart-dot", r: 5, visibility: "hidden", fill: "none", stroke: "currentColor", "stroke-width": 2 }));
    tip.textContent = "Point at a curve to read it; click a name to hide it.";
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

  function nearest(event) {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * 760, py = ((event.clientY - box.top) / box.height) * 420;
    let best = null;
    curves.forEach((c, m) => c && c.y.forEach((y, t) => {
      if (y === null || c.x[t] === null) return;
      const distance = (scaleX(c.x[t]) - px) ** 2 + (scaleY(y) - py) ** 2;
      if (!best || distance < best.distance) best = { distance, m, t };
    }));
    if (best) read(best.m, best.t);
  }

  function calm() {
    svg.querySelectorAll(".curve").forEach((path) => path.classList.remove("strong", "faint"));
    $("chart-dot")?.setAttribute("visibility", "hidden");
  }

  function drawLegend() {
    $("chart-legend").replaceChildren(...report.methods.map((name, m) => {
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
      return button;
    }));
  }

  options($("chart-set"), report.datasets.map((s) => s.name));
  $("chart-set").addEventListener("change", drawChart);
  $("chart-kind").addEventListener("change", drawChart);
  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerleave", calm);
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
  drawLegend();
  drawChart();

  /* ---- image browser ---- */
  const ROW = 48, list = $("view-list"), space = $("view-space"), detail = $("view-detail");
  let data = null, order = [], keys = [], chosen = -1;

  const url = (...parts) => "thumbnails/" + parts.map(encodeURIComponent).join("/");
  const thumbnail = (set, kind, i) => url(report.datasets[set].folder, kind, `${String(i).padStart(6, "0")}.jpg`);
  const image = (source, alt) => {
    const element = make("img", { src: source, alt, loading: "lazy", decoding: "async" });
    element.addEventListener("error", () => {
      element.closest(".photo")?.querySelectorAll(".layer").forEach((layer) => layer.remove()); // nothing to lay errors over
      element.replaceWith(make("div", { class: "gone" }, "no image"));
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

  function openSet(then) {
    const set = Number($("view-set").value);
    load(set, () => {
      data = report.images[set];
      const here = data.methods.map((m) => report.methods[m]);
      const keep = [$("view-sort").value, $("view-minus").value];
      $("view-sort").replaceChildren(make("option", { value: "mean" }, "mean of the methods"), make("option", { value: "spread" }, "disagreement"),
        make("option", { value: "name" }, "name"), ...here.map((name, i) => make("option", { value: i }, name)));
      $("view-minus").replaceChildren(make("option", { value: "" }, "nothing"), ...here.map((name, i) => make("option", { value: i }, name)));
      [$("view-sort"), $("view-minus")].forEach((select, i) => {
        if ([...select.options].some((o) => o.value === keep[i])) select.value = keep[i];
      });
      arrange();
      if (then) then();
    });
  }

  function arrange() {
    const scores = data.scores[$("view-metric").value], by = $("view-sort").value, minus = $("view-minus").value;
    $("view-minus").disabled = isNaN(parseInt(by));
    // scores made in different ways have no common mean: only comparable methods count, if there are any
    const judged = data.compared.some(Boolean) ? scores.filter((_, m) => data.compared[m]) : scores;
    const row = (i) => judged.map((column) => column[i]).filter((v) => v !== null);
    keys = data.stems.map((stem, i) => {
      if (by === "name") return stem;
      if (by === "mean") { const r = row(i); return r.length ? r.reduce((a, b) => a + b, 0) / r.length : null; }
      if (by === "spread") { const r = row(i); return r.length ? Math.max(...r) - Math.min(...r) : null; }
      const own = scores[by][i], other = minus === "" ? 0 : scores[minus][i];
      return own === null || other === null ? null : own - other;
    });
    const wanted = $("view-filter").value.trim().toLowerCase(), sign = Number($("view-order").value);
    const stem = chosen >= 0 ? order[chosen] : undefined;
    order = data.stems.flatMap((s, i) => (s.toLowerCase().includes(wanted) ? [i] : []));
    order.sort((a, b) => {
      if (keys[a] === null || keys[b] === null) return (keys[a] === null) - (keys[b] === null);
      return sign * (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : 0) || a - b;
    });
    $("view-count").textContent = `${order.length} of ${data.stems.length} images`;
    space.style.height = `${order.length * ROW}px`;
    chosen = Math.max(0, order.indexOf(stem));
    show(order.length ? chosen : -1, false);
  }

  function paint() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(order.length, first + Math.ceil(list.clientHeight / ROW) + 8);
    const set = Number($("view-set").value), items = [];
    for (let k = first; k < last; k++) {
      const i = order[k];
      const item = make("div", { class: "item", role: "option", id: `item-${k}`, "aria-selected": String(k === chosen),
        "aria-setsize": order.length, "aria-posinset": k + 1 });
      item.style.top = `${k * ROW}px`;
      const key = keys[i] === null ? "–" : typeof keys[i] === "number" ? keys[i].toFixed(3) : "";
      item.append(image(thumbnail(set, "image", i), ""), make("span", { class: "name", title: data.stems[i] }, data.stems[i]), make("span", {}, key));
      item.addEventListener("click", () => show(k, true));
      items.push(item);
    }
    space.replaceChildren(...items);
    list.setAttribute("aria-activedescendant", `item-${chosen}`);
  }

  function show(k, remember) {
    chosen = k;
    if (k < 0) { detail.replaceChildren("No image has this name."); space.replaceChildren(); return; }
    const top = k * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    paint();
    const set = Number($("view-set").value), i = order[k], stem = data.stems[i], errors = $("view-errors").checked;
    const card = (title, content, ...rest) => make("div", { class: "card" }, make("h4", { title }, title), make("div", { class: "photo" }, ...content), ...rest);
    const cards = [
      card("image", [image(thumbnail(set, "image", i), `image ${stem}`)]),
      card("mask", [image(thumbnail(set, "mask", i), `mask of ${stem}`)]),
      ...data.methods.map((m, column) => {
        const folder = report.folders[m], source = thumbnail(set, folder, i);
        const content = [image(source, `map of ${report.methods[m]}`)];
        if (errors) {
          content.push(make("div", { class: "layer truth" }, image(thumbnail(set, "mask", i), "")));
          content.push(make("div", { class: "layer map" }, image(source, `errors of ${report.methods[m]}`)));
        }
        const scores = make("dl");
        report.metrics.forEach((metric, n) => {
          const value = data.scores[n] && data.scores[n][column][i];
          if (value === undefined || value === null) return;
          const style = String(n) === $("view-metric").value ? { class: "chosen" } : {};
          scores.append(make("dt", style, metric.heading), make("dd", style, value.toFixed(3)));
        });
        return card(report.methods[m], content, scores);
      }),
    ];
    const link = make("a", { href: `#image=${encodeURIComponent(report.datasets[set].name)}/${encodeURIComponent(stem)}` }, "link to this image");
    detail.replaceChildren(make("h3", {}, `${report.datasets[set].name}: ${stem} `, link), make("div", { class: "cards" }, ...cards));
    if (remember) history.replaceState(null, "", link.getAttribute("href"));
  }

  function follow() {
    const match = /^#image=([^/]*)\/(.*)$/.exec(location.hash);
    if (!match) return false;
    const set = report.datasets.findIndex((s) => s.name === decodeURIComponent(match[1]));
    if (set < 0) return false;
    $("view-set").value = set;
    $("view-filter").value = "";
    openSet(() => {
      const k = order.findIndex((i) => data.stems[i] === decodeURIComponent(match[2]));
      if (k >= 0) { show(k, false); $("browser").scrollIntoView(); }
    });
    return true;
  }

  options($("view-set"), report.datasets.map((s) => s.name));
  options($("view-metric"), report.metrics.map((m) => m.heading));
  $("view-metric").value = report.primary;
  $("view-set").addEventListener("change", () => { chosen = -1; list.scrollTop = 0; openSet(); });
  for (const id of ["view-metric", "view-sort", "view-minus", "view-order"]) $(id).addEventListener("change", () => { chosen = -1; list.scrollTop = 0; arrange(); });
  $("view-filter").addEventListener("input", () => { list.scrollTop = 0; arrange(); });
  $("view-errors").addEventListener("change", () => show(chosen, false));
  list.addEventListener("scroll", () => requestAnimationFrame(paint));
  list.addEventListener("keydown", (event) => {
    const page = Math.floor(list.clientHeight / ROW);
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !order.length) return;
    event.preventDefault();
    show(Math.min(order.length - 1, Math.max(0, chosen + step)), true);
  });
  window.addEventListener("hashchange", follow);
  if (!follow()) openSet();
})();

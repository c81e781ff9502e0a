"use strict";

// Light and dark: the system's choice until the reader makes one.
(() => {
  const button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const say = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Dark colours; switch to light" : "Light colours; switch to dark");
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    say();
  });
  system.addEventListener("change", say);
  say();
})();

// Tables that sort: numbers by data-value, words by their text, cells without a value last.
document.querySelectorAll("table.sortable").forEach((table) => {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column];
    if (heads[column].classList.contains("words")) return cell.textContent.trim();
    return "value" in cell.dataset ? Number(cell.dataset.value) : null;
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return down ? compare(b, a) : compare(a, b);
      });
      rows.forEach(([, row]) => body.append(row));
    });
  });
});

// On paper everything is open but long listings, which are in results.json.
(() => {
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open]):not(.code)")];
    closed.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));
})();

// Signals.

/** `<scale>:<base64 of little-endian int16>` -> Float64Array; -32768 is NaN. */
function unpack(text) {
  const colon = text.indexOf(":");
  const scale = Number(text.slice(0, colon));
  const bytes = Uint8Array.from(atob(text.slice(colon + 1)), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const values = new Float64Array(bytes.length / 2);
  for (let i = 0; i < values.length; i += 1) {
    const whole = view.getInt16(2 * i, true);
    values[i] = whole === -32768 ? NaN : whole * scale;
  }
  return values;
}

/** Power at f (Hz) of a Hann-windowed waveform without its mean, relative to the largest. */
function spectrum(x, dt, f) {
  const n = x.length;
  let mean = 0;
  for (const v of x) mean += (Number.isFinite(v) ? v : 0) / n;
  const tapered = x.map((v, i) => (Number.isFinite(v) ? v - mean : 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n)));
  const power = f.map((hz) => {
    let re = 0, im = 0;
    const step = 2 * Math.PI * hz * dt;
    for (let i = 0; i < n; i += 1) {
      re += tapered[i] * Math.cos(step * i);
      im += tapered[i] * Math.sin(step * i);
    }
    return re * re + im * im;
  });
  const most = Math.max(...power);
  return most > 0 ? power.map((p) => p / most) : power;
}

// Drawing.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 52, right: 14, top: 18, bottom: 40 };

function node(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes || {}).forEach(([key, value]) => made.setAttribute(key, value));
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

/** About `count` round numbers within [low, high]. */
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const base = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * base).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i += 1) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** Axes of a chart; `x` and `y` turn values into places. `alt` says what is in it. */
function chart(parent, width, height, { x: xs, y: ys, xlabel, ylabel, alt, yticks = true }) {
  const bottom = xlabel ? MARGIN.bottom : 6;
  const svg = node(parent, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": alt });
  const inner = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - bottom };
  const x = (v) => inner.left + ((v - xs[0]) / (xs[1] - xs[0])) * (inner.right - inner.left);
  const y = (v) => inner.bottom - ((v - ys[0]) / (ys[1] - ys[0])) * (inner.bottom - inner.top);
  const below = node(svg, "g");
  ticks(...xs, width / 90).forEach((v) => {
    node(svg, "path", { class: "grid", d: `M${x(v)} ${inner.top}V${inner.bottom}` });
    if (xlabel) node(svg, "text", { x: x(v), y: inner.bottom + 16, "text-anchor": "middle" }, String(v));
  });
  if (yticks) ticks(...ys, (inner.bottom - inner.top) / 36).forEach((v) => {
    node(svg, "path", { class: "grid", d: `M${inner.left} ${y(v)}H${inner.right}` });
    node(svg, "text", { x: inner.left - 7, y: y(v) + 4, "text-anchor": "end" }, String(v));
  });
  node(svg, "path", { class: "axis", d: `M${inner.left} ${inner.top}V${inner.bottom}H${inner.right}` });
  if (xlabel) node(svg, "text", { x: (inner.left + inner.right) / 2, y: height - 6, "text-anchor": "middle" }, xlabel);
  if (ylabel) {
    const at = `translate(13 ${(inner.top + inner.bottom) / 2}) rotate(-90)`;
    node(svg, "text", { transform: at, "text-anchor": "middle" }, ylabel);
  }
  return { svg, below, inner, x, y };
}

/** Path of the finite samples with `from` <= t <= `to`, broken where one is missing. */
function path(values, time, place, backwards = false) {
  let d = "", pen = false;
  const n = values.length;
  for (let k = 0; k < n; k += 1) {
    const i = backwards ? n - 1 - k : k;
    if (!Number.isFinite(values[i])) { pen = false; continue; }
    d += `${pen || backwards ? "L" : "M"}${place.x(time[i]).toFixed(1)} ${place.y(values[i]).toFixed(1)}`;
    pen = true;
  }
  return d;
}

// The viewer.

(() => {
  const place = document.getElementById("viewer");
  if (!place) return;
  const index = JSON.parse(document.getElementById("index").textContent);
  const stored = document.querySelectorAll("script.recording");
  const search = document.getElementById("search");
  const chooser = document.getElementById("recording");
  const windows = document.getElementById("window");
  const found = document.getElementById("found");
  const boxes = [...document.querySelectorAll('input[name="method"]')];
  const state = { recording: null, window: 0, data: null };

  boxes.forEach((box) => { box.checked = index.shown.includes(Number(box.value)); });
  const chosen = () => boxes.filter((box) => box.checked).map((box) => Number(box.value));
  const number = (v, digits = 1) => (v === null ? "—" : v.toFixed(digits));
  const look = (m) => `m${m % 8}`;
  const refined = "refined peak of the spectrum";
  const kind = (rows) => {
    const known = rows.filter((r) => r.read !== null);
    const n = known.filter((r) => r.refined).length;
    if (n === 0 && known.length) return index.by;
    return n === known.length ? refined : `${refined} where there is one, else ${index.by}`;
  };

  function list() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = index.recordings
      .map((r, i) => [r, i, [r.id, r.subject, r.dataset, r.groups].join(" ").toLowerCase()])
      .filter(([, , text]) => words.every((word) => text.includes(word)));
    chooser.replaceChildren(...fits.map(([r, i]) => {
      const about = [r.subject && r.subject !== r.id && `${r.dataset}/${r.subject}` !== r.id ? `subject ${r.subject}` : "", r.groups].filter(Boolean).join(", ");
      const option = new Option(about ? `${r.id} (${about})` : r.id, String(i));
      option.selected = i === state.recording;
      return option;
    }));
    found.textContent = `${fits.length} of ${index.recordings.length} recordings`;
    return fits;
  }

  function select(i) {
    if (i === state.recording) return;
    const tree = JSON.parse(stored[i].textContent);
    const spans = new Map();
    tree.rows.forEach((row) => spans.set(row.w, row.t));
    if (!spans.size) {
      const ends = tree.waves.map((wave) => wave.t0 + wave.dt * (unpack(wave.pred).length - 1));
      spans.set(0, [0, Math.max(1, ...ends)]);
    }
    const labels = tree.labels.map(unpack);
    const waves = new Map(tree.waves.map((wave) => [wave.m, {
      t0: wave.t0, dt: wave.dt, pred: unpack(wave.pred), label: labels[wave.label],
      band: wave.band && wave.band.map(unpack),
    }]));
    state.data = { rows: tree.rows, waves, spans: [...spans.entries()].sort((a, b) => a[0] - b[0]) };
    state.recording = i;
    state.window = 0;
    windows.replaceChildren(...state.data.spans.map(([w, [from, to]], k) => new Option(`${w + 1}: ${from} to ${to} s`, String(k))));
    draw();
  }

  function panel(title, key) {
    const made = document.createElement("figure");
    made.className = "panel";
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    made.append(caption);
    if (key) {
      const line = document.createElement("p");
      line.className = "key";
      line.textContent = key;
      made.append(line);
    }
    place.append(made);
    return made;
  }

  /** A method's waveform within the chosen window. */
  function cut(wave, [from, to]) {
    const first = Math.max(0, Math.ceil((from - wave.t0) / wave.dt - 1e-6));
    const last = Math.min(wave.pred.length, Math.floor((to - wave.t0) / wave.dt + 1e-6));
    const part = (x) => x.slice(first, Math.max(first, last));
    const pred = part(wave.pred);
    return {
      time: Array.from(pred, (_, i) => wave.t0 + (first + i) * wave.dt),
      pred, label: part(wave.label), band: wave.band && wave.band.map(part), dt: wave.dt,
    };
  }

  function drawWaveforms(cuts, span, width) {
    const hasBand = cuts.some(([, c]) => c.band);
    const made = panel("Waveforms", `Grey: true BVP. Colour: as read.${hasBand ? " Shaded: 5-95 % of the Monte Carlo samples." : ""}`);
    cuts.forEach(([m, c], k) => {
      const all = [c.pred, c.label, ...(c.band || [])];
      const largest = 1.08 * Math.max(0.1, ...all.map((x) => x.reduce((most, v) => (Math.abs(v) > most ? Math.abs(v) : most), 0)));
      const last = k === cuts.length - 1;
      const alt = `${index.methods[m]}: BVP from ${span[0]} to ${span[1]} s, read and true`;
      const area = chart(made, width, last ? 132 : 98, { x: span, y: [-largest, largest], xlabel: last ? "time (s)" : "", alt, yticks: false });
      if (c.band) node(area.svg, "path", { class: `band ${look(m)}`, d: `${path(c.band[0], c.time, area)}${path(c.band[1], c.time, area, true)}Z` });
      node(area.svg, "path", { class: "true", d: path(c.label, c.time, area) });
      node(area.svg, "path", { class: `read ${look(m)}`, d: path(c.pred, c.time, area) });
      node(area.svg, "text", { class: `name ${look(m)}`, x: area.inner.left, y: 12 }, index.methods[m]);
    });
  }

  function drawSpectra(cuts, rows, width) {
    const made = panel("Spectrum", `Upright lines: HR as read (colour) and true HR (dashed), ${kind(rows)}. Grey: spectrum of the true BVP.`);
    const [low, high] = index.band.map((hz) => 60 * hz);
    const bpm = Array.from({ length: Math.floor(2 * (high - low)) + 1 }, (_, i) => low + i / 2);
    const hz = bpm.map((v) => v / 60);
    const alt = `Power spectra. ${rows.map((r) => `${index.methods[r.m]}: HR read ${number(r.read)}, true ${number(r.true)} bpm`).join("; ")}`;
    const area = chart(made, width, 230, { x: [low, high], y: [0, 1.05], xlabel: "frequency (bpm)", ylabel: "relative power", alt });
    if (cuts.length) node(area.svg, "path", { class: "true", d: path(spectrum(Array.from(cuts[0][1].label), cuts[0][1].dt, hz), bpm, area) });
    cuts.forEach(([m, c]) => node(area.svg, "path", { class: `read ${look(m)}`, d: path(spectrum(Array.from(c.pred), c.dt, hz), bpm, area) }));
    const upright = (v, kind) => v !== null && node(area.svg, "path", { class: kind, d: `M${area.x(v)} ${area.inner.top}V${area.inner.bottom}` });
    rows.forEach((r) => upright(r.read, `read ${look(r.m)}`));
    if (rows.length) upright(rows[0].true, "mark");
  }

  function drawTrack(width) {
    const shown = chosen();
    const rows = state.data.rows.filter((r) => shown.includes(r.m));
    const made = panel("Heart rate over the windows", `HR of the ${kind(rows)}. Dashed: true HR. Bars: calibrated 90 % intervals, dotted where infinite. Hollow: better withheld.`);
    const spans = state.data.spans;
    const ends = [Math.min(...spans.map(([, t]) => t[0])), Math.max(...spans.map(([, t]) => t[1]))];
    const values = rows.flatMap((r) => [r.true, r.read, r.low, r.high]).filter((v) => v !== null);
    if (!values.length) {
      const none = document.createElement("p");
      none.textContent = "No window has a heart rate.";
      made.append(none);
      return;
    }
    const room = Math.max(3, 0.08 * (Math.max(...values) - Math.min(...values)));
    const limits = [Math.min(...values) - room, Math.max(...values) + room];
    const alt = `Heart rate read in ${spans.length} windows, with 90 % intervals: see the table below`;
    const area = chart(made, width, 270, { x: ends, y: limits, xlabel: "time (s)", ylabel: "HR (bpm)", alt });
    spans.forEach(([w, [from, to]], k) => {
      const size = { x: area.x(from), y: area.inner.top, width: area.x(to) - area.x(from), height: area.inner.bottom - area.inner.top };
      if (k === state.window) node(area.below, "rect", { class: "shade", ...size });
      const mine = rows.filter((r) => r.w === w);
      const truth = mine.find((r) => r.true !== null);
      if (truth) node(area.svg, "path", { class: "mark", d: `M${area.x(from)} ${area.y(truth.true)}H${area.x(to)}` });
      shown.forEach((m, j) => {
        const r = mine.find((row) => row.m === m);
        if (!r || r.read === null) return;
        const at = area.x(from + ((j + 1) / (shown.length + 1)) * (to - from));
        if (r.low !== null) node(area.svg, "path", { class: `read ${look(m)}`, d: `M${at} ${area.y(r.low)}V${area.y(r.high)}` });
        if (r.infinite) node(area.svg, "path", { class: `read ${look(m)}`, "stroke-dasharray": "2 4", d: `M${at} ${area.inner.top}V${area.inner.bottom}` });
        node(area.svg, "circle", { class: `dot ${look(m)}${r.withheld ? " withheld" : ""}`, cx: at, cy: area.y(r.read), r: 4 });
      });
      node(area.svg, "rect", { class: "hit", ...size }).addEventListener("click", () => { windows.value = String(k); state.window = k; draw(); });
    });
  }

  /** The same in words and numbers. */
  function drawTable() {
    const shown = chosen();
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Windows of the recording");
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    const cell = (row, text, words, kind = "td") => {
      const made = document.createElement(kind);
      made.textContent = text;
      if (words) made.className = words;
      row.append(made);
    };
    const rows = state.data.rows.filter((r) => shown.includes(r.m)).sort((a, b) => a.w - b.w || a.m - b.m);
    const all = rows.every((r) => r.refined || r.read === null) ? ", refined" : "";
    [["Method", "words"], ["Window (s)"], [`True HR${all}`], [`HR read${all}`], [`Error${all} (bpm)`], ["90 % interval (bpm)"],
      [`True HR, ${index.by}`], [`HR read, ${index.by}`], [`Error, ${index.by} (bpm)`], ["Note", "words"]].forEach(([text, words]) => cell(head, text, words, "th"));
    const body = table.createTBody();
    rows.forEach((r) => {
      const row = body.insertRow();
      const interval = r.infinite ? "infinite" : r.low === null ? "—" : `${number(r.low)} to ${number(r.high)}`;
      const note = r.withheld ? `withheld: ${r.why}` : r.why && `no result: ${r.why}`;
      cell(row, index.methods[r.m], "words", "th");
      const [scored, fine] = [r.scored, [r.true, r.read, r.error]].map((three) => three.map((v) => number(v, 2)));
      [`${r.t[0]} to ${r.t[1]}`, ...fine, interval, ...scored].forEach((text) => cell(row, text));
      cell(row, note, "words wrap");
    });
    scroll.append(table);
    const line = document.createElement("p");
    line.className = "key";
    line.textContent = `Refined: ${refined}, interpolated between the FFT's frequencies; the intervals are about it, and windows are withheld by it. ${index.by}: what the table's MAE and the tests are made of.`;
    place.append(line, scroll);
  }

  function draw() {
    place.replaceChildren();
    const { data } = state;
    const heading = document.createElement("h3");
    const span = data.spans[state.window][1];
    heading.textContent = `${index.recordings[state.recording].id}, ${span[0]} to ${span[1]} s`;
    place.append(heading);
    const shown = chosen();
    const width = Math.max(300, Math.min(1100, place.clientWidth || 900));
    const cuts = shown.filter((m) => data.waves.has(m)).map((m) => [m, cut(data.waves.get(m), span)]).filter(([, c]) => c.pred.length > 1);
    const rows = data.rows.filter((r) => r.w === data.spans[state.window][0] && shown.includes(r.m));
    const say = (text) => { const p = document.createElement("p"); p.textContent = text; place.append(p); };
    if (!shown.length) { say("Choose at least one method."); return; }
    if (cuts.length) {
      drawWaveforms(cuts, span, width);
      drawSpectra(cuts, rows, width);
    } else say("No waveform of these methods is kept for this window.");
    if (data.rows.length) { drawTrack(width); drawTable(); }
  }

  search.addEventListener("input", list);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !chooser.options.length) return;
    chooser.selectedIndex = 0;
    select(Number(chooser.value));
  });
  chooser.addEventListener("change", () => select(Number(chooser.value)));
  windows.addEventListener("change", () => { state.window = Number(windows.value); draw(); });
  boxes.forEach((box) => box.addEventListener("change", draw));
  let drawnAt = 0;
  new ResizeObserver(() => {
    if (state.data && Math.abs(place.clientWidth - drawnAt) > 20) { drawnAt = place.clientWidth; draw(); }
  }).observe(place);
  list();
  chooser.selectedIndex = 0;
  drawnAt = place.clientWidth;
  select(0);
})();

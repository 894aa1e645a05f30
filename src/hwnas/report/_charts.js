// Small inline-SVG charts. Text is only ever set as text, never parsed as markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const NARROW = innerWidth < 640;  // a phone: fewer units across, so that the text stays readable
const FRAME = { width: NARROW ? 400 : 640, height: NARROW ? 320 : 400, left: 64, right: 16, top: 18, bottom: 48 };

// An element with attributes and children; in the SVG namespace where `space` says so.
function node(name, attributes = {}, children = [], space = null) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  for (const child of [children].flat()) if (child !== null) made.append(child);
  return made;
}

const html = (name, attributes, children) => node(name, attributes, children);
const svg = (name, attributes, children) => node(name, attributes, children, SVG);

// A number with so many significant digits, whole ones never dropped, no needless exponent.
function digits(value, signs = 3) {
  const size = Math.abs(value);
  if (size >= 10 ** signs - 0.5 && size < 1e15) return value.toFixed(0);
  if (size !== 0 && size < 1e-6) return value.toExponential(signs - 1);
  return String(Number(value.toPrecision(signs)));
}

// A scale from data to pixels, with round ticks. The domain is widened a little at both ends.
function scale(values, from, to, logarithmic) {
  let low = Math.min(...values), high = Math.max(...values);
  const log = logarithmic && low > 0;
  if (log) [low, high] = [Math.log10(low), Math.log10(high)];
  // Values that differ by rounding only are one value: ticks between them could not be told apart.
  const spread = high - low > Math.abs(high) * 1e-9 ? high - low : Math.abs(high) * 0.2 || 1;
  low = !log && low >= 0 && low < spread * 0.06 ? 0 : low - spread * 0.06;
  high += spread * 0.06;
  const place = (value) => from + (((log ? Math.log10(value) : value) - low) / (high - low)) * (to - from);
  return { place, ticks: log ? logTicks(low, high) : linearTicks(low, high) };
}

function linearTicks(low, high, wanted = 6) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  const parts = high - low > 2.5 ? [1] : high - low > 0.9 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  for (let power = Math.floor(low); power <= high; power += 1) {
    for (const part of parts) {
      const place = power + Math.log10(part);
      if (place >= low && place <= high) ticks.push(part * 10 ** power);
    }
  }
  return ticks;
}

// The shapes of marks, so that nothing is told by colour alone.
function mark(kind, x, y, radius = 5) {
  const r = radius;
  const shape = (name, attributes) => svg(name, { class: `mark ${kind}`, "stroke-width": r < 4 ? 0.75 : 1.5, ...attributes });
  if (kind === "feasible") return shape("circle", { cx: x, cy: y, r });
  if (kind === "winner") return shape("path", { d: star(x, y, r * 2) });
  const cross = `M${x - r},${y - r}L${x + r},${y + r}M${x + r},${y - r}L${x - r},${y + r}`;
  if (kind === "failed") return shape("path", { d: cross });
  const up = `M${x},${y - r * 1.2}L${x + r * 1.15},${y + r * 0.85}L${x - r * 1.15},${y + r * 0.85}Z`;
  return shape("path", { d: up });
}

function star(x, y, radius) {
  const points = [];
  for (let k = 0; k < 10; k += 1) {
    const angle = (Math.PI * k) / 5 - Math.PI / 2;
    const reach = k % 2 ? radius * 0.44 : radius;
    points.push(`${(x + reach * Math.cos(angle)).toFixed(2)},${(y + reach * Math.sin(angle)).toFixed(2)}`);
  }
  return `M${points.join("L")}Z`;
}

// A frame with axes. `x` and `y` are { label, values, log, format }; the rest draws into it.
function frame(title, x, y) {
  const { width, height, left, right, top, bottom } = FRAME;
  const across = scale(x.values, left, width - right, x.log);
  const up = scale(y.values, height - bottom, top, y.log);
  const root = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  for (const tick of across.ticks) {
    const at = across.place(tick);
    root.append(
      svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: height - bottom }),
      svg("text", { x: at, y: height - bottom + 17, "text-anchor": "middle" }, x.format(tick)),
    );
  }
  for (const tick of up.ticks) {
    const at = up.place(tick);
    root.append(
      svg("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }),
      svg("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, y.format(tick)),
    );
  }
  root.append(
    svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    svg("line", { class: "axis", x1: left, x2: left, y1: top, y2: height - bottom }),
    svg("text", { class: "name", x: (left + width - right) / 2, y: height - 10, "text-anchor": "middle" }, x.label),
    svg("text", { class: "name", "text-anchor": "middle", transform: `translate(16 ${(top + height - bottom) / 2}) rotate(-90)` }, y.label),
  );
  return { root, x: across.place, y: up.place };
}

// The size of a mark among so many.
const radiusFor = (count) => (count > 600 ? 3 : count > 150 ? 4 : 5);

// A limit across the frame, with its side that breaks the budget shaded.
function limitLine(plot, axis, limit, label) {
  const { width, height, left, right, top, bottom } = FRAME;
  const at = plot[axis](limit.value);
  const upper = limit.op === "<=";
  if (axis === "x") {
    const [from, to] = upper ? [at, width - right] : [left, at];
    const near = at > width - 130;
    plot.root.append(
      svg("rect", { class: "beyond", x: from, y: top, width: Math.max(to - from, 0), height: height - bottom - top }),
      svg("line", { class: "limit", x1: at, x2: at, y1: top, y2: height - bottom }),
      svg("text", { class: "limit-text", x: near ? at - 6 : at + 6, y: height - bottom - 8, "text-anchor": near ? "end" : "start" }, label),
    );
  } else {
    const [from, to] = upper ? [top, at] : [at, height - bottom];
    plot.root.append(
      svg("rect", { class: "beyond", x: left, y: from, width: width - right - left, height: Math.max(to - from, 0) }),
      svg("line", { class: "limit", x1: left, x2: width - right, y1: at, y2: at }),
      svg("text", { class: "limit-text", x: width - right - 4, y: at - 6, "text-anchor": "end" }, label),
    );
  }
}

// A line through points that changes in steps, as a front or a best-so-far curve does.
function steps(points) {
  return points.map(([x, y], k) => (k ? `H${x}V${y}` : `M${x},${y}`)).join("");
}

// What is not beaten, by { x, y } with the preferred end of each, in the order of x.
function front(points, betterX, betterY) {
  const sx = betterX === "low" ? 1 : -1, sy = betterY === "low" ? 1 : -1;
  const ordered = [...points].sort((a, b) => sx * (a.x - b.x) || sy * (a.y - b.y));
  const kept = [];
  for (const point of ordered) if (!kept.length || sy * point.y < sy * kept[kept.length - 1].y) kept.push(point);
  return kept;
}

// The page: reads the job's data and builds every part of it.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const limited = data.budget.constraints.length > 0;
const byNumber = new Map(data.trials.map((trial) => [trial.number, trial]));
const hasEnded = (trial) => trial.state === "complete" && trial.reward !== null;
const ended = data.trials.filter(hasEnded);
const tip = html("div", { class: "tip", hidden: "" });

const kindOf = (trial) =>
  trial.state === "failed" ? "failed"
  : trial.number === data.winner ? "winner"
  : trial.feasible === false ? "infeasible" : "feasible";

// What an object holds under a name that may be anything, `constructor` too.
const own = (object, name) => (Object.hasOwn(object, name) ? object[name] : null);

// A number with so many decimals, or one significant digit where they would all be zero.
function fixed(value, decimals) {
  const text = value.toFixed(decimals);
  return value === 0 || Number(text) !== 0 ? text : digits(value, 1);
}

const percent = (fraction) => `${digits(100 * fraction, 2)} %`;

function duration(seconds) {
  if (seconds < 59.5) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Columns: what one can sort, filter and plot by.

const REWARD = { id: "reward", label: "reward", kind: "reward", better: "high", unit: "", size: 1, decimals: data.reward_decimals, limits: [] };
const columns = [REWARD, ...data.columns];
const plotted = columns.filter((column) => column.kind !== "decision" && ended.some((trial) => valueOf(column, trial) !== null));

// The entry of a trial: a finite number in the metric's canonical unit, a choice, or null.
function valueOf(column, trial) {
  if (column.kind === "reward") return trial.reward;
  if (column.kind === "decision") return own(trial.arch, column.name);
  if (column.kind === "metric") return own(trial.metrics, column.name);
  return own(trial.costs, column.name)?.value ?? null;
}

function textOf(column, trial, withUnit = true) {
  const value = valueOf(column, trial);
  if (value === null) return "";
  if (column.kind === "decision") return String(value);
  const std = column.kind === "cost" ? trial.costs[column.name].std : 0;
  const doubt = std ? ` ±${fixed(std / column.size, column.decimals)}` : "";
  const unit = withUnit && column.unit ? ` ${column.unit}` : "";
  return fixed(value / column.size, column.decimals) + doubt + unit;
}

const labelOf = (column) => (column.unit ? `${column.label} (${column.unit})` : column.label);

const sign = (limit) => (limit.op === "<=" ? "≤" : "≥");

function violationOf(column, trial) {
  return column.limits?.length ? own(trial.violations, column.name) : null;
}

// Header.

function header() {
  const { counts } = data;
  const state = data.winner !== null ? [limited ? "a winner keeps the budget" : "a winner is found", ""]
    : counts.complete ? ["no trial keeps the budget", " bad"] : ["no result yet", " bad"];
  const limits = limited ? data.budget_texts : ["no constraint"];
  const facts = [
    ["space", data.space.name, `${data.size_text} archs, fingerprint ${data.space.fingerprint.slice(0, 12)}`],
    data.parent === null ? ["strategy", data.strategy, `seed ${data.seed}`] : ["trials of", data.parent, `seed ${data.seed}`],
    ["trials", `${counts.complete} of ${data.trials_asked} complete`,
      `${counts.feasible} feasible, ${counts.failed} failed${counts.running ? `, ${counts.running} running` : ""}`],
    ["objective", data.objectives.map((goal) => `${goal.direction} ${goal.name}`).join(", ") || "none", `metric ${data.metric}`],
    ["task", data.task ?? "own trainer", `flops = ${data.flops}`],
    ["created", data.created_text, ""],
  ];
  return html("header", {}, [
    html("p", { class: "soft" }, `hwnas ${data.kind} report`),
    html("div", { class: "head" }, [html("h1", {}, data.name), html("span", { class: `pill${state[1]}` }, state[0])]),
    html("ul", { class: "chips", "aria-label": "budget" }, limits.map((text) => html("li", {}, html("code", {}, text)))),
    html("dl", { class: "facts" }, facts.map(([name, value, more]) =>
      html("div", {}, [html("dt", {}, name), html("dd", {}, [value, more ? html("small", {}, more) : null])]))),
  ]);
}

// The winner's card, or the nearest trial's.

function best() {
  const number = data.winner ?? data.nearest;
  const trial = byNumber.get(number);
  if (!trial) return null;
  const metric = data.columns.find((column) => column.name === data.metric && column.kind !== "decision");
  const value = metric ? textOf(metric, trial) : "";
  const others = columns.filter((c) => c.kind !== "decision" && c !== metric && !c.limits.length && valueOf(c, trial) !== null);
  const names = Object.entries(trial.arch);
  return html("section", { class: "card", id: "winner" }, [
    html("div", { class: "head" }, [
      html("h2", {}, data.winner !== null ? `Winner: trial ${number}` : `Nearest to the budget: trial ${number}`),
      html("span", { class: "soft" }, trial.elapsed !== null ? `took ${duration(trial.elapsed)}` : ""),
    ]),
    html("div", { class: "best" }, [
      html("div", {}, [
        html("div", { class: "label" }, metric ? data.metric : "reward"),
        html("div", { class: "big" }, value || textOf(REWARD, trial)),
      ]),
      html("div", {}, [
        html("h3", {}, "costs against the budget"), ...meters(trial),
        html("div", { class: "others" }, others.map((column) => html("div", {}, [
          html("div", { class: "label" }, column.label), html("div", {}, textOf(column, trial))]))),
      ]),
      html("div", {}, [
        html("h3", {}, `arch (${names.length} decisions)`),
        html("dl", { class: "arch" }, names.map(([name, choice]) =>
          html("div", {}, [html("dt", {}, name), html("dd", {}, String(choice))]))),
      ]),
    ]),
  ]);
}

function meters(trial) {
  const made = [];
  for (const column of data.columns) {
    for (const limit of column.limits) {
      const value = valueOf(column, trial);
      if (value !== null) made.push(meter(column, limit, trial, value));
    }
  }
  return made.length ? made : [html("p", { class: "soft row" }, "nothing is limited")];
}

function meter(column, limit, trial, value) {
  // Of two limits on one number, the trial's violation tells about the worse one only.
  const excess = ((value - limit.value) / limit.value) * (limit.op === "<=" ? 1 : -1);
  const violation = column.limits.length > 1 ? excess : violationOf(column, trial);
  const kept = violation === null || violation <= 0;
  const std = column.kind === "cost" ? trial.costs[column.name].std ?? 0 : 0;
  const full = Math.max(value + 2 * std, limit.value) * 1.04;
  const at = (number) => `${Math.max(0, Math.min(100, (100 * number) / full))}%`;
  const verdict = violation === null ? "" : kept ? `${percent(-violation)} margin` : `${percent(violation)} over the limit`;
  const said = limit.op === ">=" && !kept ? verdict.replace("over", "under") : verdict;
  return html("div", { class: "meter" }, [
    html("div", { class: "head" }, [
      html("span", {}, [html("span", { class: "soft" }, `${column.label} `), html("strong", {}, textOf(column, trial)), ` ${sign(limit)} ${limit.text}`]),
      html("span", { class: kept ? "good" : "bad" }, said),
    ]),
    svg("svg", { role: "img", "aria-label": `${column.label}: ${textOf(column, trial)}, limit ${limit.op} ${limit.text}` }, [
      svg("rect", { class: "track", x: 0, y: 3, width: "100%", height: 10, rx: 5 }),
      svg("rect", { class: kept ? "fill" : "over", x: 0, y: 3, width: at(value), height: 10, rx: 5 }),
      std ? svg("line", { class: "doubt", x1: at(value - std), x2: at(value + std), y1: 8, y2: 8 }) : null,
      svg("line", { class: "tick", x1: at(limit.value), x2: at(limit.value), y1: 0, y2: 16 }),
    ]),
  ]);
}

// Charts.

// An element that shows lines where the pointer is.
function hint(element, lines) {
  element.addEventListener("pointermove", (event) => {
    tip.textContent = lines.join("\n");
    tip.hidden = false;
    const right = event.clientX + tip.offsetWidth + 24 > innerWidth;
    tip.style.left = `${right ? event.clientX - tip.offsetWidth - 12 : event.clientX + 14}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 8))}px`;
  });
  element.addEventListener("pointerleave", () => { tip.hidden = true; });
  return element;
}

function told(element, trial) {
  const lines = [`trial ${trial.number}: ${statusOf(trial)}`];
  for (const column of plotted) if (textOf(column, trial)) lines.push(`${column.label}: ${textOf(column, trial)}`);
  if (trial.failure) lines.push(`${trial.failure.kind}: ${trial.failure.reason}`);
  hint(element, lines);
  element.addEventListener("click", () => reveal(trial.number));
  return element;
}

const ORDER = { failed: 0, infeasible: 1, feasible: 2, winner: 3 };
const radiusOf = (trial, count) => (trial.number === data.winner ? 5 : radiusFor(count));
const drawn = (trials) => [...trials].sort((a, b) => ORDER[kindOf(a)] - ORDER[kindOf(b)]);

function legend(kinds, line) {
  const named = { feasible: limited ? "keeps the budget" : "trial", infeasible: "breaks the budget", winner: "winner", failed: "failed" };
  const items = kinds.map((kind) => html("span", {}, [svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, mark(kind, 8, 8, kind === "winner" ? 3.8 : 4.5)), named[kind]]));
  if (line) items.push(html("span", {}, [svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { class: "front", d: "M0,12H8V4H16" })), line]));
  return html("div", { class: "legend" }, items);
}

const kindsIn = (trials) => ["winner", "feasible", "infeasible", "failed"].filter((kind) => trials.some((trial) => kindOf(trial) === kind));

function picker(label, chosen, change) {
  const select = html("select", {}, plotted.map((column) => html("option", { value: column.id, selected: column === chosen ? "" : null }, column.label)));
  select.addEventListener("change", () => change(plotted.find((column) => column.id === select.value)));
  return html("label", {}, [label, select]);
}

function tradeOff() {
  const budgeted = plotted.find((column) => column.kind === "cost" && column.limits.length);
  let y = plotted.find((column) => column.name === data.metric) ?? REWARD;
  let x = budgeted ?? plotted.find((column) => column.kind === "cost") ?? plotted.find((column) => column !== y) ?? REWARD;
  let log = false;
  const place = html("div", {});
  const redraw = () => place.replaceChildren(...scatter(x, y, log));
  const box = html("input", { type: "checkbox" });
  box.addEventListener("change", () => { log = box.checked; redraw(); });
  redraw();
  return html("section", { class: "card", id: "tradeoff" }, [
    html("div", { class: "head" }, [
      html("h2", {}, "Trade-off"),
      plotted.length ? html("div", { class: "controls" }, [
        picker("y", y, (column) => { y = column; redraw(); }),
        picker("x", x, (column) => { x = column; redraw(); }),
        html("label", {}, [box, "log x"]),
      ]) : null,
    ]),
    place,
  ]);
}

function scatter(x, y, log) {
  const points = ended
    .map((trial) => ({ trial, x: valueOf(x, trial), y: valueOf(y, trial) }))
    .filter((point) => point.x !== null && point.y !== null);
  if (!points.length) return [html("p", { class: "empty" }, "No trial has ended with a result.")];
  const axis = (column, key) => ({
    label: labelOf(column),
    values: [...points.map((p) => p[key]), ...column.limits.map((limit) => limit.value)],
    log: key === "x" && log,
    format: (value) => digits(value / column.size, 3),
  });
  const plot = frame(`${y.label} against ${x.label} of ${points.length} trials`, axis(x, "x"), axis(y, "y"));
  for (const limit of x.limits) limitLine(plot, "x", limit, `${sign(limit)} ${limit.text}`);
  for (const limit of y.limits) limitLine(plot, "y", limit, `${sign(limit)} ${limit.text}`);
  const kept = x.better && y.better && x !== y ? front(points.filter((p) => p.trial.feasible !== false), x.better, y.better) : [];
  const marks = new Map(points.map((p) => [p.trial, p]));
  for (const trial of drawn(marks.keys())) {
    const point = marks.get(trial);
    const std = x.kind === "cost" && points.length <= 150 ? trial.costs[x.name].std : 0;
    if (std && point.x - std > 0) {
      plot.root.append(svg("line", { class: "doubt", x1: plot.x(point.x - std), x2: plot.x(point.x + std), y1: plot.y(point.y), y2: plot.y(point.y) }));
    }
    plot.root.append(told(mark(kindOf(trial), plot.x(point.x), plot.y(point.y), radiusOf(trial, points.length)), trial));
  }
  if (kept.length) plot.root.append(svg("path", { class: "front", d: steps(kept.map((p) => [plot.x(p.x), plot.y(p.y)])) }));
  return [plot.root, legend(kindsIn(points.map((p) => p.trial)), kept.length ? "Pareto front" : null)];
}

function progress() {
  const place = html("div", {});
  const box = html("input", { type: "checkbox" });
  const redraw = () => place.replaceChildren(...history(box.checked));
  box.addEventListener("change", redraw);
  redraw();
  const both = new Set(ended.map((trial) => trial.feasible !== false)).size > 1;
  return html("section", { class: "card", id: "progress" }, [
    html("div", { class: "head" }, [
      html("h2", {}, "Best so far"),
      both ? html("div", { class: "controls" }, html("label", {}, [box, "only those that keep the budget"])) : null,
    ]),
    place,
  ]);
}

function history(onlyFeasible) {
  if (!ended.length) return [html("p", { class: "empty" }, "No trial has ended with a result.")];
  const shown = data.trials
    .filter((trial) => trial.state === "failed" || hasEnded(trial))
    .filter((trial) => !onlyFeasible || (trial.state === "complete" && trial.feasible !== false))
    .sort((a, b) => a.number - b.number);
  const judged = shown.filter((trial) => trial.state === "complete");
  const plot = frame(`reward of ${judged.length} trials and the best so far`,
    { label: "trial", values: shown.map((trial) => trial.number), format: (value) => (Number.isInteger(value) ? String(value) : "") },
    { label: "reward", values: judged.map((trial) => trial.reward), format: (value) => digits(value, 3) });
  const curve = [];
  for (const trial of judged) {
    const better = !curve.length || trial.reward > curve[curve.length - 1].reward;
    if (trial.feasible !== false && better) curve.push(trial);
  }
  const floor = FRAME.height - FRAME.bottom;
  for (const trial of drawn(shown)) {
    const dead = trial.state === "failed";
    plot.root.append(told(mark(kindOf(trial), plot.x(trial.number), dead ? floor : plot.y(trial.reward), dead ? 3.5 : radiusOf(trial, shown.length)), trial));
  }
  if (curve.length) {
    const path = steps(curve.map((trial) => [plot.x(trial.number), plot.y(trial.reward)]));
    plot.root.append(svg("path", { class: "front", d: `${path}H${plot.x(shown[shown.length - 1].number)}` }));
  }
  return [plot.root, legend(kindsIn(shown), curve.length ? (limited ? "best that keeps the budget" : "best so far") : null)];
}

// The table of trials.

const STATUS = { winner: "★ winner", feasible: limited ? "● feasible" : "● complete", infeasible: "△ over budget", failed: "✕ failed" };
const statusOf = (trial) => (trial.state === "running" ? "… running" : STATUS[kindOf(trial)]);

function row(trial, shown) {
  const cells = shown.map((column) => {
    const violation = violationOf(column, trial);
    const text = column.kind ? textOf(column, trial, false) : column.text(trial);
    const tone = violation === null || !text ? column.kind === "decision" ? "choice" : null : violation > 0 ? "bad" : "good";
    return html("td", { class: tone }, [text, tone === "bad" ? html("small", {}, ` (+${percent(violation)})`) : null]);
  });
  return html("tr", { id: `trial-${trial.number}`, class: trial.number === data.winner ? "winner" : null }, cells);
}

function trialsTable() {
  const shown = [
    { id: "trial", label: "trial", text: (t) => String(t.number), key: (t) => t.number },
    { id: "status", label: "status", text: statusOf, key: (t) => -ORDER[kindOf(t)] },
    ...columns,
    { id: "step", label: "step", text: (t) => (t.step === null ? "" : String(t.step)), key: (t) => t.step },
    { id: "elapsed", label: "elapsed", text: (t) => (t.elapsed === null ? "" : duration(t.elapsed)), key: (t) => t.elapsed },
  ];
  const keyOf = (column, trial) => (column.key ? column.key(trial) : valueOf(column, trial));
  const rows = data.trials.map((trial) => ({ trial, element: row(trial, shown) }));
  for (const entry of rows) {
    entry.text = entry.element.textContent.toLowerCase() + (kindOf(entry.trial) === "winner" ? " feasible" : "");
  }
  const body = html("tbody", {});
  let sorted = { column: REWARD, down: true };
  const compare = (a, b) => {
    const [x, y] = [keyOf(sorted.column, a.trial), keyOf(sorted.column, b.trial)];
    if (x === null || y === null) return (x === null) - (y === null) || a.trial.number - b.trial.number;
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return (sorted.down ? -order : order) || a.trial.number - b.trial.number;
  };
  const heads = shown.map((column) => {
    const button = html("button", { type: "button" }, column.kind ? labelOf(column) : column.label);
    const head = html("th", { scope: "col" }, button);
    button.addEventListener("click", () => {
      const same = sorted.column === column;
      sorted = { column, down: same ? !sorted.down : column.better === "high" };
      arrange();
    });
    return { column, head, button };
  });
  const count = html("span", { class: "soft", role: "status" });
  const search = html("input", { type: "search", placeholder: "filter", "aria-label": "show only the trials that contain this text" });
  function arrange() {
    for (const { column, head, button } of heads) {
      const here = sorted.column === column;
      if (here) head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      button.textContent = (column.kind ? labelOf(column) : column.label) + (here ? (sorted.down ? " ↓" : " ↑") : "");
    }
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const left = rows.filter((entry) => words.every((word) => entry.text.includes(word))).sort(compare);
    body.replaceChildren(...left.map((entry) => entry.element));
    count.textContent = left.length === rows.length ? `${rows.length} trials` : `${left.length} of ${rows.length} trials`;
  }
  search.addEventListener("input", arrange);
  arrange();
  reveal = (number) => {
    if (!document.getElementById(`trial-${number}`)) { search.value = ""; arrange(); }
    const target = document.getElementById(`trial-${number}`);
    for (const lit of body.querySelectorAll(".lit")) lit.classList.remove("lit");
    target.classList.add("lit");
    target.scrollIntoView({ block: "center" });
  };
  return html("section", { class: "card trials" }, [
    html("div", { class: "head" }, [html("h2", {}, "Trials"), html("div", { class: "controls" }, [count, search])]),
    rows.length
      ? html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "trials" },
        html("table", {}, [html("thead", {}, html("tr", {}, heads.map((entry) => entry.head))), body]))
      : html("p", { class: "empty" }, "No trial has begun."),
  ]);
}

let reveal = () => {};

// Failed trials and the foot of the page.

function failures() {
  const failed = data.trials.filter((trial) => trial.state === "failed");
  if (!failed.length) return null;
  return html("section", { class: "card", id: "failures" }, [
    html("h2", {}, `Failed trials (${failed.length})`),
    ...failed.map((trial) => {
      const failure = trial.failure ?? { kind: "error", reason: "no reason was recorded", log: [] };
      const head = [html("strong", {}, `trial ${trial.number} `), html("span", { class: "bad" }, failure.kind), `: ${failure.reason}`];
      if (!failure.log.length) return html("p", { class: "failure" }, head);
      return html("details", { class: "failure" }, [html("summary", {}, head), html("pre", { tabindex: "0" }, failure.log.join("\n"))]);
    }),
  ]);
}

function foot() {
  const versions = Object.entries(data.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  return html("footer", {}, [versions ? `Made with ${versions}. ` : "", `Space fingerprint ${data.space.fingerprint}.`]);
}

document.getElementById("report").append(...[
  header(),
  ...data.warnings.map((text) => html("p", { class: "bad" }, text)),
  best(),
  html("div", { class: "charts" }, [tradeOff(), progress()]),
  ...data.stages.map(stages),
  trialsTable(),
  failures(),
  foot(),
].filter(Boolean));
document.body.append(tip);

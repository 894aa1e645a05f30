// Stage 1 against stage 2: a section for each train job.
"use strict";

const kindIn = (section, trial) =>
  trial.number === section.winner ? "winner" : trial.feasible === false ? "infeasible" : "feasible";

const columnsOf = (section) => section.columns.map((column) =>
  column.kind === "reward" ? { ...REWARD, decimals: section.reward_decimals } : column);

function stages(section) {
  const shown = columnsOf(section);
  const drawable = shown.filter((column) => bothOf(section, column).length);
  const place = html("div", {});
  const redraw = (column) => place.replaceChildren(...(column ? against(section, column) : [
    html("p", { class: "empty" }, "No trial has ended with a result.")]));
  redraw(drawable[0]);
  const select = html("select", {}, drawable.map((column) => html("option", { value: column.id }, column.label)));
  select.addEventListener("change", () => redraw(drawable.find((column) => column.id === select.value)));
  const about = data.parent !== null
    ? `Trials of ${data.parent}, trained in full`
    : `Stage 2: trials trained in full by ${section.name}`;
  return html("section", { class: "card stages" }, [
    html("div", { class: "head" }, [
      html("h2", {}, about),
      drawable.length > 1 ? html("div", { class: "controls" }, html("label", {}, ["show", select])) : null,
    ]),
    html("div", { class: "both" }, [place, html("div", {}, [pairsTable(section, shown), ranks(section)])]),
  ]);
}

// The pairs that have a column's value in both stages.
const bothOf = (section, column) => section.pairs
  .filter(({ train }) => train && hasEnded(train))
  .map(({ search, train }) => ({ search, train, x: valueOf(column, search), y: valueOf(column, train) }))
  .filter((point) => point.x !== null && point.y !== null);

function against(section, column) {
  const points = bothOf(section, column);
  const values = points.flatMap((point) => [point.x, point.y]);
  const axis = (stage) => ({
    label: `${labelOf(column)} in stage ${stage}`,
    values,
    format: (value) => digits(value / column.size, 3),
  });
  const plot = frame(`${column.label} of ${points.length} trials in both stages`, axis(1), axis(2));
  for (const limit of column.limits) {
    if (limit.value >= Math.min(...values) && limit.value <= Math.max(...values)) limitLine(plot, "y", limit, `${sign(limit)} ${limit.text}`);
  }
  const ends = [Math.min(...values), Math.max(...values)];
  plot.root.append(svg("path", { class: "same", d: `M${plot.x(ends[0])},${plot.y(ends[0])}L${plot.x(ends[1])},${plot.y(ends[1])}` }));
  for (const { search, train, x, y } of points) {
    const shape = mark(kindIn(section, train), plot.x(x), plot.y(y), 5);
    plot.root.append(hint(shape, [
      `trial ${search.number}, in full trial ${train.number}`,
      `stage 1: ${textOf(column, search)}`,
      `stage 2: ${textOf(column, train)}`,
    ]));
  }
  return [plot.root, html("p", { class: "soft" }, "On the line nothing has changed; above it the value is higher after full training.")];
}

function pairsTable(section, shown) {
  const heads = ["trial", "in full", ...shown.flatMap((column) => [1, 2].map((stage) => `${labelOf(column)}, stage ${stage}`))];
  const state = { running: "running", failed: "failed" };
  const rows = section.pairs.map(({ search, train }) => html("tr", { class: train && train.number === section.winner ? "winner" : null }, [
    html("td", {}, String(search.number)),
    html("td", {}, !train ? "waiting" : `${train.number}${train.number === section.winner ? " ★" : ""} ${state[train.state] ?? ""}`),
    ...shown.flatMap((column) => [search, train].map((trial) => {
      const text = trial && hasEnded(trial) ? textOf(column, trial, false) : "";
      const violation = text ? violationOf(column, trial) : null;
      return html("td", { class: violation === null ? null : violation > 0 ? "bad" : "good" }, text);
    })),
  ]));
  return html("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": "trials in both stages" },
    html("table", {}, [html("thead", {}, html("tr", {}, heads.map((text) => html("th", { scope: "col" }, text)))), html("tbody", {}, rows)]));
}

function ranks(section) {
  return html("dl", { class: "ranks" }, section.correlations.map(({ name, text }) =>
    html("div", {}, [html("dt", {}, `rank correlation of ${name}`), html("dd", {}, text)])));
}

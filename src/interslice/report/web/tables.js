"use strict";
function order(a, b, sign) {
  const [x, y] = [a, b].map((text) => (text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text)));
  if (a === "nan" || b === "nan") return (a === "nan") - (b === "nan");
  if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x === y ? 0 : x < y ? -sign : sign;
  return sign * a.localeCompare(b, "en");
}
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value;
      const rows = [...table.tBodies[0].rows].sort((a, b) => order(key(a), key(b), down ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  });
}

// Filters are made here and not in the page: without scripts there is the whole table and no dead control.
function picker(name, options, chosen, changed) {
  const label = document.createElement("label"), select = document.createElement("select");
  label.append(name, select);
  options.forEach(([text, value]) => select.append(new Option(text, value, value === chosen, value === chosen)));
  select.addEventListener("change", changed);
  return [label, select];
}
const columnName = (head) => head.textContent.replace(/[↑↓]/g, "").trim();
for (const place of document.querySelectorAll(".filtered")) {
  const table = place.querySelector("table"), heads = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows], filters = Number(place.dataset.filters);
  const controls = document.createElement("div"), count = document.createElement("p");
  controls.className = "controls";
  controls.setAttribute("role", "group");
  controls.setAttribute("aria-label", "Filters of the table");
  count.className = "count";
  count.setAttribute("role", "status");
  const selects = heads.slice(1, 1 + filters).map((head, i) => {
    const values = [...new Set(rows.map((row) => row.cells[i + 1].textContent))];
    // The first rows are the headline: of what divides values that no reader should mix, only theirs are shown at first.
    const first = i < 2 ? "" : values[0];
    const [label, select] = picker(columnName(head), [["all", ""], ...values.map((v) => [v, v])], first, filter);
    controls.append(label);
    return select;
  });
  const scored = heads.slice(1 + filters).map((head, i) => [columnName(head), String(i + 1 + filters)]);
  const [metricLabel, metric] = picker("Metric", [["all", ""], ...scored], "", filter);
  controls.append(metricLabel);
  function filter() {
    let shown = 0;
    for (const row of rows) {
      row.hidden = selects.some((select, i) => select.value && select.value !== row.cells[i + 1].textContent);
      shown += !row.hidden;
    }
    for (const row of [table.tHead.rows[0], ...rows]) {
      scored.forEach(([, column]) => { row.cells[column].hidden = metric.value !== "" && metric.value !== column; });
      selects.forEach((select, i) => { row.cells[i + 1].hidden = select.value !== ""; });
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  }
  place.prepend(controls, count);
  filter();
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));

// Draws a chart above each table of figures that asks for one, from the very figures in its cells.
//
//   <figure class="chart" data-unit="TB" data-scale="1e12"><div></div><table>…<td data-value="123">…</table></figure>
//
// The first column says when (data-time, seconds), the others are series; two series are shaded between them.
"use strict";
(() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const read = (table, scale) => {
    const names = [...table.tHead.rows[0].cells].filter((cell) => cell.dataset.series).map((cell) => cell.dataset.series);
    const rows = [...table.tBodies[0].rows].reverse();
    const times = rows.map((row) => Number(row.querySelector("[data-time]").dataset.time));
    const series = names.map((_, place) =>
      rows.map((row) => Number(row.querySelectorAll("[data-value]")[place].dataset.value) / scale));
    return { names, data: [times, ...series] };
  };

  const draw = (figure) => {
    const place = figure.querySelector(".plot");
    const { names, data } = read(figure.querySelector("details table"), Number(figure.dataset.scale || 1));
    const unit = figure.dataset.unit || "";
    const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
    const show = (value) => (value == null ? "–" : `${number.format(value).replace("-", "−")} ${unit}`);
    const month = new Intl.DateTimeFormat("en", { month: "short", year: "numeric", timeZone: "UTC" });
    const colours = [style("--bar-strong"), style("--accent")];
    const padding = getComputedStyle(place);
    const width = place.clientWidth - parseFloat(padding.paddingLeft) - parseFloat(padding.paddingRight);
    const axis = { stroke: style("--quiet"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    place.replaceChildren();
    const plot = new uPlot({
      padding: [12, 18, 0, 0], width, height: 260, tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
      // The point that is told stands out: filled with its colour. What fills the others would hide the end of a line.
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 9, fill: (_, place) => colours[(place - 1) % 2] } },
      legend: { live: true },
      scales: { y: { range: (_, low, high) => [Math.min(0, low), high * 1.08 || 1] } },
      axes: [
        { ...axis, splits: () => data[0], values: (_, all) => all.map((at) => month.format(new Date(at * 1e3)).split(" ")[0]), grid: { show: false } },
        { ...axis, size: 78, values: (_, all) => all.map(show) },
      ],
      series: [
        { label: "Month", value: (_, at) => (at == null ? "–" : month.format(new Date(at * 1e3))) },
        ...names.map((label, index) => ({
          label, stroke: colours[index % 2], width: 2, points: { show: data[0].length < 40, size: 6, fill: style("--sheet") },
          value: (_, value) => show(value),
        })),
      ],
      bands: names.length === 2 ? [{ series: [1, 2], fill: style("--band") }] : [],
    }, data, place);
    // The latest month is told until somebody points at another.
    plot.setCursor({ left: plot.valToPos(data[0].at(-1), "x"), top: 20 });
  };

  const all = () => document.querySelectorAll("figure.chart").forEach(draw);
  all();
  let waiting;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 120); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();

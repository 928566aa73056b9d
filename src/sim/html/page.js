/* Draws each chart of the data above with uPlot. Curves need not share their x: they are joined. */
"use strict";
(function () {
  const charts = JSON.parse(document.getElementById("data").textContent);
  const colours = ["#2563eb", "#e07b00", "#0d9f6e", "#c026d3", "#dc2626", "#0891b2", "#8b5e34", "#64748b"];
  const ink = getComputedStyle(document.body).color;
  const rule = getComputedStyle(document.documentElement).getPropertyValue("--rule");
  const shown = (value) => (value == null ? "" : String(Number(value.toPrecision(4))));
  const plots = [];

  /* A dashed line has the colour of the solid one before it, theory beside what it is about; of one alone, not. */
  function series(lines) {
    const alone = lines.filter((line) => line.style === "solid").length < 2;
    let colour = -1;
    return lines.map((line) => {
      if (line.style === "solid" || colour < 0 || alone) colour++;
      return {
        label: line.name,
        stroke: colours[colour % colours.length],
        width: line.style === "solid" ? 2 : 1.3,
        dash: line.style === "dashed" ? [6, 4] : undefined,
        paths: line.style === "dots" ? () => null : undefined,
        points: { show: line.style === "dots" ? true : undefined },
        spanGaps: true,
        value: (plot, value) => shown(value),
      };
    });
  }

  function axis(label) {
    return { label, stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 },
             values: (plot, values) => values.map(shown) };
  }

  function draw(chart) {
    const place = document.createElement("div");
    place.className = "chart";
    document.getElementById("charts").appendChild(place);
    const tables = chart.lines.map((line) => [line.points.map((p) => p[0]), line.points.map((p) => p[1])]);
    const data = tables.length > 1 ? uPlot.join(tables) : tables[0];
    const options = {
      title: chart.title,
      width: place.clientWidth,
      height: 340,
      padding: [null, 36, null, null], /* half of "1000000" */
      scales: { x: { time: false, distr: chart.log_x ? 3 : 1 }, y: { distr: chart.log_y ? 3 : 1 } },
      axes: [axis(chart.x), axis(chart.y)],
      series: [{ label: chart.x, value: (plot, value) => shown(value) }].concat(series(chart.lines)),
    };
    plots.push([place, new uPlot(options, data, place)]);
  }

  Object.values(charts).filter((chart) => chart.lines.length > 0).forEach(draw);
  addEventListener("resize", () => plots.forEach(([place, plot]) =>
    plot.setSize({ width: place.clientWidth, height: 340 })));
})();

"use strict";
/* Theme, sorting, filters, downloads and figures of the pages; everything else is plain HTML. */
(() => {
  const assets = document.currentScript.dataset.root;
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const KEY = "exobench-theme";
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* it then lasts for this page */ } };
  const systemTheme = () => (system.matches ? "dark" : "light");
  root.dataset.theme = remembered() || systemTheme();

  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const slug = (text) => text.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "exobench";

  /* Theme */
  const setUpTheme = () => {
    const button = document.getElementById("theme-switch");
    const show = () => { button.textContent = root.dataset.theme === "dark" ? "Light theme" : "Dark theme"; };
    const change = (theme) => { root.dataset.theme = theme; show(); drawnFigures.forEach((figure) => draw(figure)); };
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      const theme = root.dataset.theme === "dark" ? "light" : "dark";
      remember(theme);
      change(theme);
    });
    system.addEventListener("change", () => { if (!remembered()) change(systemTheme()); });
  };

  /* Sorting: numbers before words, gaps last in either direction */
  const keyOf = (cell) => {
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text.replace("\u2212", "-").replace(/,/g, ""));
    if (text === "" || cell.classList.contains("gap")) return [2, 0, ""];
    return Number.isNaN(number) ? [1, 0, text] : [0, number, ""];
  };
  const sortBy = (header) => {
    const table = header.closest("table"), column = header.cellIndex, body = table.tBodies[0];
    const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    all("th[aria-sort]", table.tHead).forEach((other) => other.setAttribute("aria-sort", "none"));
    header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [keyOf(row.cells[column]), row]);
    rows.sort(([a], [b]) => {
      if (a[0] === 2 || b[0] === 2) return a[0] - b[0];
      return direction * (a[0] - b[0] || a[1] - b[1] || a[2].localeCompare(b[2]));
    });
    body.append(...rows.map(([, row]) => row));
  };
  const makeSortable = (header) => {
    const button = make("button", { type: "button", className: "sort" });
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortBy(header));
  };

  /* Filters, and columns of further scores, which are copied from the tables below the leaderboard */
  const setUpFilters = (form) => {
    const board = form.closest(".board"), table = board.querySelector("table.leaderboard");
    const value = (name) => form.querySelector(`[data-filter="${name}"]`).value;
    const extra = () => {
      all(".extra", table).forEach((cell) => cell.remove());
      const metric = value("metric"), parameter = value("parameter");
      if (!metric && !parameter) return;
      const chosen = all("table.heatmap th[data-metric]", board).filter((header) =>
        (!metric || header.dataset.metric === metric) &&
        (!parameter || header.dataset.parameter === parameter || (metric && !header.dataset.parameter)));
      const rows = new Map([...table.tBodies[0].rows].map((row) => [row.dataset.run, row]));
      chosen.reverse().forEach((source) => {
        const name = [source.dataset.metric, source.dataset.parameter].filter(Boolean).join(" ");
        const header = make("th", { scope: "col", className: "num extra" }, name);
        header.setAttribute("aria-sort", "none");
        table.tHead.rows[0].cells[3].after(header);
        makeSortable(header);
        for (const row of source.closest("table").tBodies[0].rows) {
          const copy = row.cells[source.cellIndex].cloneNode(true);
          copy.classList.add("extra");
          rows.get(row.dataset.run)?.cells[3].after(copy);
        }
      });
    };
    const filter = () => {
      const words = value("text").toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [...table.tBodies[0].rows];
      rows.forEach((row) => {
        const text = row.cells[2].textContent.toLowerCase(), fixed = row.classList.contains("reference");
        const same = (name) => fixed || !value(name) || row.dataset[name] === value(name);
        row.hidden = !(words.every((word) => text.includes(word)) && same("budget") && same("track"));
      });
      const left = rows.filter((row) => !row.hidden).length;
      form.querySelector("output").textContent = `${left} of ${rows.length} rows`;
    };
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      if (["metric", "parameter"].includes(event.target.dataset.filter)) extra(); else filter();
    });
    filter();
    if (value("metric") || value("parameter")) extra();
  };

  /* A table of this page as CSV, made when it is asked for */
  const csv = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => {
    const copy = cell.cloneNode(true);
    all("sup", copy).forEach((mark) => mark.remove());
    return `"${copy.textContent.trim().replace(/\s+/g, " ").replace(/"/g, '""')}"`;
  }).join(",")).join("\r\n");
  const offerCsv = (table) => {
    const name = slug(`${document.querySelector("h1").textContent}-${table.dataset.csv}`);
    const link = make("a", { href: "#", download: `${name}.csv` }, "CSV");
    link.addEventListener("click", () => {
      link.href = URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv" }));
    });
    const box = table.closest(".scroll"), next = box.nextElementSibling;
    /* One line for all files: this table's, then those of all runs, where the page has any. */
    if (next?.classList.contains("files")) {
      next.firstChild.textContent = next.firstChild.textContent.replace("Download of", "; of");
      next.prepend("Download this table: ", link);
    } else box.after(make("p", { className: "files" }, "Download this table: ", link));
  };

  /* Figures: plotly is loaded when the first one comes into view */
  const drawnFigures = new Set();
  let library = null;
  const plotly = () => {
    library ??= new Promise((ready, fail) => {
      const script = make("script", { src: `${assets}plotly.min.js`, onload: () => ready(window.Plotly), onerror: fail });
      document.head.append(script);
    });
    return library;
  };
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",");
  const read = (figure, theme) => {
    let text = figure.querySelector(".plot-data").textContent;
    if (theme === "dark") {
      Object.entries(JSON.parse(document.getElementById("palette").textContent)).forEach(([light, dark]) => {
        text = text.replaceAll(light, dark).replaceAll(`rgba(${rgb(light)},`, `rgba(${rgb(dark)},`);
      });
    }
    return JSON.parse(text);
  };
  const themed = (figure, theme, ink) => {
    const { data, layout } = read(figure, theme);
    const style = getComputedStyle(root);
    layout.font = { ...layout.font, color: ink ?? style.getPropertyValue("--ink").trim(), family: getComputedStyle(document.body).fontFamily };
    layout.hoverlabel = { bgcolor: style.getPropertyValue("--panel").trim(), font: { color: layout.font.color } };
    return { data, layout };
  };
  const draw = async (figure, theme = root.dataset.theme, ink = null) => {
    const canvas = figure.querySelector(".canvas");
    drawnFigures.add(figure);
    try {
      const library = await plotly();
      const { data, layout } = themed(figure, theme, ink);
      await library.react(canvas, data, layout, { displayModeBar: false, responsive: true });
      figure.dataset.drawn = "true";
    } catch (error) {
      canvas.textContent = "This figure could not be drawn; its content in words stands below.";
      console.error(error);
    }
  };
  const save = async (figure, format) => {
    /* On white, whatever the page's theme: files are for papers and slides. */
    const library = await plotly();
    const { data, layout } = read(figure, "light");
    const width = Math.max(700, figure.querySelector(".canvas").clientWidth);
    const height = layout.height || 450;
    Object.assign(layout, { paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", width, height });
    layout.font = { ...layout.font, color: "#1b1f24", family: "Arial, DejaVu Sans, sans-serif" };
    const filename = slug(`${document.querySelector("h1").textContent}-${figure.dataset.figure}`);
    await library.downloadImage({ data, layout }, { format, width, height, filename, scale: format === "png" ? 2 : 1 });
  };
  const setUpFigures = () => {
    const figures = all("figure.plot");
    const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
      if (!entry.isIntersecting) return;
      seen.unobserve(entry.target);
      draw(entry.target);
    }), { rootMargin: "300px" });
    figures.forEach((figure) => {
      seen.observe(figure);
      figure.querySelector(".save-svg").addEventListener("click", () => save(figure, "svg"));
      figure.querySelector(".save-png").addEventListener("click", () => save(figure, "png"));
    });
    /* Paper is white and shows every figure; what is drawn at once needs the library, so it is fetched before. */
    if (figures.length) (window.requestIdleCallback ?? setTimeout)(() => plotly().catch(() => {}));
    window.addEventListener("beforeprint", () => figures.forEach((figure) => draw(figure, "light", "#000000")));
    window.addEventListener("afterprint", () => figures.forEach((figure) => draw(figure)));
  };

  document.addEventListener("DOMContentLoaded", () => {
    setUpTheme();
    all("th[aria-sort]").forEach(makeSortable);
    all("form.filters").forEach(setUpFilters);
    all("table[data-csv]").forEach(offerCsv);
    setUpFigures();
  });
})();

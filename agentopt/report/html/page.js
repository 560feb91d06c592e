"use strict";
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Theme: the system's, until the reader chooses. Where nothing can be stored, the choice lasts as long as the page.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("agentopt-theme"); } catch { return null; } };
  const store = (theme) => { try { localStorage.setItem("agentopt-theme", theme); } catch { /* private mode */ } };
  let chosen = stored();
  const themeNow = () => chosen || (dark.matches ? "dark" : "light");
  const tokens = () => {
    const style = getComputedStyle(root);
    const value = (name) => style.getPropertyValue(name).trim();
    return {
      "#010203": value("--ink"), "#010204": value("--muted"), "#010205": value("--grid"), "#010206": value("--card"),
      "#0072B2": value("--blue"), "#56B4E9": value("--sky") };
  };
  const themed = (node, colours) => {
    if (typeof node === "string") return colours[node] || node;
    if (Array.isArray(node)) return node.map((item) => themed(item, colours));
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, themed(item, colours)]));
  };

  // Charts are drawn when they come near the view.
  const drawn = new Set();
  const draw = (element) => {
    const figure = themed(data.figures[element.dataset.figure], tokens());
    const config = { ...data.config };
    if (element.closest(".grid") || matchMedia("(hover: none)").matches) config.displayModeBar = false;
    if (innerWidth < 600) narrow(figure.layout);
    if (figure.data.some((trace) => ["parcoords", "scatter3d"].includes(trace.type)) && !webgl()) {
      element.textContent = "This browser offers no WebGL, which this chart needs.";
      drawn.add(element);
      return Promise.resolve();
    }
    return Plotly.react(element, figure.data, figure.layout, config).then(() => {
      if (drawn.has(element)) return;
      drawn.add(element);
      element.dataset.drawn = "";
      element.on("plotly_click", (event) => {
        const at = event.points[0].customdata;
        if (Number.isInteger(at)) openFrom(element, at);
      });
    });
  };
  const webgl = () => !!document.createElement("canvas").getContext("webgl");
  const narrow = (layout) => {
    layout.dragmode = false; // a finger scrolls the page
    layout.margin = Object.assign({ l: 40, r: 8, t: 8, b: 40 }, layout.margin || {});
  };
  const openFrom = (element, at) => {
    const [run, kind] = element.dataset.figure.split("-");
    if (run in data.runs) show(run, kind === "ledger" ? "exchanges" : "trials", at);
  };
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
  }, { rootMargin: "400px" });
  const plots = all(".plot");
  for (const element of all(".parallel")) element.style.minWidth = `${72 * Number(element.dataset.axes)}px`;
  const dress = () => {
    root.dataset.theme = themeNow();
    for (const element of drawn) draw(element);
  };
  dress();
  plots.forEach((element) => near.observe(element));
  dark.addEventListener("change", dress);
  document.getElementById("theme").addEventListener("click", () => {
    chosen = themeNow() === "dark" ? "light" : "dark";
    store(chosen);
    dress();
  });
  addEventListener("beforeprint", () => plots.forEach((element) => drawn.has(element) || draw(element)));

  // Tables: what is sorted or hidden is the rows that are there already.
  for (const table of all("table")) {
    all("th", table).forEach((head, column) => {
      const numeric = [...table.tBodies[0].rows].some((row) => row.cells[column].classList.contains("num"));
      head.classList.toggle("num", numeric);
    });
  }
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent.trim();
    if (text === "" || text === "-") return null;
    const number = Number(text);
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b);
  };
  const sort = (table, column, sign) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, at) => ({ row, at, value: key(row, column) }));
    // Empty cells come last in both directions; equal ones stay in their order.
    rows.sort((a, b) => {
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null) || a.at - b.at;
      return sign * compare(a.value, b.value) || a.at - b.at;
    });
    body.append(...rows.map((item) => item.row));
  };
  const filter = (box) => {
    const words = box.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
    const selects = all("select", box);
    const rows = [...box.querySelector("tbody").rows];
    let kept = 0;
    for (const row of rows) {
      row.text ??= row.textContent.toLowerCase().replace(/\s+/g, " ");
      const fits = selects.every((select) => !select.value || row.dataset[select.dataset.filter] === select.value)
        && words.every((word) => row.text.includes(word));
      row.hidden = !fits;
      kept += fits;
    }
    box.querySelector("output").textContent = `${kept} of ${rows.length}`;
  };
  for (const box of all(".filtered")) {
    const table = box.querySelector("table");
    all("th", table).forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      all("th", table).forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(table, column, up ? 1 : -1);
    }));
    for (const event of ["input", "change"]) box.addEventListener(event, () => filter(box));
    filter(box);
  }
  for (const box of all("[data-run]")) {
    box.addEventListener("click", (event) => {
      const button = event.target.closest(".open");
      if (!button) return;
      const kind = "exchange" in button.dataset ? "exchanges" : "trials";
      show(box.dataset.run, kind, Number(button.dataset.exchange ?? button.dataset.trial));
    });
  }

  // Patches: what each line is follows from its first character and its place, and it enters as text.
  const kinds = { "+": "add", "-": "del", "@": "at", "[": "at", "\\": "at" };
  const colour = (element, patch) => {
    element.replaceChildren(...patch.split("\n").map((line, at) => {
      const span = document.createElement("span");
      span.className = at < 2 ? "at" : kinds[line[0]] || "";
      span.textContent = `${line}\n`;
      return span;
    }));
  };
  for (const element of all("pre.patch")) colour(element, element.textContent);

  // Dialogs: everything enters as text, so nothing that a model wrote is ever read as HTML.
  const dialog = document.getElementById("dialog");
  const body = document.getElementById("dialog-body");
  const make = (tag, text, parent = body) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const written = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value));
  const facts = (pairs) => {
    const list = make("dl");
    list.className = "facts";
    for (const [name, value] of pairs) {
      if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) continue;
      const item = make("div", undefined, list);
      make("dt", name, item);
      const fact = make("dd", undefined, item);
      if (value instanceof Node) fact.append(value); else fact.textContent = written(value);
      if (fact.textContent.length > 60) item.className = "long";
    }
  };
  // What cannot be seen, or moves what can, is written out; lines without end are cut.
  const longest = 2000;
  const readable = (text) => text.replace(/\r\n/g, "\n")
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => (c === "\n" || c === "\t" ? c : `<U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`))
    .split("\n").map((line) => (line.length <= longest ? line : `${line.slice(0, longest)} [... ${line.length - longest} more characters]`)).join("\n");
  const block = (title, text) => {
    if (!text) return;
    make("h3", title);
    make("pre", readable(text));
  };
  const patch = (experiment) => {
    if (!experiment) return;
    make("h3", "What it changed");
    if (!experiment.patch) { make("p", "Nothing: it ran the version that it was made from."); return; }
    const element = make("pre");
    element.className = "patch";
    colour(element, experiment.patch);
  };
  const links = (run, kind, numbers, label) => {
    if (!numbers.length) return null;
    const span = document.createElement("span");
    for (const number of numbers) {
      const button = make("button", label(number), span);
      button.className = "open";
      button.type = "button";
      button.addEventListener("click", () => show(run, kind, number));
    }
    return span;
  };
  const parts = {
    trials: (run, trial) => {
      const exchanges = data.runs[run].exchanges;
      const code = trial.code || {};
      facts([["origin", trial.origin], ["status", trial.status], ["verdict", code.verdict], ...Object.entries(trial.values),
        ["change", code.change], ["seconds", trial.seconds], ["lines", code.lines],
        ["made from", trial.code && (code.parent === null ? "the first version" : links(run, "trials", [code.parent], (i) => `trial ${i}`))],
        ["LLM exchanges", links(run, "exchanges", trial.exchanges, (i) => `#${exchanges[i].call}`)],
        ["what was tried", code.summary]]);
      block("Error", trial.error);
      patch(trial.code);
      for (const [title, values] of [["Parameters", trial.params], ["Metrics", trial.metrics], ["Note", trial.note]]) {
        if (!Object.keys(values).length) continue;
        make("h3", title);
        facts(Object.entries(values));
      }
      return `Trial ${trial.id}`;
    },
    exchanges: (run, exchange) => {
      const { call, prompt, reply, sampling, reason, trials, ...rest } = exchange;
      facts([...Object.entries(rest), ["trial", links(run, "trials", trials, String)], ["sampling", Object.keys(sampling).length ? sampling : null]]);
      block("Why it could not be used", reason);
      block("Reply", reply || "(none)");
      block("Prompt", prompt);
      return `LLM exchange #${call}`;
    },
  };
  const step = (button, run, kind, number) => {
    const known = number !== undefined;
    document.getElementById(button).disabled = !known;
    document.getElementById(button).onclick = known ? () => show(run, kind, number) : null;
  };
  const show = (run, kind, number) => {
    const source = data.runs[run][kind];
    if (!(number in source)) return;
    body.replaceChildren();
    document.getElementById("dialog-title").textContent = parts[kind](run, source[number]);
    const numbers = Object.keys(source).map(Number);
    const at = numbers.indexOf(number);
    step("previous", run, kind, numbers[at - 1]);
    step("next", run, kind, numbers[at + 1]);
    if (!dialog.open) dialog.showModal();
    body.scrollTop = 0;
  };
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") document.getElementById("previous").click();
    if (event.key === "ArrowRight") document.getElementById("next").click();
  });

  // A run that is folded away gives its drawing surfaces back: browsers have few of them.
  for (const folded of all("details.run")) {
    folded.addEventListener("toggle", () => {
      if (folded.open) return;
      for (const element of all(".plot[data-drawn]", folded)) {
        Plotly.purge(element);
        drawn.delete(element);
        delete element.dataset.drawn;
        near.unobserve(element);
        near.observe(element);
      }
    });
  }

  // A link to a run opens it.
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const folded = target && target.closest("details.run");
    if (folded) { folded.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  reveal();
})();

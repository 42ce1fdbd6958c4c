"use strict";
// The page's one script: it saves figures and tables as files, draws the map of the embedding, and turns the page
// light or dark. Everything it shows is carried by the page; text from there is only ever set as text.
(() => {
  const root = document.documentElement;
  const carried = JSON.parse(document.getElementById("carried").textContent);
  root.classList.add("scripted");

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const make = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // ---- saving -------------------------------------------------------------------------------------------------
  const save = (blob, name) => {
    const link = make("a", { href: URL.createObjectURL(blob), download: `${carried.name}-${name}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const saveText = (text, kind, name) => save(new Blob([text], { type: kind }), name);
  const SVG = "http://www.w3.org/2000/svg";

  // An inline drawing as a document of its own: the colours of the page as it is now, and its background.
  const standalone = (svg) => {
    const copy = svg.cloneNode(true);
    const { width, height } = svg.viewBox.baseVal;
    const paper = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ width, height, fill: colour("card") })) paper.setAttribute(name, value);
    copy.prepend(paper);
    copy.removeAttribute("aria-hidden");
    for (const [name, value] of Object.entries({ xmlns: SVG, width: `${width}pt`, height: `${height}pt` })) copy.setAttribute(name, value);
    copy.setAttribute("font-family", "Arial, 'DejaVu Sans', sans-serif");
    for (const text of copy.querySelectorAll(".halo text")) {
      text.setAttribute("paint-order", "stroke");
      text.style.stroke = colour("card");
      text.style.strokeWidth = "3px";
    }
    const written = new XMLSerializer().serializeToString(copy);
    return { width, height, text: written.replace(/var\(--([\w-]+)\)/g, (_, name) => colour(name)) };
  };

  // Points are 4/3 pixels; twice as many for a sharp picture.
  const savePng = ({ text, width, height }, name) => {
    const image = new Image();
    image.onload = () => {
      const scale = (4 / 3) * 2;
      const canvas = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(blob, `${name}.png`), "image/png");
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  };

  const buttons = (title, actions) => {
    const row = make("p", { className: "save" });
    for (const [kind, action] of actions) {
      const button = make("button", { type: "button", textContent: kind, onclick: action });
      button.setAttribute("aria-label", `Save ${title} as ${kind}`);
      row.append(button);
    }
    return row;
  };

  for (const figure of document.querySelectorAll("figure[data-figure]")) {
    const name = figure.dataset.figure;
    const title = figure.querySelector("h2, h3, h4").textContent;
    const table = carried.tables[name];
    const drawn = () => (figure.drawn ? figure.drawn() : standalone(figure.querySelector(".drawing svg")));
    figure.append(
      buttons(title, [
        ...(table ? [["TSV", () => saveText(table, "text/tab-separated-values", `${name}.tsv`)]] : []),
        ["SVG", () => saveText(drawn().text, "image/svg+xml", `${name}.svg`)],
        ["PNG", () => savePng(drawn(), name)],
      ]),
    );
  }

  const cells = (row) => [...row.cells].map((cell) => cell.textContent.trim().replace(/\s+/g, " ").replaceAll("\u2212", "-"));
  for (const region of document.querySelectorAll(".table")) {
    const title = region.getAttribute("aria-label");
    const name = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);
    const text = () => [...region.querySelectorAll("tr")].map((row) => `${cells(row).join("\t")}\n`).join("");
    region.append(buttons(title, [["TSV", () => saveText(text(), "text/tab-separated-values", `table-${name}.tsv`)]]));
  }

  // ---- light and dark -----------------------------------------------------------------------------------------
  const dark = [...document.styleSheets[0].cssRules].find((rule) => rule.media && rule.conditionText.includes("dark"));
  const system = matchMedia("(prefers-color-scheme: dark)");
  const THEMES = { auto: dark.media.mediaText, light: "not all", dark: "screen" };
  const themed = []; // what has to be drawn anew in other colours
  const theme = document.getElementById("theme");
  let chosen = "auto";
  theme.hidden = false;
  theme.onclick = () => {
    const names = Object.keys(THEMES);
    chosen = names[(names.indexOf(chosen) + 1) % names.length];
    dark.media.mediaText = THEMES[chosen];
    root.style.colorScheme = chosen === "auto" ? "" : chosen;
    theme.textContent = `Theme: ${chosen}`;
    themed.forEach((draw) => draw());
  };
  system.addEventListener("change", () => themed.forEach((draw) => draw()));

  // ---- the map of the embedding ---------------------------------------------------------------------------------
  const columnsOf = (text) => {
    const cell = (written) => (written.startsWith('"') ? written.slice(1, -1).replaceAll('""', '"') : written);
    const [head, ...rows] = text.trimEnd().split("\n").map((line) => line.split("\t").map(cell));
    return Object.fromEntries(head.map((name, column) => [name, rows.map((row) => row[column])]));
  };
  const numbers = (column) => Float64Array.from(column, (cell) => (cell === "" ? NaN : Number(cell)));
  const SHAPES = ["circle", "square", "triangle", "diamond", "cross"];
  const outline = (shape, x, y, r) => {
    if (shape === "square") return `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`;
    if (shape === "triangle") return `M${x} ${y - 1.3 * r}l${1.25 * r} ${2.2 * r}h${-2.5 * r}z`;
    if (shape === "diamond") return `M${x} ${y - 1.4 * r}l${1.4 * r} ${1.4 * r}l${-1.4 * r} ${1.4 * r}l${-1.4 * r} ${-1.4 * r}z`;
    if (shape === "cross") return `M${x - r} ${y - 0.35 * r}h${0.65 * r}v${-0.65 * r}h${0.7 * r}v${0.65 * r}h${0.65 * r}v${0.7 * r}h${-0.65 * r}v${0.65 * r}h${-0.7 * r}v${-0.65 * r}h${-0.65 * r}z`;
    return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  };

  const scatter = (figure) => {
    const map = carried.maps[figure.dataset.figure];
    const table = columnsOf(carried.tables[figure.dataset.figure]);
    const [x, y] = map.axes.map((axis) => numbers(table[axis.column]));
    const canvas = figure.querySelector("canvas");
    const legend = figure.querySelector(".legend");
    const told = figure.querySelector("output");
    const context = canvas.getContext("2d");
    const bounds = [Math.min, Math.max].map((end) => [x, y].map((axis) => axis.reduce((a, b) => end(a, b))));
    let look, places, held = -1;

    // What a column looks like: a group of each point, and each group's name, colour and shape.
    const lookOf = (choice) => {
      const column = table[choice.column];
      if (choice.kind === "ramp") {
        const values = numbers(column);
        const known = values.filter((value) => !Number.isNaN(value)).sort();
        const at = (share) => known[Math.round(share * (known.length - 1))];
        const [low, high] = [at(0.02), at(0.98)];
        const step = (value) => Math.max(0, Math.min(5, Math.floor((6 * (value - low)) / (high - low || 1))));
        const groups = [0, 1, 2, 3, 4, 5].map((level) => ({ colour: `step-${level}`, shape: "circle" }));
        groups.push({ colour: "muted", shape: "cross", name: "not known" });
        return { of: Array.from(values, (value) => (Number.isNaN(value) ? 6 : step(value))), groups, ends: [low, high], title: choice.title };
      }
      const counts = new Map();
      for (const value of column) counts.set(value, (counts.get(value) || 0) + 1);
      const names = choice.values || [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a)).slice(0, 5);
      const groups = names.map((name, rank) => ({
        name: choice.names ? choice.names[rank] : name, count: counts.get(name) || 0,
        colour: ["promoter", "decoy", "third", "fourth", "fifth"][rank], shape: SHAPES[rank],
      }));
      const rest = column.length - groups.reduce((sum, group) => sum + group.count, 0);
      groups.push({ name: "others", count: rest, colour: "muted", shape: "cross" });
      const rankOf = new Map(names.map((name, rank) => [name, rank]));
      return { of: column.map((value) => rankOf.get(value) ?? names.length), groups, title: choice.title };
    };

    // Equal scales on both axes: only distances mean something on a map.
    const placed = (width, height) => {
      const rim = { left: 26, bottom: 26, right: 12, top: 12 };
      const size = [width - rim.left - rim.right, height - rim.bottom - rim.top];
      const scale = Math.min(...[0, 1].map((axis) => size[axis] / (bounds[1][axis] - bounds[0][axis] || 1)));
      const middle = [0, 1].map((axis) => (bounds[0][axis] + bounds[1][axis]) / 2);
      return {
        x: x.map((value) => rim.left + size[0] / 2 + scale * (value - middle[0])),
        y: y.map((value) => rim.top + size[1] / 2 - scale * (value - middle[1])),
        radius: x.length > 5000 ? 2 : 3,
      };
    };
    const titles = map.axes.map((axis) => axis.title);

    const draw = () => {
      const { clientWidth: width, clientHeight: height } = canvas;
      if (!width) return;
      const ratio = window.devicePixelRatio || 1;
      [canvas.width, canvas.height] = [width * ratio, height * ratio].map(Math.round);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      places = placed(width, height);
      const colours = look.groups.map((group) => colour(group.colour));
      const CHUNK = 400; // groups take turns, so that none hides another
      context.globalAlpha = 0.78;
      for (let first = 0; first < x.length; first += CHUNK) {
        const turn = look.groups.map(() => []);
        for (let i = first; i < Math.min(first + CHUNK, x.length); i++)
          turn[look.of[i]].push(outline(look.groups[look.of[i]].shape, places.x[i], places.y[i], places.radius));
        turn.forEach((outlines, group) => {
          context.fillStyle = colours[group];
          context.fill(new Path2D(outlines.join("")));
        });
      }
      context.globalAlpha = 1;
      Object.assign(context, { fillStyle: colour("muted"), font: `12px ${getComputedStyle(root.querySelector("body")).fontFamily}` });
      context.fillText(titles[0], 26, height - 7);
      context.save();
      context.translate(14, height - 26);
      context.rotate(-Math.PI / 2);
      context.fillText(titles[1], 0, 0);
      context.restore();
      if (held >= 0) {
        context.beginPath();
        context.arc(places.x[held], places.y[held], places.radius + 4, 0, 2 * Math.PI);
        Object.assign(context, { strokeStyle: colour("ink"), lineWidth: 2 });
        context.stroke();
      }
    };

    const format = (value) => (Number.isFinite(Number(value)) && value !== "" ? String(Number(Number(value).toPrecision(3))) : "\u2013");
    const tell = (i) => {
      held = i;
      draw();
      told.replaceChildren();
      if (i < 0) return told.append(told.dataset.hint);
      const at = (name) => table[name]?.[i];
      const locus = at("chrom") ? `${at("chrom")}:${Number(at("start")).toLocaleString("en")}\u2013${Number(at("end")).toLocaleString("en")} ${at("strand") || ""}` : "";
      const words = [at("name"), { 1: "promoter", 0: "decoy" }[at("label")], ...map.told.map(([name, title]) => `${title} ${format(at(name))}`)];
      told.append(make("strong", { textContent: locus }), ` ${words.filter(Boolean).join(" \u00b7 ")}`);
    };
    const nearest = (left, top) => {
      let best = -1, least = 14 ** 2;
      for (let i = 0; i < x.length; i++) {
        const apart = (places.x[i] - left) ** 2 + (places.y[i] - top) ** 2;
        if (apart < least) [best, least] = [i, apart];
      }
      return best;
    };

    const swatch = (group) => {
      const mark = document.createElementNS(SVG, "svg");
      mark.setAttribute("viewBox", "-6 -6 12 12");
      mark.setAttribute("aria-hidden", "true");
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", outline(group.shape, 0, 0, 4));
      path.style.fill = `var(--${group.colour})`;
      mark.append(path);
      return mark;
    };
    const show = (choice) => {
      look = lookOf(choice);
      const used = new Set(look.of);
      const shown = look.groups.map((group, rank) => ({ ...group, rank })).filter(({ rank }) => used.has(rank));
      legend.replaceChildren();
      if (look.ends) {
        const bar = look.groups.slice(0, 6).map((group) => make("i", { style: `background: var(--${group.colour})` }));
        legend.append(`${look.title} ${format(look.ends[0])} `, make("span", { className: "ramp" }, ...bar), ` ${format(look.ends[1])}`);
      }
      for (const group of shown.filter((one) => one.name))
        legend.append(make("span", {}, swatch(group), ` ${group.name}${group.count ? ` (${group.count.toLocaleString("en")})` : ""}`));
      draw();
    };

    // The same map as a drawing that can be saved, its legend included.
    figure.drawn = () => {
      const [width, height] = [420, 340];
      const at = placed(width, height);
      const round = (value) => Math.round(value * 100) / 100;
      const parts = look.groups.map((group, rank) => {
        const d = look.of.map((of, i) => (of === rank ? outline(group.shape, round(at.x[i]), round(at.y[i]), at.radius * 0.75) : "")).join("");
        return d && `<path fill="${colour(group.colour)}" fill-opacity=".78" d="${d}"/>`;
      });
      const text = (left, top, words, fill, more = "") => {
        const node = document.createElementNS(SVG, "text"); // lets the browser escape what it says
        node.textContent = words;
        return `<text x="${left}" y="${top}" fill="${colour(fill)}"${more}>${node.innerHTML}</text>`;
      };
      const words = legend.textContent.replace(/\s+/g, " ").trim();
      const keys = look.ends
        ? [text(26, -8, words.replace(` ${format(look.ends[1])}`, ""), "muted"), ...look.groups.slice(0, 6).map((group, rank) => `<rect x="${180 + 16 * rank}" y="-16" width="16" height="9" fill="${colour(group.colour)}"/>`), text(282, -8, format(look.ends[1]), "muted")]
        : look.groups.filter((group) => group.count).map((group, rank) => `<path fill="${colour(group.colour)}" d="${outline(group.shape, 30 + 100 * (rank % 4), -11 - 14 * Math.floor(rank / 4), 3.5)}"/>${text(38 + 100 * (rank % 4), -8 - 14 * Math.floor(rank / 4), group.name, "ink")}`);
      const body = [...parts, ...keys, text(26, height - 7, titles[0], "muted"), text(14, height - 26, titles[1], "muted", ` transform="rotate(-90 14 ${height - 26})"`)].join("");
      const box = `<rect y="-36" width="${width}" height="${height + 36}" fill="${colour("card")}"/>`;
      return { width, height: height + 36, text: `<svg xmlns="${SVG}" viewBox="0 -36 ${width} ${height + 36}" width="${width}pt" height="${height + 36}pt" font-family="Arial, 'DejaVu Sans', sans-serif" font-size="10">${box}${body}</svg>` };
    };

    for (const input of figure.querySelectorAll("input[type=radio]"))
      input.onchange = () => show(map.colours[Number(input.value)]);
    canvas.onpointermove = (event) => {
      const found = nearest(event.offsetX, event.offsetY);
      if (found !== held) tell(found);
    };
    canvas.onpointerleave = () => tell(-1);
    canvas.onblur = () => tell(-1);
    // Arrows go from point to point: left and right along the first axis, up and down along the second.
    const orders = [null, null];
    const orderOf = (axis) => (orders[axis] ??= Array.from(x.keys()).sort((a, b) => (axis ? y[a] - y[b] : x[a] - x[b])));
    const KEYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1] };
    canvas.onkeydown = (event) => {
      if (event.key === "Escape") return tell(-1);
      if (!KEYS[event.key]) return undefined;
      event.preventDefault();
      const [axis, by] = KEYS[event.key];
      const order = orderOf(axis);
      const rank = held < 0 ? Math.floor(order.length / 2) : order.indexOf(held) + by;
      return tell(order[Math.max(0, Math.min(order.length - 1, rank))]);
    };
    themed.push(draw);
    show(map.colours[Number(figure.querySelector("input:checked").value)]);
    tell(-1);
    new ResizeObserver(draw).observe(canvas);
  };
  document.querySelectorAll("figure[data-scatter]").forEach(scatter);
})();

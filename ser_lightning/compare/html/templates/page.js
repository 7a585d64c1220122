"use strict";
// What the page can do beyond being read: sort, filter, choose two models, switch curves, tell a mark's numbers.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const SVG = "http://www.w3.org/2000/svg";

  // Numbers as wording.py writes them, rounded as Python rounds.
  const MISSING = "–";
  const fixed = (value, decimals) =>
    new Intl.NumberFormat("en", {
      minimumFractionDigits: decimals, maximumFractionDigits: decimals, useGrouping: false, roundingMode: "halfEven",
    }).format(value).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
  const percent = (share) => (share === null ? MISSING : `${fixed(100 * share, 1)}%`);
  const decimal = (value, decimals) => (value === null ? MISSING : fixed(value, decimals));
  const pValue = (p) => (p === null ? MISSING : p < 0.001 ? "< 0.001" : fixed(p, 3));
  const points = (share, decimals = 1) => {
    if (share === null) return MISSING;
    const text = fixed(100 * share, decimals);
    return text.startsWith("−") || Number(text) === 0 ? text : `+${text}`;
  };

  const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

  // Sorting

  const keyOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = Number(text);
    return text === "" || text === MISSING ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

  function sort(table, header, direction) {
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row, header.cellIndex), row]);
    rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", direction);
  }

  function makeSortable(table) {
    for (const header of all("thead th[data-sort]", table)) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      const axis = header.querySelector("svg");
      button.append(...[...header.childNodes].filter((node) => node !== axis));
      header.prepend(button);
      button.addEventListener("click", () => {
        const now = header.getAttribute("aria-sort");
        const first = header.dataset.sort === "up" ? "ascending" : "descending";
        const other = first === "ascending" ? "descending" : "ascending";
        sort(table, header, now === first ? other : first);
      });
    }
  }

  // Filtering

  function makeFilter(section) {
    const input = section.querySelector("[data-filter]");
    input?.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      const rows = all("[data-group]:is(tr, details)", section);
      rows.forEach((row) => { row.hidden = !row.querySelector(".name").textContent.toLowerCase().includes(wanted); });
      const board = all(".board tbody tr", section);
      const left = board.filter((row) => !row.hidden).length;
      section.querySelector("[data-filter-count]").textContent = wanted ? `${left} of ${board.length}` : "";
    });
  }

  // Two models

  function turned(pairs, first, second) {
    for (const [a, b, clips, speakers, gap, low, high, perm, permHolm, mc, mcHolm, effect, only1, only2] of pairs) {
      const same = { clips, speakers, perm, permHolm, mc, mcHolm };
      const minus = (value) => (value === null ? null : -value);
      if (a === first && b === second) return { ...same, gap, low, high, effect, only1, only2 };
      if (b === first && a === second) {
        const flipped = { gap: minus(gap), low: minus(high), high: minus(low), effect: minus(effect) };
        return { ...same, ...flipped, only1: only2, only2: only1 };
      }
    }
    return null;
  }

  // Shares are written in per cent, other scores with three decimals.
  const plain = (value) => decimal(value, 3);
  const signed = (value) => (value > 0 && Number(plain(value)) ? `+${plain(value)}` : plain(value));
  const styleOf = (data) => (data.share ? { value: percent, difference: points } : { value: plain, difference: signed });

  function texts(pair, significant, style) {
    if (!pair) return {};
    const known = pair.clips !== null;
    return {
      difference: style.difference(pair.gap),
      interval: pair.low === null ? MISSING : `${style.difference(pair.low)} to ${style.difference(pair.high)}`,
      significance: pair.permHolm !== null && pair.permHolm < significant ? "significant" : "not significant",
      permutation: pValue(pair.perm),
      permutation_holm: pValue(pair.permHolm),
      mcnemar: pValue(pair.mc),
      mcnemar_holm: pValue(pair.mcHolm),
      effect: decimal(pair.effect, 2),
      only_first: percent(pair.only1),
      only_second: percent(pair.only2),
      n_clips: known ? counted(pair.clips, "clip") : MISSING,
      n_speakers: known ? counted(pair.speakers, "speaker") : MISSING,
    };
  }

  const shares = (matrix) =>
    matrix.map((row) => {
      const total = row.reduce((sum, clips) => sum + clips, 0);
      return row.map((clips) => (total ? clips / total : null));
    });

  function fillConfusion(table, cellAt) {
    [...table.tBodies[0].rows].forEach((row, y) =>
      all("td", row).forEach((cell, x) => {
        const [text, strength, sign] = cellAt(y, x);
        cell.textContent = text;
        cell.className = sign;
        cell.style.setProperty("--v", strength.toFixed(3));
      }));
  }

  function fillConfusions(section, one, two, strong) {
    const share = (matrix) => (y, x) =>
      matrix[y][x] === null ? [MISSING, 0, ""] : [fixed(100 * matrix[y][x], 1), matrix[y][x], ""];
    const matrix = (name) => section.querySelector(`[data-confusion=${name}]`);
    fillConfusion(matrix("first"), share(one));
    fillConfusion(matrix("second"), share(two));
    fillConfusion(matrix("difference"), (y, x) => {
      if (one[y][x] === null || two[y][x] === null) return [MISSING, 0, ""];
      const gap = one[y][x] - two[y][x];
      return [points(gap), Math.min(Math.abs(gap) / strong, 1), gap > 0 ? "more" : gap < 0 ? "less" : ""];
    });
  }

  function drawGap(place, pair) {
    const limit = Number(place.dataset.gap);
    const at = (value) => `${50 + (50 * (value ?? 0)) / limit}%`;
    const line = place.querySelector(".interval");
    line.setAttribute("x1", at(pair?.low ?? pair?.gap));
    line.setAttribute("x2", at(pair?.high ?? pair?.gap));
    place.querySelector("circle").setAttribute("cx", at(pair?.gap));
  }

  function drawRecall(picture, sides, data, axis) {
    const at = (value) => `${Math.min(Math.max((100 * (value - axis.low)) / (axis.high - axis.low), 0), 100)}%`;
    const ends = (low, high) => (data.share ? `${fixed(100 * low, 1)}–${fixed(100 * high, 1)}%` : `${plain(low)} to ${plain(high)}`);
    all("line.interval, use", picture).forEach((old) => old.remove());
    const draw = (name, attributes) => {
      const made = document.createElementNS(SVG, name);
      Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
      picture.append(made);
    };
    const told = [];
    sides.forEach(({ rank, name, recall }, side) => {
      if (!recall || recall[0] === null) return;
      const [value, low, high] = recall;
      const y = (26 * (side + 1)) / 3;
      const colour = `c${rank % 8}`;
      const tip = `${name}: ${styleOf(data).value(value)}` + (low === null ? "" : ` (${ends(low, high)})`);
      told.push(tip);
      if (low !== null && high !== null) {
        const line = { x1: at(low), x2: at(high), y1: y, y2: y };
        draw("line", { ...line, class: `interval ${colour}`, "data-tip": tip });
      }
      draw("use", { href: `#shape${rank % 7}`, x: at(value), y, class: `mark ${colour}`, "data-tip": tip });
    });
    picture.setAttribute("aria-label", told.join("; "));
  }

  function makePair(section) {
    const data = JSON.parse(section.querySelector("[data-pair-data]").textContent);
    const selects = all("select[data-side]", section);
    const show = () => {
      const ranks = selects.map((select) => Number(select.value));
      const groups = ranks.map((rank) => data.groups[rank]);
      const pair = turned(data.pairs, ...ranks);
      const style = styleOf(data);
      const shown = texts(pair, data.significant, style);
      all("[data-field]", section).forEach((place) => { place.textContent = shown[place.dataset.field] ?? MISSING; });
      all("[data-name]", section).forEach((place) => { place.textContent = groups[place.dataset.name].name; });
      drawGap(section.querySelector("[data-gap]"), pair);

      if (groups[0].confusion) fillConfusions(section, ...groups.map((group) => shares(group.confusion)), data.strong);

      for (const row of all("[data-recall]", section)) {
        const recalls = groups.map((group) => group.recall[row.dataset.recall]);
        const [a, b] = recalls.map((recall) => recall?.[0] ?? null);
        [style.value(a), style.value(b), style.difference(a === null || b === null ? null : a - b)].forEach((text, column) => {
          row.cells[column + 1].textContent = text;
        });
        const sides = groups.map((group, side) => ({ rank: ranks[side], name: group.name, recall: recalls[side] }));
        const axis = { low: Number(row.dataset.low ?? 0), high: Number(row.dataset.high ?? 1) };
        drawRecall(row.querySelector("svg"), sides, data, axis);
      }
    };
    // A browser that comes back to the page keeps what was chosen.
    selects.forEach((select) => select.addEventListener("change", show));
    if (selects.some((select, side) => select.value !== select.dataset.shown)) show();
  }

  // Curves

  function makeSwitches(section) {
    const boxes = all("[data-switch]", section);
    const show = () => boxes.forEach((box) =>
      all(`svg [data-group="${box.dataset.switch}"]`, section)
        .forEach((part) => part.classList.toggle("off", !box.checked)));
    boxes.forEach((box) => box.addEventListener("change", show));
    all("[data-show]", section).forEach((button) => button.addEventListener("click", () => {
      boxes.forEach((box, rank) => {
        box.checked = button.dataset.show === "all" || (button.dataset.show === "first" && rank < 8);
      });
      show();
    }));
    show();
  }

  // Tips

  function makeTips() {
    const tip = document.getElementById("tip");
    const hide = () => { tip.hidden = true; };
    document.addEventListener("pointerover", (event) => {
      const told = event.target.closest?.("[data-tip]");
      if (!told) return hide();
      tip.textContent = told.dataset.tip;
      tip.hidden = false;
      const mark = told.getBoundingClientRect();
      const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
      const above = mark.top - tip.offsetHeight - 8;
      tip.style.left = `${Math.max(left, 8)}px`;
      tip.style.top = `${above > 4 ? above : mark.bottom + 8}px`;
    });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    addEventListener("scroll", hide, { passive: true });
    // Browsers show an image's title when the pointer rests on it, over the tips of its marks.
    for (const title of all("svg > title")) {
      title.parentNode.setAttribute("aria-label", title.textContent);
      title.remove();
    }
  }

  document.documentElement.classList.add("js");
  all("table[data-sortable]").forEach(makeSortable);
  all("[data-comparison]").forEach(makeFilter);
  all("[data-pair]").forEach(makePair);
  all("[data-curves]").forEach(makeSwitches);
  makeTips();

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
})();

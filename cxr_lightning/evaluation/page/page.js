"use strict";
(() => {
  const find = (query, within = document) => within.querySelector(query);
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  document.documentElement.classList.add("scripted");
  const cards = all(".card"), list = find("#cards");
  const number = (card, name) => Number(card.dataset[name]);
  const texts = new Map(cards.map((card) => [
    card, [card.dataset.labels, card.id.slice(6), ...all(".said .text", card).map((each) => each.textContent)].join(" ").toLowerCase(),
  ]));

  const labels = new Map(cards.map((card) => [card, new Set(card.dataset.labels.toLowerCase().split("|"))]));

  // Sorting the finding tables.
  const sortBy = (table, column, kind, header) => {
    const up = header.getAttribute("aria-sort") === "descending" || (kind === "text" && !header.hasAttribute("aria-sort"));
    all("th[aria-sort]", table).forEach((each) => each.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => {
      const text = row.cells[column].textContent.trim();
      return kind === "text" ? text : Number.isNaN(parseFloat(text)) ? -1 : parseFloat(text);
    };
    const rows = all("tbody tr", table).map((row) => [value(row), row]);
    rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1));
    find("tbody", table).append(...rows.map(([, row]) => row));
  };
  for (const header of all("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.title = "Sort";
    header.replaceChildren(button);
    button.addEventListener("click", () => sortBy(header.closest("table"), header.cellIndex, header.dataset.sort, header));
  }
  if (!cards.length) return;

  // Which studies, in which order.
  const search = find("#search"), order = find("#order"), count = find("#count"), words = find("#words");
  const kinds = {
    all: () => true,
    invented: (card) => number(card, "invented") > 0,
    missed: (card) => number(card, "missed") > 0,
    right: (card) => card.classList.contains("right"),
    normal: (card) => number(card, "normal") === 1,
  };
  const orders = {
    rank: (card) => number(card, "rank"),
    best: (card) => -number(card, "rank"),
    invented: (card) => -number(card, "invented"),
    missed: (card) => -number(card, "missed"),
  };
  const shown = () => cards.filter((card) => !card.hidden);
  const update = () => {
    const sought = search.value.toLowerCase().trim();
    const words = sought.split(/\s+/).filter(Boolean);
    const label = sought && cards.some((card) => labels.get(card).has(sought));  // a finding is meant, not its words
    const matches = (card) => label ? labels.get(card).has(sought) : words.every((word) => texts.get(card).includes(word));
    const kind = kinds[find("[name=show]:checked").value];
    for (const card of cards) card.hidden = !(kind(card) && matches(card));
    const left = shown().length;
    count.textContent = left === cards.length ? `${left} shown` : left ? `${left} of ${cards.length} shown` : "none such; Esc shows all";
  };
  const arrange = () => {
    const key = orders[order.value];
    cards.sort((a, b) => key(a) - key(b) || orders.rank(a) - orders.rank(b));
    list.append(...cards);
  };
  search.addEventListener("input", update);
  all("[name=show]").forEach((each) => each.addEventListener("change", update));
  order.addEventListener("change", arrange);
  words.addEventListener("change", () => list.classList.toggle("plain-words", !words.checked));
  const reset = () => {
    search.value = "";
    find("[name=show][value=all]").checked = true;
    update();
  };
  for (const link of all("a[data-finding]")) {
    link.addEventListener("click", () => {
      reset();
      search.value = link.dataset.finding;
      update();
    });
  }
  update();

  // The viewer.
  const viewer = find(".viewer"), film = find("img", viewer), caption = find(".small", viewer);
  const tools = Object.fromEntries(all("input", viewer).map((each) => [each.name, each]));
  const window_ = () => {
    film.style.filter = `brightness(${tools.brightness.value}) contrast(${tools.contrast.value}) invert(${tools.invert.checked ? 1 : 0})`;
  };
  const plain = () => {
    tools.brightness.value = tools.contrast.value = 1;
    tools.invert.checked = false;
    window_();
  };
  Object.values(tools).forEach((each) => each.addEventListener("input", window_));
  find("button.plain", viewer).addEventListener("click", plain);
  const enlarge = (card) => {
    const image = find(".film img", card);
    if (!image) return;
    film.src = image.src;
    film.alt = image.alt;
    caption.textContent = card.id.slice(6);
    plain();
    viewer.showModal();
  };
  for (const card of cards) find(".film button", card)?.addEventListener("click", () => enlarge(card));
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });

  // Keys.
  const here = () => document.activeElement?.closest(".card");
  const step = (by) => {
    const now = shown();
    const next = now[Math.min(Math.max(now.indexOf(here()) + by, 0), now.length - 1)];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "start" });
  };
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    "/": () => search.focus(),
    o: () => { const more = find("details", here() ?? shown()[0]); if (more) more.open = !more.open; },
    Escape: () => { reset(); document.activeElement.blur(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || viewer.open) return;
    const writing = event.target.matches("input[type=search], select");
    const card = event.target.matches(".card");
    if (!(event.key === "Enter" && card) && (!keys[event.key] || (writing && event.key !== "Escape"))) return;
    event.preventDefault();  // or the viewer's button would take the same Enter
    if (event.key === "Enter") enlarge(event.target);
    else keys[event.key]();
  });

  // On paper nothing can be opened.
  addEventListener("beforeprint", () => all("details").forEach((each) => { each.dataset.was = each.open; each.open = true; }));
  addEventListener("afterprint", () => all("details").forEach((each) => { each.open = each.dataset.was === "true"; }));
})();

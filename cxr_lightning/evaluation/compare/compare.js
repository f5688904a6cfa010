"use strict";
(() => {
  const all = (query) => [...document.querySelectorAll(query)];
  document.documentElement.classList.add("scripted");

  // Paper has no folds.
  addEventListener("beforeprint", () => all("details.fold").forEach((each) => { each.open = true; }));

  const cards = all(".contrast");
  if (!cards.length) return;
  const [search, finding, count] = ["search", "finding", "count"].map((id) => document.getElementById(id));
  const texts = new Map(cards.map((card) => [card, `${card.id.slice(6)} ${card.textContent}`.toLowerCase()]));
  const update = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const ahead = document.querySelector("[name=ahead]:checked").value;
    for (const card of cards) {
      const states = !finding.value || card.dataset.labels.split("|").includes(finding.value);
      card.hidden = !(states && (!ahead || card.dataset.ahead === ahead) && words.every((word) => texts.get(card).includes(word)));
    }
    const left = cards.filter((card) => !card.hidden).length;
    count.textContent = left === cards.length ? `${left} shown` : `${left} of ${cards.length} shown`;
  };
  search.addEventListener("input", update);
  finding.addEventListener("change", update);
  all("[name=ahead]").forEach((each) => each.addEventListener("change", update));
  update();
})();

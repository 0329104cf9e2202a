"use strict";
(() => {
  const box = document.getElementById("filter");
  const count = document.getElementById("count");
  const chips = [...document.querySelectorAll("button.chip")];
  const rows = [...document.querySelectorAll("tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const kinds = rows.map((row) => row.dataset.kinds.split(" "));
  const asked = () => {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {
      return "";
    }
  };
  let kind = "";
  const show = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, at) => {
      const fits = words.every((word) => texts[at].includes(word)) && (!kind || kinds[at].includes(kind));
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    count.textContent = shown === rows.length ? `${shown} apps` : `${shown} of ${rows.length} apps`;
    document.getElementById("none").hidden = shown > 0;
  };
  chips.forEach((chip) => chip.addEventListener("click", () => {
    kind = kind === chip.dataset.kind ? "" : chip.dataset.kind;
    chips.forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.kind === kind)));
    show();
  }));
  box.addEventListener("input", show);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
    } else if (event.key === "Escape") {
      box.value = "";
      show();
    }
  });
  window.addEventListener("hashchange", () => { box.value = asked(); show(); });
  box.value = asked();
  show();
})();

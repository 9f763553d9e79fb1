(() => {
  "use strict";
  // The page is complete without this script: it only sorts, filters, copies and opens.
  const byId = (id) => document.getElementById(id);
  let column = "n", down = false;

  const setUp = () => {
    const table = byId("table"), form = byId("filter");
    for (const button of document.querySelectorAll("button.copy")) {
      button.hidden = false;
      button.onclick = async () => {
        const text = button.parentElement.querySelector("code").textContent;
        let done = false;
        try { await navigator.clipboard.writeText(text); done = true; } catch { done = byHand(text); }
        button.textContent = done ? "Copied" : "Press Ctrl+C";
        if (!done) getSelection().selectAllChildren(button.parentElement.querySelector("code"));
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      };
    }
    const marks = byId("marks");
    if (marks) {
      marks.onclick = (event) => {
        const title = event.target.closest("use")?.querySelector("title")?.textContent;
        if (title && byId("e" + parseInt(title))) location.hash = "e" + parseInt(title);
      };
    }
    if (!table) return;
    const bodies = [...table.tBodies];
    const key = { n: (b) => +b.id.slice(1), v: (b) => +b.dataset.k, r: (b) => +b.rows[0].cells[4].textContent,
      d: (b) => b.dataset.d === "" ? Infinity : +b.dataset.d };
    const sort = () => {
      const get = key[column], sign = down ? -1 : 1;
      bodies.sort((a, b) => {
        const x = get(a), y = get(b);
        if (!isFinite(x) || !isFinite(y)) return isFinite(x) ? -1 : isFinite(y) ? 1 : key.n(a) - key.n(b);
        return sign * (x - y) || key.n(a) - key.n(b);
      });
      table.append(...bodies);
      for (const th of table.tHead.rows[0].cells) {
        if (th.dataset.sort === column) th.setAttribute("aria-sort", down ? "descending" : "ascending");
        else th.removeAttribute("aria-sort");
      }
    };
    for (const th of table.tHead.rows[0].cells) {
      if (!th.dataset.sort) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = th.textContent;
      button.onclick = () => { down = column === th.dataset.sort && !down; column = th.dataset.sort; sort(); };
      th.replaceChildren(button);
    }
    if (column !== "n" || down) sort();
    const find = byId("find"), which = byId("which"), found = byId("found"), open = byId("open");
    const texts = new Map();
    const filter = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const body of bodies) {
        if (words.length && !texts.has(body)) texts.set(body, body.textContent.toLowerCase());
        const hit = (!which.value || body.dataset.v === which.value) && words.every((w) => texts.get(body).includes(w));
        body.hidden = !hit;
        shown += hit;
      }
      found.textContent = shown === bodies.length ? "" : `${shown} of ${bodies.length}`;
    };
    form.hidden = false;
    form.onsubmit = (event) => event.preventDefault();
    find.oninput = which.onchange = filter;
    open.onclick = () => {
      const all = open.textContent === "Open all";
      for (const body of bodies) if (!body.hidden) body.querySelector("details").open = all;
      open.textContent = all ? "Close all" : "Open all";
    };
    filter();
  };
  const byHand = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    let done = false;
    try { done = document.execCommand("copy"); } catch { done = false; }
    area.remove();
    return done;
  };
  const show = () => {
    const body = /^#e\d+$/.test(location.hash) && byId(location.hash.slice(1));
    if (!body) return;
    body.hidden = false;
    const details = body.querySelector("details");
    details.open = true;
    details.querySelector("summary").focus({ preventScroll: true });
    body.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", show);
  document.addEventListener("page", setUp);
  setUp();
  show();
})();

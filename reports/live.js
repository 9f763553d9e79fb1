(() => {
  "use strict";
  // Asks the server for the page's version and, when it changed, takes over the new content; what was open stays open.
  const status = () => document.getElementById("live");
  let version = null;
  const say = (text) => { if (status() && status().textContent !== text) status().textContent = text; };
  const take = async () => {
    const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const open = [...document.querySelectorAll("#table details[open]")].map((d) => d.closest("tbody").id);
    const typed = ["find", "which"].map((id) => [id, document.getElementById(id)?.value]);
    const focus = document.activeElement?.id || document.activeElement?.closest("tbody")?.id;
    const y = scrollY;
    document.title = page.title;
    document.getElementById("main").replaceWith(document.adoptNode(page.getElementById("main")));
    for (const id of open) document.getElementById(id)?.querySelector("details")?.setAttribute("open", "");
    for (const [id, value] of typed) { const field = document.getElementById(id); if (field && value) field.value = value; }
    document.dispatchEvent(new Event("page"));
    const target = focus && document.getElementById(focus);
    if (target) (target.tagName === "TBODY" ? target.querySelector("summary") : target).focus({ preventScroll: true });
    scrollTo(0, y);
  };
  const poll = async () => {
    let wait = 3000;
    try {
      const answer = await fetch("version" + location.search, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const now = await answer.json();
      if (version !== null && now.version !== version) await take();
      version = now.version;
      say(now.running ? "live" : "ended");
      if (!now.running) wait = 30000;
    } catch { say("not reachable"); wait = 10000; }
    setTimeout(poll, wait);
  };
  poll();
})();

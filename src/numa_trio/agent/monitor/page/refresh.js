"use strict";
// Fetches the page again every few seconds and exchanges the parts that changed.
const PERIOD = 3000;
const PATIENCE = 10000;
const PARTS = ":scope > [id]:not(#nodes), .side-by-side > [id], .card";
const silence = document.getElementById("silence");

function exchange(fresh) {
  const here = document.getElementById("agent");
  const next = fresh.getElementById("agent");
  const parts = (main) => [...main.querySelectorAll(PARTS)];
  const ids = (main) => [...main.querySelectorAll("[id]")].map((part) => part.id).join();
  // What a person has opened or closed stays so, until its state is another.
  for (const fold of next.querySelectorAll("details")) {
    const before = document.getElementById(fold.id);
    if (before?.dataset.fold === fold.dataset.fold) fold.open = before.open;
  }
  if (ids(here) !== ids(next)) {
    here.replaceWith(next);
  } else {
    for (const part of parts(next)) {
      const old = document.getElementById(part.id);
      if (!old.isEqualNode(part)) {
        const scrolled = old.querySelector(".scroll")?.scrollLeft;
        old.replaceWith(part);
        if (scrolled) part.querySelector(".scroll").scrollLeft = scrolled;
      }
    }
  }
  document.title = fresh.title;
  const icon = "link[rel=icon]";
  document.querySelector(icon).replaceWith(fresh.querySelector(icon));
}

async function refresh() {
  if (!document.hidden) await look();
  setTimeout(refresh, PERIOD);
}

async function look() {
  try {
    const answer = await fetch("/", { signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (fresh.body.dataset.version !== document.body.dataset.version) location.reload();
    // Whoever is copying text shall not lose the selection.
    else if (getSelection().isCollapsed) exchange(fresh);
    silence.textContent = "";
    delete silence.dataset.since;
  } catch {
    silence.dataset.since ??= new Date().toISOString().slice(0, 19) + "Z";
    silence.textContent = `No answer since ${silence.dataset.since}: what you see is old.`;
  }
}

setTimeout(refresh, PERIOD);

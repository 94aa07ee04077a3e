// Keeps the page current without reloading it. Without this script the page reloads itself.
"use strict";

const PERIOD_MS = 3000;

async function refresh() {
  const main = document.querySelector("main");
  // Nobody is interrupted: not while reading with the keyboard, selecting text or looking elsewhere.
  const busy = main.contains(document.activeElement) || String(getSelection()) !== "" || document.hidden;
  if (busy) {
    return;
  }
  const state = document.getElementById("connection");
  try {
    const answer = await fetch("/", { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.status === 401) {
      // The session has ended: the same address shows the form.
      location.reload();
      return;
    }
    if (!answer.ok) {
      throw new Error(String(answer.status));
    }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const open = new Set([...main.querySelectorAll("details[open]")].map((details) => details.id));
    for (const details of fresh.querySelectorAll("details")) {
      details.open = open.has(details.id) || details.open;
    }
    main.replaceChildren(...fresh.childNodes);
    state.textContent = "";
  } catch {
    state.textContent = "Control does not answer; this is what it last said.";
  }
}

setInterval(refresh, PERIOD_MS);

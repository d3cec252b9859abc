// Colours as the reader wants them; what is new is shown without a reload. A page works without this.
"use strict";

const SCHEMES = ["", "light", "dark"];
const root = document.documentElement;

function showScheme(name) {
  if (name) root.dataset.scheme = name;
  else delete root.dataset.scheme;
}

showScheme(localStorage.getItem("scheme") || "");

document.getElementById("scheme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.scheme || (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  const name = next === (dark ? "dark" : "light") ? "" : next;
  localStorage.setItem("scheme", SCHEMES.includes(name) ? name : "");
  showScheme(name);
  document.dispatchEvent(new Event("scheme"));
});

// A reader who is typing, or who has opened something, is not disturbed.
function isBusy() {
  const at = document.activeElement;
  return at && (at.matches("input, select, textarea") || document.querySelector("details[open]")) || getSelection().toString();
}

async function showNewest() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.redirected) return location.reload();
  if (!answer.ok && answer.status !== 503) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("content");
  const content = document.getElementById("content");
  if (!fresh || isBusy()) return;
  const places = [...content.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const at = [...content.querySelectorAll("a, button, .scroll")].indexOf(document.activeElement);
  content.replaceChildren(...fresh.childNodes);
  content.querySelectorAll(".scroll").forEach((box, k) => { box.scrollLeft = places[k] || 0; });
  if (at >= 0) [...content.querySelectorAll("a, button, .scroll")][at]?.focus({ preventScroll: true });
}

if (document.body.dataset.live && !document.querySelector("[data-still]")) {
  const events = new EventSource(document.body.dataset.live);
  events.addEventListener("changed", () => showNewest().catch(() => {}));
  addEventListener("pagehide", () => events.close());
}

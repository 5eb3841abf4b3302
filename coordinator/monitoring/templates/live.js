
"use strict";
// Asks for the report every second, and puts in place what has changed.
const page = document.getElementById("page");
const told = document.getElementById("told");
let shown = "";

function show(text) {
  const drawn = new DOMParser().parseFromString(text, "text/html");
  const open = [...page.querySelectorAll("details")].map((each) => each.open);
  document.title = drawn.title;
  document.getElementById("style").textContent = drawn.querySelector("style").textContent;
  page.replaceChildren(...drawn.body.childNodes);
  page.querySelectorAll("details").forEach((each, index) => { each.open = Boolean(open[index]); });
}

async function look() {
  try {
    const answer = await fetch("/report", { cache: "no-cache" });
    const tag = answer.headers.get("ETag");
    if (answer.status === 200 && tag !== shown) {
      show(await answer.text());
      shown = tag;
      told.textContent = "Live: redrawn as the training goes, last at " + new Date().toLocaleTimeString() + ".";
    }
    told.className = "";
  } catch (error) {
    told.className = "over";
    told.textContent = "The training is over, or its coordinator is gone: no more is drawn. The last page is in " + told.dataset.kept;
  }
  setTimeout(look, 1000);
}
look();

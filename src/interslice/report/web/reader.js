"use strict";
const $ = (id) => document.getElementById(id);
const { study, kind, images } = JSON.parse($("record").textContent);
const place = (name) => `interslice-reader/${study}/${name}`;
const current = `interslice-reader/${study}`; // who is reading now, so that a reload goes on
let reader = null, answers = [], shown = 0, interrupted = false;

// A browser may refuse to keep anything for a file: the study still runs, and says so.
const memory = new Map();
function kept(name) {
  try { return localStorage.getItem(name); } catch { return memory.get(name) ?? null; }
}
function keep(name, value) {
  memory.set(name, value);
  try { value === null ? localStorage.removeItem(name) : localStorage.setItem(name, value); } catch { $("warning").hidden = false; }
}

function only(id) {
  for (const one of ["start", "trial", "end"]) $(one).hidden = one !== id;
}
function draw({ height, width, ratio, pixels }) {
  const canvas = $("image"), bytes = Uint8Array.from(atob(pixels), (character) => character.charCodeAt(0));
  [canvas.width, canvas.height] = [width, height];
  // As large as the window allows, in the shape of the slice in mm.
  canvas.style.aspectRatio = ratio;
  canvas.style.width = `min(100%, ${ratio} * (100vh - 12rem))`;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  bytes.forEach((grey, i) => image.data.set([grey, grey, grey, 255], 4 * i));
  context.putImageData(image, 0, 0);
}
function show() {
  if (answers.length === images.length) {
    only("end");
    $("done").textContent = `${reader}, you judged all ${images.length} images.`;
    $("save").focus();
    return;
  }
  only("trial");
  draw(images[answers.length]);
  $("progress").textContent = `Image ${answers.length + 1} of ${images.length}`;
  $("bar").value = answers.length;
  shown = performance.now();
  interrupted = document.hidden;
}
function answer(synthetic) {
  if ($("trial").hidden) return;
  const seconds = Math.round(performance.now() - shown) / 1000;
  answers.push({ item: answers.length, synthetic, seconds, interrupted });
  keep(place(reader), JSON.stringify(answers));
  document.activeElement.blur(); // the next answer is as far away as this one
  show();
}
function begin(name, reloaded = false) {
  reader = name;
  answers = JSON.parse(kept(place(reader)) ?? "[]");
  const again = reloaded || answers.length > 0;
  keep(current, reader);
  show();
  interrupted ||= again; // the image on show may have been seen before
}
function save() {
  const text = JSON.stringify({ kind, study, reader, answers }, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `answers-${study}-${reader.replace(/[^A-Za-z0-9]+/g, "_")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("reader").value.trim()) begin($("reader").value.trim());
});
$("real").addEventListener("click", () => answer(false));
$("synthetic").addEventListener("click", () => answer(true));
$("save").addEventListener("click", save);
$("next").addEventListener("click", () => {
  keep(current, null);
  $("reader").value = "";
  only("start");
  $("reader").focus();
});
addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || $("trial").hidden) return;
  const said = { r: false, s: true }[event.key.toLowerCase()];
  if (said !== undefined) answer(said);
});
document.addEventListener("visibilitychange", () => { interrupted ||= document.hidden; });
kept(current) ? begin(kept(current), true) : only("start");

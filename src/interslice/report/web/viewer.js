(() => {
  const $ = (name) => document.getElementById(`viewer-${name}`);
  const records = JSON.parse($("records").textContent);
  const viewer = document.getElementById("viewer");
  // Control points of matplotlib's inferno, which the figures use for errors.
  const INFERNO = [[0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51], [249, 140, 10], [249, 201, 50],
    [252, 255, 164]];
  const COLOURS = Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (INFERNO.length - 1), low = Math.min(Math.floor(at), INFERNO.length - 2);
    return INFERNO[low].map((v, c) => Math.round(v + (at - low) * (INFERNO[low + 1][c] - v)));
  });
  let record, place = {}, drawing = 0;
  const decoded = new Map(); // label to a promise of the voxels: [slice][row][column], one byte each

  function voxels(label) {
    if (!decoded.has(label)) decoded.set(label, decode(record, record.stacks.find((stack) => stack.label === label)));
    return decoded.get(label);
  }
  async function decode({ slices, height, width, columns }, stack) {
    const image = new Image();
    image.src = stack.source;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const out = new Uint8Array(slices * height * width);
    for (let s = 0; s < slices; s++) {
      const tile = context.getImageData((s % columns) * width, Math.floor(s / columns) * height, width, height).data;
      for (let i = 0; i < height * width; i++) out[s * height * width + i] = tile[4 * i];
    }
    return out;
  }
  // One plane as [height, width, bytes]; through-plane views have the last slice, the superior one, on top.
  function plane(data, through, index) {
    const { slices, height, width } = record;
    if (!through) return [height, width, data.subarray(index * height * width, (index + 1) * height * width)];
    const out = new Uint8Array(slices * width);
    for (let s = 0; s < slices; s++)
      out.set(data.subarray((s * height + index) * width, (s * height + index + 1) * width), (slices - 1 - s) * width);
    return [slices, width, out];
  }
  // A picture that is there already is drawn over, so that it keeps the focus and the finger that drags on it.
  function paint(name, caption, through, [height, width, bytes], reference, edge) {
    let figure = $("pictures").querySelector(`[data-name="${name}"]`)?.parentElement;
    if (!figure) {
      figure = document.createElement("figure");
      figure.append(document.createElement("canvas"), document.createElement("figcaption"));
      figure.firstChild.dataset.name = name;
      figure.firstChild.tabIndex = 0;
      figure.firstChild.setAttribute("role", "img");
    }
    const [canvas, text] = figure.children, [sliceMm, rowMm, columnMm] = record.spacing;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    canvas.style.aspectRatio = `${width * columnMm} / ${height * (through ? sliceMm : rowMm)}`;
    canvas.setAttribute("aria-label", `${caption}, ${$("place").textContent}`);
    text.textContent = caption;
    const context = canvas.getContext("2d"), image = context.createImageData(width, height), scale = 1 / record.error_max;
    for (let i = 0; i < bytes.length; i++) {
      const colour = reference && COLOURS[Math.min(255, Math.round(Math.abs(bytes[i] - reference[i]) * scale))];
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = colour ? colour[c] : bytes[i];
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    if (edge !== undefined) {
      context.fillStyle = "#ffd400";
      context.fillRect(Math.min(edge, width - 1), 0, 1, height);
    }
    return figure;
  }
  // The left method left of the edge, the right one right of it.
  function wiped([height, width, left], [, , right], edge) {
    const out = right.slice();
    for (let row = 0; row < height; row++) out.set(left.subarray(row * width, row * width + edge), row * width);
    return [height, width, out];
  }
  async function draw() {
    const mine = ++drawing, through = $("plane").value === "through", wipe = $("mode").value === "wipe";
    const [left, right] = [$("left").value, $("right").value], index = Number($("slice").value);
    const [a, b, r] = (await Promise.all([left, right, "Reference"].map(voxels))).map((data) => plane(data, through, index));
    if (mine !== drawing) return; // a later change is being drawn already
    describe(through, index);
    const errors = $("errors").checked, figures = [];
    if (wipe) {
      const edge = Math.round((Number($("wipe").value) / 100) * a[1]), one = wiped(a, b, edge);
      figures.push(paint("wipe", `${left} | ${right}`, through, one, null, edge));
      if (errors) figures.push(paint("wipe-error", `${left} | ${right}: difference`, through, one, r[2], edge));
    } else {
      figures.push(paint("left", left, through, a), paint("right", right, through, b));
      if (errors) figures.push(paint("left-error", `${left}: difference`, through, a, r[2]), paint("right-error", `${right}: difference`, through, b, r[2]));
      figures.push(paint("reference", "Reference", through, r));
    }
    $("pictures").className = wipe ? (errors ? "two" : "one") : "three";
    if (figures.some((figure, i) => figure !== $("pictures").children[i]) || figures.length !== $("pictures").children.length)
      $("pictures").replaceChildren(...figures);
    $("wipe-label").hidden = !wipe;
    $("scale").hidden = !errors;
  }
  function describe(through, index) {
    const number = record.first + index, kept = number % record.factor === 0;
    $("place").textContent = through
      ? `Through-plane view ${index + 1} of ${record.height}`
      : `Slice ${number}, ${kept ? "kept: in the input" : "synthesised"}; shown are ${record.first} to ${record.first + record.slices - 1} of 0 to ${record.of - 1}`;
  }
  function span() {
    const slider = $("slice"), through = $("plane").value === "through";
    const count = through ? record.height : record.slices;
    slider.max = count - 1;
    // The middle of the object, or of the middle gap: a synthesised slice.
    slider.value = place[through] ?? (through ? count >> 1 : Math.floor(((count - 1) / record.factor) / 2) * record.factor + (record.factor >> 1));
  }
  function open() {
    record = records[$("data").value];
    decoded.clear();
    place = {};
    const labels = record.stacks.map((stack) => stack.label);
    ["left", "right"].forEach((side, i) => {
      const select = $(side), wanted = labels.includes(select.value) ? select.value : record.opened[i];
      select.replaceChildren(...labels.map((label) => new Option(label, label, false, label === wanted)));
    });
    $("scale-text").textContent = `Absolute difference from 0 to ${record.error_max} of the intensity range or more; one scale for every method of ${record.title}`;
    $("note").textContent = `Subject ${record.subject}. ${record.slices} of ${record.of} slices, about the middle, as 8-bit lossy pictures (WebP: error at most `
      + `${record.packing_max}, rms ${record.packing_rms} of the intensity range); the scores are of the full-precision volumes.`;
    span();
    draw();
  }
  function move(element, by) {
    element.value = Number(element.value) + by;
    element.dispatchEvent(new Event("input"));
  }
  records.forEach((one, i) => $("data").append(new Option(one.title, i)));
  $("data").addEventListener("change", open);
  $("plane").addEventListener("change", () => { span(); draw(); });
  for (const name of ["left", "right", "mode", "errors"]) $(name).addEventListener("change", draw);
  $("slice").addEventListener("input", () => { place[$("plane").value === "through"] = Number($("slice").value); draw(); });
  $("wipe").addEventListener("input", draw);
  $("pictures").addEventListener("keydown", (event) => {
    const wipe = $("mode").value === "wipe";
    const [name, by] = { ArrowUp: ["slice", 1], ArrowDown: ["slice", -1], PageUp: ["slice", record.factor], PageDown: ["slice", -record.factor],
      ArrowLeft: wipe ? ["wipe", -2] : ["slice", -1], ArrowRight: wipe ? ["wipe", 2] : ["slice", 1] }[event.key] ?? [];
    if (!name) return;
    event.preventDefault();
    move($(name), by);
  });
  // Dragging on a wiped picture moves the edge.
  $("pictures").addEventListener("pointermove", (event) => {
    if (event.buttons !== 1 || $("mode").value !== "wipe" || event.target.tagName !== "CANVAS") return;
    const box = event.target.getBoundingClientRect();
    $("wipe").value = Math.round((100 * (event.clientX - box.left)) / box.width);
    draw();
  });
  const bar = $("bar").getContext("2d"), ramp = bar.createImageData(256, 1);
  COLOURS.forEach((colour, i) => ramp.data.set([...colour, 255], 4 * i));
  bar.putImageData(ramp, 0, 0);
  viewer.hidden = false;
  open();
})();

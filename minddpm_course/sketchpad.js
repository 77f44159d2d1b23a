// A pad of 28 x 28 pixels to draw on by mouse, finger or keyboard: plain DOM, and a widget around it.

const SIDE = 28;
const PEN = 1.5; // pixels from the middle of a stroke to where it ends; it fades over the last one
const MARKER = 2; // the same for a marker, which does not fade
const MARK = [230, 159, 0]; // COLOURS["posterior"] in figures.py
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP =
  " with mouse or finger. By keyboard: arrow keys move, Space puts the pen down and lifts it," +
  " Delete clears, Ctrl+Z undoes.";
// Two colours for the cursor: one of them is seen on black, on white and on a mark.
const STYLE = `
.sketchpad { box-sizing: border-box; width: 290px; max-width: 100%; padding: 4px; }
.sketchpad { color: var(--jp-content-font-color1, inherit); }
.sketchpad .board { position: relative; border: 1px solid #767676; margin: 4px 0; }
.sketchpad canvas { display: block; width: 100%; image-rendering: pixelated; cursor: crosshair; }
.sketchpad canvas { touch-action: none; user-select: none; -webkit-user-select: none; }
.sketchpad canvas:focus-visible { outline: 3px solid currentColor; outline-offset: 3px; }
.sketchpad .cursor { position: absolute; pointer-events: none; box-sizing: border-box; }
.sketchpad .cursor { border: 2px solid #56B4E9; outline: 1px solid #000; }
.sketchpad .cursor.down { background: #56B4E9; }
.sketchpad button { font: inherit; min-width: 6em; min-height: 2em; }
.sketchpad [role="status"] { min-height: 1.4em; }
`;

// How far a point is from the line between two others.
function distance([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const along = length ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / length)) : 0;
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}

function part(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// A pad in `element`. `ink` holds 784 bytes; where `picture` is given, another 784, the ink marks
// what is under it. onChange(ink) is called at the end of each stroke.
// Returns a function that sets the ink.
export function sketchpad(element, { ink, picture, label, onChange }) {
  const canvas = part("canvas", { width: SIDE, height: SIDE, tabIndex: 0 });
  const cursor = part("div", { className: "cursor", hidden: true });
  const said = part("div");
  const clear = part("button", { type: "button", textContent: "Clear" });
  const undo = part("button", { type: "button", textContent: "Undo" });
  const help = part("small", { textContent: (picture ? "Mark" : "Draw") + HELP });
  help.id = `sketchpad-${Math.random().toString(36).slice(2)}`;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", label || "pad to draw on");
  canvas.setAttribute("aria-describedby", help.id);
  said.setAttribute("role", "status");
  const frame = part(
    "div",
    { className: "sketchpad" },
    part("style", { textContent: STYLE }),
    part("div", { textContent: label }),
    part("div", { className: "board" }, canvas, cursor),
    part("div", {}, clear, " ", undo),
    said,
    help,
  );
  frame.dataset.lmSuppressShortcuts = "true"; // JupyterLab keeps its own keys to itself here
  element.append(frame);

  const context = canvas.getContext("2d");
  const before = []; // the ink before each stroke
  let settled = ink.slice(); // the ink that the page's owner knows
  let hand = null; // what draws the stroke: the number of a pointer, or "keys"
  let last = null; // the end of the stroke that is being drawn
  let place = [14, 14]; // of the keyboard's cursor

  function redraw() {
    const image = context.createImageData(SIDE, SIDE);
    for (let i = 0; i < SIDE * SIDE; i++) {
      const grey = picture ? picture[i] : ink[i];
      const colour = picture && ink[i] ? MARK.map((c) => 0.7 * c + 0.3 * grey) : [grey, grey, grey];
      image.data.set([...colour, 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
  }

  function strokeTo(point) {
    for (let i = 0; i < SIDE * SIDE; i++) {
      const away = distance([(i % SIDE) + 0.5, Math.floor(i / SIDE) + 0.5], last ?? point, point);
      const share = picture ? Number(away <= MARKER) : Math.min(1, Math.max(0, PEN - away));
      ink[i] = Math.max(ink[i], Math.round(255 * share));
    }
    last = point;
    redraw();
  }

  function begin(whose, point) {
    end(); // what another hand draws
    before.push(ink.slice());
    hand = whose;
    strokeTo(point);
  }

  function settle() {
    hand = last = null;
    settled = ink.slice();
    onChange(ink.slice());
  }

  function end() {
    if (hand !== null) settle();
  }

  function replace(next, words) {
    ink = next;
    redraw();
    settle();
    cursor.classList.remove("down");
    said.textContent = words;
  }

  function clearAll() {
    before.push(ink.slice());
    replace(new Uint8Array(SIDE * SIDE), "cleared");
  }

  function undoOne() {
    if (before.length) replace(before.pop(), "undone");
    else said.textContent = "nothing to undo";
  }

  function showCursor() {
    const [left, top, side] = [...place, 1].map((at) => `${(100 * at) / SIDE}%`);
    Object.assign(cursor.style, { left, top, width: side, height: side });
    cursor.classList.toggle("down", hand === "keys");
    cursor.hidden = false;
    const pen = hand === "keys" ? "down" : "up";
    said.textContent = `column ${place[0] + 1}, row ${place[1] + 1}, pen ${pen}`;
  }

  function pointOf(event) {
    const box = canvas.getBoundingClientRect();
    const scale = (at, start, size) => ((at - start) / size) * SIDE;
    return [scale(event.clientX, box.left, box.width), scale(event.clientY, box.top, box.height)];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return; // another button, or a second finger
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    begin(event.pointerId, pointOf(event));
    cursor.hidden = true;
    said.textContent = "";
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== hand) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) strokeTo(pointOf(move));
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => event.pointerId === hand && end());
  }
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) showCursor(); // it came by keyboard
  });
  canvas.addEventListener("blur", () => {
    end();
    cursor.hidden = true;
  });
  canvas.addEventListener("keydown", (event) => {
    const control = event.ctrlKey || event.metaKey;
    const middle = () => place.map((at) => at + 0.5);
    if (control && event.key.toLowerCase() === "z") undoOne();
    else if (control || event.altKey) return;
    else if (event.key === "Delete" || event.key === "Backspace") clearAll();
    else if (event.key in STEPS) {
      const move = STEPS[event.key];
      place = place.map((at, axis) => Math.min(SIDE - 1, Math.max(0, at + move[axis])));
      if (hand === "keys") strokeTo(middle());
      showCursor();
    } else if (event.key === " " || event.key === "Enter") {
      if (hand === "keys" && !event.repeat) end();
      else if (!event.repeat) begin("keys", middle());
      showCursor();
    } else return;
    event.preventDefault();
  });
  clear.addEventListener("click", clearAll);
  undo.addEventListener("click", undoOne);
  redraw();
  return (next) => {
    if (next.every((value, i) => value === settled[i])) return; // what onChange has told comes back
    ink = next;
    settled = ink.slice();
    hand = last = null;
    before.length = 0;
    redraw();
  };
}

const bytesOf = (view) => new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

function render({ model, el }) {
  const picture = model.get("picture");
  const setInk = sketchpad(el, {
    ink: bytesOf(model.get("value")),
    picture: picture && bytesOf(picture),
    label: model.get("description"),
    onChange(ink) {
      model.set("value", new DataView(ink.buffer));
      model.save_changes();
    },
  });
  const follow = () => setInk(bytesOf(model.get("value")));
  model.on("change:value", follow);
  return () => model.off("change:value", follow);
}

export default { render };

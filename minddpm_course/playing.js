// Makes the picture of the <figure> in which it stands follow controls; `play` in widgets.py writes
// both. Frames are kept by the controls' places: "3,0" is the fourth value of the first control and
// the first of the second. With a kernel (playing_kernel.js) it asks for the frames that it lacks;
// without one it offers the values for which it was given frames.
(() => {
  const REST = 150; // milliseconds without a move after which the kernel is told where it ended
  const KEPT = 400; // frames, of about 70 kB each
  const STYLE = `
.playing { border: 0; margin: 0 0 4px; padding: 0; min-width: 0; max-width: 100%; font: inherit; }
.playing .playing-row { display: flex; gap: 0.5em; align-items: center; min-height: 32px; }
.playing .playing-row > :last-child:not(label) { margin-left: auto; }
.playing input, .playing select { font: inherit; box-sizing: border-box; }
.playing input[type="range"] { display: block; width: 100%; height: 24px; margin: 0; }
.playing input[type="number"] { width: 6em; text-align: right; appearance: textfield; }
.playing input::-webkit-inner-spin-button { appearance: none; margin: 0; }
.playing select, .playing input[type="checkbox"] { min-width: 24px; min-height: 24px; }
.playing [role="status"] { min-height: 1.4em; }
figure > [role="alert"] { white-space: pre-wrap; }
`;
  const STEPS = { ArrowUp: 1, ArrowDown: -1 };
  const figure = document.currentScript.closest("figure");
  const data = figure.querySelector("script[type='application/json']").textContent;
  const { controls, start, frames, width } = JSON.parse(data);
  const [picture, caption, hint] = ["img", "figcaption", "small"].map((tag) =>
    figure.querySelector(tag),
  );
  const words = caption.firstChild; // and then the hint
  const alert = part("pre", { hidden: true });
  const sign = part("div");
  const panel = part("fieldset", { className: "playing", hidden: true });
  const kept = new Map(); // frames by places
  const at = [...start]; // the controls' places
  let kernel = null;
  let asked = null; // places that the kernel has been asked for
  let age = 0; // how often all frames have become old
  let resting = null;
  let slow = null;
  let touched = false; // by hand, before the kernel could say where the controls are
  let shows = []; // how each control shows a place

  function part(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function row(...children) {
    return part("div", { className: "playing-row" }, ...children);
  }

  // A control: its elements, and how it shows a place. Of a slider, `stops` are the places it has.
  const make = {
    slider({ name, labels, stops: round }, stops, moveTo) {
      const numbers = labels.map(Number);
      const isNumber = numbers.every(Number.isFinite);
      const range = part("input", { type: "range", min: 0, max: stops.length - 1, id: newId() });
      const label = part("label", { textContent: name, htmlFor: range.id });
      const readout = isNumber
        ? part("input", { type: "number", step: "any", ariaLabel: `${name}, as a number` })
        : part("output", { htmlFor: range.id });
      let held = false; // by a pointer, which moves over fewer values than keys do
      range.onpointerdown = () => (held = true);
      range.onpointerup = range.onpointercancel = () => (held = false);
      range.oninput = () => {
        const place = stops[range.valueAsNumber];
        moveTo(held && kernel ? nearest(round, labels.map((_, k) => k), place) : place);
      };
      readout.onchange = () => {
        const wanted = readout.valueAsNumber;
        moveTo(isNaN(wanted) ? stops[range.valueAsNumber] : nearest(stops, numbers, wanted));
      };
      readout.onkeydown = (event) => {
        if (event.key === "Enter") readout.onchange();
        if (!(event.key in STEPS)) return;
        event.preventDefault();
        const next = range.valueAsNumber + STEPS[event.key];
        if (next in stops) moveTo(stops[next]);
      };
      const show = (place) => {
        range.value = nearest(stops.map((_, k) => k), stops, place);
        range.setAttribute("aria-valuetext", labels[place]);
        readout.value = labels[place];
      };
      return [[row(label, readout), range], show];
    },
    choice({ name, labels }, stops, moveTo) {
      const select = part("select", { id: newId() });
      for (const place of stops) select.append(new Option(labels[place], place));
      select.onchange = () => moveTo(Number(select.value));
      const label = part("label", { textContent: name, htmlFor: select.id });
      return [[row(label, select)], (place) => (select.value = place)];
    },
    tick({ name }, stops, moveTo) {
      const box = part("input", { type: "checkbox", id: newId(), disabled: stops.length < 2 });
      box.onchange = () => moveTo(Number(box.checked));
      const label = part("label", { textContent: name, htmlFor: box.id });
      return [[row(box, label)], (place) => (box.checked = place === 1)];
    },
    // one that is drawn by its own widget
    widget({ model }) {
      const element = part("div");
      if (kernel) kernel.draw(model, element);
      return [[element], () => {}];
    },
  };

  function newId() {
    return `playing-${Math.random().toString(36).slice(2)}`;
  }

  // Which of the places has the number that is nearest.
  function nearest(places, numbers, wanted) {
    const away = (place) => Math.abs(numbers[place] - wanted);
    return places.reduce((best, place) => (away(place) < away(best) ? place : best));
  }

  function build() {
    const known = [...kept.keys()].map((key) => key.split(",").map(Number));
    panel.replaceChildren(part("style", { textContent: STYLE }));
    shows = controls.map((control, index) => {
      const all = (control.labels ?? [0]).map((_, place) => place);
      const stops = kernel ? all : all.filter((place) => known.some((one) => one[index] === place));
      const [elements, show] = make[control.kind](control, stops, (place) => move(index, place));
      panel.append(...elements);
      return show;
    });
    for (const control of panel.querySelectorAll("input, select")) {
      control.dataset.lmSuppressShortcuts = "true"; // JupyterLab's, on the same keys
    }
    panel.append(sign);
    panel.hidden = !kernel && kept.size < 2;
    if (panel.hidden) caption.append(hint);
    else hint.remove();
  }

  function move(index, place) {
    touched = true;
    at[index] = place;
    follow();
    clearTimeout(resting);
    resting = setTimeout(() => kernel?.tell({ rest: [...at] }), REST);
  }

  // Show the frame of this moment, or ask for it: for one at a time, so that of the moves that come
  // while it is drawn the latest counts.
  function follow() {
    shows.forEach((show, index) => show(at[index]));
    const frame = kept.get(at.join());
    if (frame) display(frame, at.join());
    else if (kernel && asked === null) {
      asked = at.join();
      kernel.tell({ draw: [...at] });
    }
    work(!frame && kernel !== null);
  }

  function display(frame, key) {
    alert.hidden = !frame.error;
    picture.hidden = caption.hidden = Boolean(frame.error);
    figure.dataset.at = key;
    if (frame.error) {
      alert.setAttribute("role", "alert");
      alert.textContent = frame.error;
    } else {
      picture.src = frame.image.src;
      picture.alt = frame.caption;
      words.data = `${frame.caption} `;
    }
  }

  // Say that a frame is being drawn, after a moment: nothing flickers where drawing is fast.
  function work(is) {
    if (!is) {
      clearTimeout(slow);
      slow = null;
      sign.textContent = "";
    } else slow ??= setTimeout(() => (sign.textContent = "drawing …"), 300);
  }

  function keep(key, image, caption) {
    kept.set(key, { image, caption });
    if (kept.size > KEPT) forget(kept.keys().next().value);
  }

  function forget(key) {
    const { src } = kept.get(key).image;
    if (src !== picture.src) URL.revokeObjectURL(src);
    kept.delete(key);
  }

  // What the kernel has to say: a frame, that all frames are old, or where the controls are now.
  async function hear({ frame, old, go, first }, buffers) {
    if (old) {
      for (const key of kept.keys()) forget(key);
      asked = null;
      age++;
    }
    if (go && !(first && touched)) at.splice(0, at.length, ...go);
    if (frame) {
      const [key, now] = [frame.at.join(), age];
      if (!frame.error) {
        const src = URL.createObjectURL(new Blob(buffers, { type: "image/webp" }));
        const image = Object.assign(new Image(), { src });
        await image.decode();
        if (now !== age) return; // it is old by now
        keep(key, image, frame.caption);
      }
      if (key === asked) {
        asked = null;
        work(false);
        if (!kept.has(at.join())) display(kept.get(key) ?? frame, key); // on the way to it
      }
      if (frame.error && key === at.join()) return work(false);
    }
    follow();
  }

  // Where the figure comes into view, the kernel may draw ahead.
  const watch = new IntersectionObserver(([{ isIntersecting }]) => {
    if (isIntersecting) kernel?.tell({ rest: [...at] });
  });

  // Called by playing_kernel.js with what talks to the kernel, and with null when it has gone.
  function connect(to) {
    kernel = to;
    asked = null;
    panel.disabled = !to;
    if (to) {
      build();
      watch.observe(panel);
      to.tell({ here: true });
    } else {
      watch.disconnect();
      caption.append(hint);
    }
    follow();
  }

  sign.setAttribute("role", "status");
  panel.style.width = `${width}px`;
  panel.setAttribute("aria-label", "controls of the picture");
  keep(start.join(), Object.assign(new Image(), { src: picture.src }), picture.alt);
  for (const { at, src, caption } of frames) {
    keep(at.join(), Object.assign(new Image(), { src }), caption);
  }
  figure.prepend(panel, alert);
  build();
  follow();
  figure.player = { connect, hear };
  figure.dispatchEvent(new CustomEvent("minddpm:play", { bubbles: true }));
})();

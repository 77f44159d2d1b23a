// Makes a player of the <figure> in which it stands: the picture, play or pause, again, and a slider.
// Without it, the figure shows its still picture. `show_moving` in moving.py writes both.
(() => {
  const SECONDS = 4; // of one pass: what moves by itself for longer than 5 must be stoppable
  const figure = document.currentScript.closest("figure");
  const data = figure.querySelector("script[type='application/json']").textContent;
  const { frames, labels, width, pixelated } = JSON.parse(data);
  const last = frames.length - 1;
  const loaded = frames.map((src) => Object.assign(new Image(), { src })); // kept, so none flickers
  const picture = figure.querySelector("img");
  const controls = document.createElement("div");
  let timer = null;

  function add(tag, properties) {
    const element = Object.assign(document.createElement(tag), properties);
    element.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's, on the same keys
    return controls.appendChild(element);
  }

  function show(frame) {
    picture.src = loaded[frame].src;
    slider.value = frame;
    slider.setAttribute("aria-valuetext", labels[frame]);
    label.textContent = labels[frame];
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }

  function advance() {
    if (slider.valueAsNumber < last) show(slider.valueAsNumber + 1);
    if (slider.valueAsNumber === last) pause();
  }

  function play() {
    pause();
    if (slider.valueAsNumber === last) show(0);
    timer = setInterval(advance, (1000 * SECONDS) / last);
    button.textContent = "Pause";
  }

  function again() {
    show(0);
    play();
  }

  const style = "min-width: 6em; font: inherit";
  const button = add("button", { type: "button", onclick: () => (timer ? pause() : play()), style });
  add("button", { type: "button", onclick: again, style, textContent: "Again" });
  const slider = add("input", { type: "range", min: 0, max: last, style: "flex: 1; min-width: 6em" });
  slider.setAttribute("aria-label", "frame");
  slider.oninput = () => {
    pause();
    show(slider.valueAsNumber);
  };
  const label = add("span", { style: "min-width: 5em" });
  label.setAttribute("aria-hidden", "true"); // the slider says it
  controls.setAttribute("role", "group");
  controls.setAttribute("aria-label", "moving picture");
  controls.style = "display: flex; gap: 0.5em; align-items: center";
  controls.style.width = `min(100%, max(${width}px, 30em))`;

  picture.width = width;
  picture.style.imageRendering = pixelated ? "pixelated" : "auto";
  picture.after(controls);
  figure.querySelector("small").remove();
  pause();
  show(last);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
    const watch = new IntersectionObserver(([seen]) => {
      if (!seen.isIntersecting) return;
      watch.disconnect();
      again();
    });
    watch.observe(controls); // once all of the picture above them has been seen
  }
})();

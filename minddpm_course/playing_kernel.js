// Connects the figures of a `play` call (playing.js) to the kernel that drew them. The widget has no
// view of its own: what a notebook stores is the figure, which needs no kernel.

// The colours of formulas are made for a white page: JupyterLab's dark theme needs brighter ones.
const BRIGHTER = `
[data-jp-theme-light="false"] .jp-Notebook mjx-mstyle[style*="color"] { filter: brightness(1.6); }
`;
const FORMULAS = "minddpm-formulas";

export default {
  initialize({ model }) {
    const players = new Set();
    const manager = model.widget_manager;

    async function draw(id, element) {
      const view = await manager.create_view(await manager.get_model(id));
      element.replaceChildren(view.el);
      view.trigger("displayed");
    }

    function join(figure) {
      if (figure.dataset.play !== model.get("figure") || !figure.player) return;
      players.add(figure.player);
      figure.player.connect({ tell: (content) => model.send(content), draw });
    }

    if (!document.getElementById(FORMULAS)) {
      const style = Object.assign(document.createElement("style"), { id: FORMULAS });
      style.textContent = BRIGHTER;
      document.head.append(style);
    }
    const joinLater = (event) => join(event.target);
    document.querySelectorAll("figure[data-play]").forEach(join);
    document.addEventListener("minddpm:play", joinLater);
    model.on("msg:custom", (content, buffers) => {
      players.forEach((player) => player.hear(content, buffers));
    });
    const leave = () => {
      document.removeEventListener("minddpm:play", joinLater);
      players.forEach((player) => player.connect(null));
      players.clear();
    };
    model.on("comm_live_update", leave); // the kernel was restarted or has ended
    return leave;
  },
};

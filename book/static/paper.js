// Paper is white: what is printed is light, whatever the screen is.
const { dataset } = document.documentElement;
let onScreen;

addEventListener("beforeprint", () => {
  onScreen = dataset.theme;
  dataset.theme = "light";
});
addEventListener("afterprint", () => (dataset.theme = onScreen));

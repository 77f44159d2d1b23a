// Predictions: a click on an option shows the reply to it. `tools/build_book.py` writes the rest.
for (const prediction of document.querySelectorAll(".prediction")) {
  const { right, replies } = JSON.parse(prediction.querySelector("script").textContent);
  const options = prediction.querySelectorAll("button");
  for (const option of options) {
    option.onclick = () => {
      for (const one of options) one.setAttribute("aria-pressed", one === option);
      prediction.dataset.answer = option.value === right ? "right" : "wrong";
      prediction.querySelector(".reply").textContent = `${option.value}: ${replies[option.value]}`;
    };
  }
}

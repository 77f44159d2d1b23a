// What the search page shows of a page that it has found: each formula once, though a page holds it
// for the eye, for screen readers and as its source.
addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const asText = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const again of page.querySelectorAll(".katex-html, annotation")) again.remove();
    return asText(page.documentElement.outerHTML, anchor);
  };
});

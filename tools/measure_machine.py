"""Measure how long the digit machine takes to open and to draw, in Chromium without a network.

    taskset -c 0 python tools/measure_machine.py _book/machine/index.html

taskset keeps all of Chromium on one core. Printed are medians over pages that are opened afresh:
the seconds until a page is ready, until its first digit is drawn in 20 steps, and another one.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

from lab import chromium

PAGES = 7
STEPS = 20
DIGITS = 2  # drawn in each page
# presses the button, and waits in the page until the status says that the digit is done
DRAW = """() => new Promise(done => {
    const status = document.getElementById('status');
    const begun = performance.now();
    status.textContent = '';
    const watch = new MutationObserver(() => {
        if (!status.textContent.startsWith('Done: ')) return;
        watch.disconnect();
        done((performance.now() - begun) / 1000);
    });
    watch.observe(status, { childList: true, characterData: true, subtree: true });
    [...document.querySelectorAll('button')].find(one => one.textContent === 'Draw').click();
})"""


def seconds_in_page(browser: Browser, address: str) -> list[float]:
    """Open the machine and draw: until it is ready, and for each digit."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(address)
    page.locator("#status").filter(has_text=re.compile("^Ready")).wait_for()
    seconds = [time.perf_counter() - begun]
    page.locator("[name=steps]").fill(str(STEPS))
    for seed in range(DIGITS):
        page.locator("[name=seed]").fill(str(seed))
        seconds.append(page.evaluate(DRAW))
    context.close()
    return seconds


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("page", type=Path, help="the machine, as `make machine` builds it")
    page = parser.parse_args().page.resolve()
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        rows = [seconds_in_page(browser, page.as_uri()) for _ in range(PAGES)]
    ready, first, other = map(median, zip(*rows))
    print(f"ready {ready:.2f} s, first digit {first:.2f} s, another {other:.2f} s")


if __name__ == "__main__":
    main()

"""Pictures of the page's tabs, for the documentation: docs/explore-<tab>.png.

Run, with Debian's chromium: python -m tests.tools.screenshots [RUN] [--out docs]
"""

import argparse
import io
import time
from pathlib import Path

from PIL import Image

from tests.browser import Browser, click
from tests.page.driving import serving

SIZE = (1440, 1000)  # pixels of the window
COLOURS = 256  # a palette keeps the files small

# Tab → what is in the page once it is drawn whole.
READY = {
    "Box": "document.querySelector('img[alt=scores]')?.naturalWidth > 0",
    "Samples": "document.querySelectorAll('.card img').length > 0",
    "Models": "document.querySelector('img[alt=models]')?.naturalWidth > 0",
    "Training": "document.body.innerText.includes('What training changed')",
    "SQL": "document.querySelectorAll('marimo-text-area ~ *, .wide tbody tr').length > 5",
}


def keep(browser: Browser, file: Path) -> None:
    """Save what is seen, with few colours."""
    time.sleep(0.7)  # until what fades in has
    picture = Image.open(io.BytesIO(browser.seen())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    print(f"{file}: {file.stat().st_size / 1024:.0f} KiB")


def main() -> None:
    """Open the page, go through its tabs, keep a picture of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", default="runs/mini")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    with serving(arguments.run) as served, Browser(*SIZE) as browser:
        browser.go(served.address)
        for tab, ready in READY.items():
            click(browser, "button", tab)
            browser.wait(ready)
            keep(browser, arguments.out / f"explore-{tab.lower()}.png")
            if tab == "Samples":
                click(browser, "button", "Open")
                browser.wait("document.querySelectorAll('tr.answer').length > 0")
                keep(browser, arguments.out / "explore-sample.png")


if __name__ == "__main__":
    main()

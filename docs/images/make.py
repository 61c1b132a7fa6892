"""Make the pictures of docs/reports.md: `python docs/images/make.py`.

Needs Chromium, chromedriver and the extra ``test``. Everything is drawn: the images and masks are those of
`sodbench.demo_data`, the maps are disturbed masks, so the numbers say nothing about any method. The report is one that
``sodbench report`` writes.
"""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from sodbench import ReportOptions, evaluate, load_results, write_report
from sodbench.demo_data import draw
from sodbench.images import write_grey, write_image

HERE = Path(__file__).parent
# the names of the datasets, and as which known dataset they are drawn
DATASETS = {"simple": "ECSSD", "cluttered": "DUT-OMRON"}
# how far a method blurs the mask (pixels), how strong its disturbance is and how large its spots are (pixels)
METHODS = {
    "sharp": (2, 0.24, 24),
    "smooth": (5, 0.24, 40),
    "coarse": (12, 0.22, 50),
    "noisy": (3, 0.4, 12),
}
IMAGES = 60


def disturb(mask: Any, blur: int, strength: float, spot: int, rng: np.random.Generator) -> Any:
    """A saliency map: the mask blurred, with spots of noise."""
    height, width = mask.shape
    grid = rng.normal(0, 255 * strength, (height // spot + 2, width // spot + 2)).astype(np.float32)
    noise = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    soft = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(blur))
    values = np.asarray(soft, float) + np.asarray(noise, float) * rng.uniform(0.3, 1.7)
    return np.clip(values, 0, 255).astype(np.uint8)


def write_results(root: Path) -> None:
    """Draw the datasets, disturb their masks, and store the scores below ``root``/results."""
    for seed, (dataset, drawn_as) in enumerate(DATASETS.items()):
        data = root / "data" / dataset
        for number in range(1, IMAGES + 1):
            image, mask = draw(drawn_as, number)
            write_image(data / "images" / f"{number:04d}.jpg", image)
            write_grey(data / "masks" / f"{number:04d}.png", mask)
            for i, (method, how) in enumerate(METHODS.items()):
                rng = np.random.default_rng([seed, number, i])
                maps = root / "maps" / method / dataset
                write_grey(maps / f"{number:04d}.png", disturb(mask, *how, rng))
        for method in METHODS:
            evaluate(
                root / "maps" / method / dataset,
                data,
                name=method,
                dataset_name=dataset,
                output=root / "results",
            )


def photograph(page: Path) -> list[Image.Image]:
    """Screenshots of the page's beginning and of its image browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1260,1000"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    shots = []
    try:
        driver.get(page.as_uri())
        driver.implicitly_wait(30)
        driver.find_element("css selector", "#view-detail .card")
        for place in ("h1", "#browser"):
            driver.execute_script("document.querySelector(arguments[0]).scrollIntoView()", place)
            # until the thumbnails in sight are there
            driver.set_script_timeout(60)
            driver.execute_async_script("setTimeout(arguments[0], 1500)")
            shots.append(Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB"))
    finally:
        driver.quit()
    return shots


def main() -> None:
    """Write the pictures next to this file."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_results(root)
        report = write_report(
            load_results([root / "results"]),
            root / "report",
            ReportOptions(title="Four methods on two datasets"),
        )
        for name, shot in zip(
            ("report_page", "report_browser"), photograph(report.page), strict=True
        ):
            shot.save(HERE / f"{name}.webp", quality=75, method=6)
        figure = Image.open(root / "report" / "figures" / "pr.png").convert("RGB")
        figure.save(HERE / "report_curves.webp", lossless=True, method=6)
    for file in sorted(HERE.glob("*.webp")):
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

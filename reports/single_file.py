"""The page as one HTML file that can be mailed: styles, scripts, figures, numbers and small images are inside it."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from sodbench.console import track
from sodbench.reports import data_files, gallery, html, plot_style
from sodbench.reports.analysis import Analysis
from sodbench.reports.browser import (
    Browser,
    plan_browser,
    thumbnail_address,
    thumbnail_sources,
)
from sodbench.reports.document import Document
from sodbench.reports.inputs import DEFAULT_MAX_SIZE

MEGABYTE = 1_000_000
# pixels of a thumbnail's longer side, and the quality of its WebP
_SMALL_PIXELS, _QUALITY = 160, 50
_FIGURE_DPI = 130


@dataclass(frozen=True)
class SinglePage:
    """A page in one file.

    Attributes
    ----------
    text : str
        The HTML.
    thumbnails, images : int
        How many images have thumbnails, of how many.
    """

    text: str
    thumbnails: int
    images: int

    @property
    def size(self) -> float:
        """In megabytes."""
        return len(self.text.encode("utf-8")) / MEGABYTE

    def describe(self) -> str:
        """Return what the file holds, for the screen.

        Returns
        -------
        str
        """
        return f"{self.size:.1f} MB, with thumbnails of {self.thumbnails} of {self.images} images"

    def find_excess(self, max_size: float) -> list[str]:
        """Describe how far the file is larger than it may be.

        Parameters
        ----------
        max_size : float
            In megabytes.

        Returns
        -------
        list of str
            One line, or none.
        """
        if self.size <= max_size:
            return []
        line = (
            f"--max-size {max_size:g}: the file has {self.size:.2f} MB without any thumbnail; name fewer --methods, "
            "--datasets, --metrics or --images, or a larger size"
        )
        return [line]


def make_single_page(
    document: Document,
    analysis: Analysis,
    styles: Mapping[str, plot_style.LineStyle],
    max_size: float = DEFAULT_MAX_SIZE,
) -> SinglePage:
    """Make the page of a report as one file.

    Parameters
    ----------
    document : Document
    analysis : Analysis
    styles : mapping of str to LineStyle
        How each method is drawn.
    max_size : float
        Megabytes that the file may have; thumbnails are added, the worst, most disputed and best images first, until it
        is reached.

    Returns
    -------
    SinglePage
        Larger than ``max_size`` only if it is so without any thumbnail.
    """
    browser = plan_browser(analysis, None)
    makers = html.page_files(document, analysis, browser, styles, {})
    figures, spots = {}, {}
    for figure in track(document.figures, "figures", "figure"):
        drawing = figure.draw()
        figures[figure.key] = _figure_address(drawing)
        spots[figure.key] = plot_style.find_spots(drawing)
    numbers = _script_text(data_files.format_json(document, analysis))
    scripts = [_script_text(make()) for name, make in makers.items() if name.startswith("data/")]
    program = makers["assets/report.js"]()

    def render(thumbnails: Mapping[str, str], note: str) -> str:
        addresses = _script_text(f"window.SODBENCH.inline = {html.format_data(thumbnails)};")
        inline = html.Inline(
            css=Markup(makers["assets/report.css"]()),
            json=Markup(numbers),
            scripts=tuple(Markup(text) for text in (*scripts, addresses, program)),
            figures=figures,
        )
        return html.render_page(document, note, spots, inline)

    images = sum(len(dataset.stems) for dataset in browser.datasets)
    room = int(max_size * MEGABYTE) - len(render({}, "").encode("utf-8")) - 200
    thumbnails: dict[str, str] = {}
    images_with_thumbnails = 0
    for one in _thumbnails_in_order(analysis, browser):
        room -= sum(len(name) + len(address) + 6 for name, address in one.items())
        if room < 0:
            break
        thumbnails |= one
        images_with_thumbnails += 1
    note = f"This file has thumbnails of {images_with_thumbnails} of {images} images."
    return SinglePage(render(thumbnails, note), images_with_thumbnails, images)


def _thumbnails_in_order(analysis: Analysis, browser: Browser) -> Iterator[dict[str, str]]:
    """The thumbnails of one image after the other, of all datasets in turn."""
    queues = []
    for dataset in browser.datasets:
        number = len(dataset.stems)
        wanted = gallery.want_some_of_each(number)
        choices = gallery.choose_images(analysis, dataset.name, wanted)
        # a few of each kind first
        stems = [choice.stem for choice in choices]
        third = -(-number // 3)
        turns = [stem for i in range(third) for stem in stems[i::third]]
        sources = thumbnail_sources(dataset, browser.map_folders)
        position = {stem: i for i, stem in enumerate(dataset.stems)}
        queues.append((dataset, list(dict.fromkeys(turns)), sources, position))
    for turn in range(max(len(stems) for _, stems, _, _ in queues)):
        for dataset, stems, sources, position in queues:
            if turn >= len(stems):
                continue
            stem = stems[turn]
            found = {}
            for kind, files in sources.items():
                pixels = stem in files and gallery.load_thumbnail(
                    files[stem], _SMALL_PIXELS, kind == "image"
                )
                if pixels is False or pixels is None:
                    continue
                name = thumbnail_address(dataset, kind, position[stem])
                found[name] = html.image_address(gallery.encode_webp(pixels, _QUALITY))
            if found:
                yield found


def _figure_address(figure: Figure) -> str:
    content = io.BytesIO()
    plot_style.draw_png(figure, content, _FIGURE_DPI)
    with Image.open(content) as image:
        reduced = io.BytesIO()
        image.convert("RGB").save(reduced, format="WEBP", quality=80, method=4)
    return html.image_address(reduced.getvalue())


def _script_text(text: str) -> str:
    """A script of data without the sign that could end it; in JSON and in the data it only occurs in texts."""
    return text.replace("<", "\\u003c")

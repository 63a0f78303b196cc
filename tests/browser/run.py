"""Tests notebooks in a browser: JupyterLab in headless Chromium, used like a user does.

    python run.py NOTEBOOK PICTURES [STATE ..]

Requires the kernel, `jupyterlab`, `playwright` and `pillow` in this Python's environment, Debian's `chromium` and a
Japanese font. Saves screenshots of each state; the states are the functions in `STATES`.
"""

import pathlib
import shutil
import sys
import tempfile
import time

import nbformat
from PIL import Image

from gallery import CELLS, FAILURES, gallery
from lab import DARK, LIGHT, Notebook, browser, find_chromium, notebook, server, wait_until

TRAINING = "for step in trainer.steps"
LAST = "nDCG@10 after loading"
PROBE = "trainer.steps(&triples)?.next().transpose()?.map(|step| step.step)"


def quickstart(book: Notebook) -> None:
    """Runs all cells, watches the chart, interrupts, continues to the end, and restarts."""
    training = book.cell(TRAINING)
    book.menu("Run", "Run All Cells")
    chart = training.locator("img").first
    chart.wait_for(timeout=300_000)
    changes = set()
    wait_until(lambda: changes.add(chart.get_attribute("src")) or len(changes) >= 3, "a chart that changes")
    assert book.is_running(training), "the chart changed only at the end of the cell"
    book.picture("1-training", training)

    start = time.monotonic()
    book.button("interrupt")
    book.finish(training)
    print(f"  interrupted after {time.monotonic() - start:.1f} s, {len(changes)} versions of the chart so far")
    wait_until(lambda: len(book.errors()) == 1, "the error that ends an interrupted cell", 10)
    book.picture("2-interrupted", training)
    probe = book.add_below(training, PROBE)
    book.page.keyboard.press("Control+Enter")
    book.finish(probe)
    step = int(probe.locator(".jp-OutputArea-output").inner_text().strip().removeprefix("Some(").removesuffix(")"))
    assert step > 1, f"training started over: step {step}"
    # Below the training, it would ask for a step after the last one, which is an error.
    book.delete(probe)

    book.select(training)
    book.menu("Run", "Run Selected Cell and All Below")
    last = book.cell(LAST)
    wait_until(lambda: book.is_running(last) or book.errors(), "the last cell to be queued")
    book.finish(last)
    assert not book.errors(), book.errors()
    assert LAST in last.locator(".jp-OutputArea").inner_text()
    print(f"  continued at step {step} to the end")
    for theme, name in [(LIGHT, "light"), (DARK, "dark")]:
        book.theme(theme)
        for place, cell in [("data", "limit(8)"), ("chart", TRAINING), ("bars", "bars("), ("end", LAST)]:
            book.picture(f"3-{place}-{name}", book.cell(cell))
        has_charts_on_white(book, 2)
    book.theme(LIGHT)

    book.button("restart")
    book.page.locator(".jp-Dialog .jp-mod-accept").click()
    book.idle()
    first = book.cell("let data = rustdoc()")
    probe = book.add_below(training, PROBE)
    book.page.keyboard.press("Control+Enter")
    book.finish(probe)
    assert "cannot find value `trainer`" in book.errors()[0]
    book.run(first)
    assert book.prompt(first) == "[2]:", book.prompt(first)
    book.picture("4-restarted", first)


def completion(book: Notebook) -> None:
    """Checks that Tab shows names, and Shift-Tab docs."""
    last = book.page.locator(".jp-Notebook .jp-CodeCell").last
    book.run(book.page.locator(".jp-Notebook .jp-CodeCell").first)
    for code, expected in [("let bm = Bm25::n", "new"), ("frame.lazy().fil", "filter"), ("loss::Mul", "MultipleNegativesRanking")]:
        cell = book.add_below(last, code)
        book.page.keyboard.press("Tab")
        # A single match is inserted immediately.
        popup = book.page.locator(".jp-Completer:visible .jp-Completer-match")
        wait_until(lambda: popup.count() or expected in cell.inner_text(), f"names for {code!r}", 20)
        names = popup.all_inner_texts()
        assert expected in cell.inner_text() or any(name.startswith(expected) for name in names), (code, names)
        book.page.wait_for_timeout(500)
        book.picture(f"5-completion-{expected}")
        book.page.keyboard.press("Escape")
        last = cell
    cell = book.add_below(last, "Bm25::new")
    book.page.keyboard.press("Shift+Tab")
    tooltip = book.page.locator(".jp-Tooltip")
    tooltip.wait_for(timeout=20_000)
    # The box appears before its text.
    wait_until(lambda: "Corpus" in tooltip.inner_text(), "the docs of Bm25::new", 20)
    book.picture("6-docs")
    book.theme(DARK)
    book.select(cell)
    book.page.keyboard.press("Enter")
    book.page.keyboard.press("Shift+Tab")
    tooltip.wait_for(timeout=20_000)
    book.picture("6-docs-dark")
    book.theme(LIGHT)


def japanese(book: Notebook) -> None:
    """Shows Japanese text in tables, charts, progress, output and errors, in both themes."""
    book.menu("Run", "Run All Cells")
    cells = [book.cell(code.splitlines()[0]) for code in CELLS]
    book.finish(*cells)
    assert not book.errors(), book.errors()
    last = cells[-1]
    assert last.locator(".jp-OutputArea-output").inner_text().strip() == "true", "no Japanese font found"
    for code in FAILURES:
        last = book.add_below(last, code)
        book.page.keyboard.press("Control+Enter")
        book.finish(last)
    assert len(book.errors()) == len(FAILURES)
    for theme, name in [(LIGHT, "light"), (DARK, "dark")]:
        book.theme(theme)
        for number, cell in enumerate([*cells, last]):
            book.picture(f"7-japanese-{number}-{name}", cell)
        has_charts_on_white(book, 3)


def has_charts_on_white(book: Notebook, least: int) -> None:
    """Checks that each chart is entirely within its cell, with a white background in every theme."""
    charts = book.page.locator('.jp-OutputArea-output:is([data-mime-type^="image/"]) :is(img, svg)')
    assert charts.count() >= least, charts.count()
    for chart in charts.all():
        chart.scroll_into_view_if_needed()
        box, room = chart.bounding_box(), chart.locator("xpath=ancestor::*[contains(@class, 'jp-OutputArea-output')][1]").bounding_box()
        assert box["width"] >= 200 and box["x"] + box["width"] <= room["x"] + room["width"] + 1, (box, room)
        file = book.pictures / "chart.png"
        chart.screenshot(path=file)
        with Image.open(file) as image:
            grey = image.convert("L")
            white = sum(grey.histogram()[241:]) / (grey.width * grey.height)
            corners = [grey.getpixel((x, y)) for x in (2, grey.width - 3) for y in (2, grey.height - 3)]
        file.unlink()
        assert white > 0.5 and min(corners) > 240, (white, corners)


STATES = {"quickstart": quickstart, "japanese": japanese, "completion": completion}
COMPLETION = 'let frame = df!("a" => [1, 2])?;\nframe.height()'


def main(source: str, pictures: str, *states: str) -> None:
    kept = pathlib.Path(pictures).absolute()
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copy(source, folder / "quickstart.ipynb")
        nbformat.write(gallery(), folder / "japanese.ipynb")
        words = gallery()
        words.cells = [nbformat.v4.new_code_cell(COMPLETION)]
        nbformat.write(words, folder / "completion.ipynb")
        jupyter = str(pathlib.Path(sys.executable).with_name("jupyter"))
        try:
            with server(jupyter, folder) as address, browser(find_chromium()) as chromium:
                for name in states or STATES:
                    start = time.monotonic()
                    with notebook(chromium, address, f"{name}.ipynb", kept) as book:
                        STATES[name](book)
                    print(f"{name}: {time.monotonic() - start:.0f} s")
        finally:
            shutil.copy(folder / "server.log", kept / "server.log")
    print(f"{len(list(kept.glob('*.png')))} screenshots: {kept}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""JupyterLab in a headless browser, and the visible parts of a notebook."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from playwright.sync_api import Browser, Locator, Page, sync_playwright

# Longer than anything here takes, even on a busy machine.
PATIENCE = 300.0
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"


class Notebook:
    """An open notebook, used like a user does: with menus, buttons and keys."""

    def __init__(self, page: Page, pictures: pathlib.Path):
        self.page = page
        self.pictures = pictures

    def cell(self, text: str) -> Locator:
        """The code cell that contains this text."""
        return self.page.locator(".jp-Notebook .jp-CodeCell", has_text=text).first

    def menu(self, *names: str) -> None:
        self.page.get_by_role("menuitem", name=names[0], exact=True).click()
        for name in names[1:]:
            self.page.locator(".lm-Menu-item", has_text=re.compile(f"^{re.escape(name)}")).first.click()

    def button(self, name: str) -> None:
        self.page.locator(f'.jp-NotebookPanel-toolbar [data-jp-item-name="{name}"] jp-button').click()

    def run(self, cell: Locator) -> None:
        """Runs a cell with Ctrl-Enter, and waits until it ends."""
        self.select(cell)
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_timeout(200)
        self.finish(cell)

    def select(self, cell: Locator) -> None:
        cell.locator(".jp-InputPrompt").click()

    def add_below(self, cell: Locator, code: str) -> Locator:
        """Adds a cell below with this code; it has the focus."""
        self.select(cell)
        self.page.keyboard.press("b")
        self.page.keyboard.press("Enter")
        # With single keys, CodeMirror would close brackets and indent.
        self.page.keyboard.insert_text(code)
        return self.page.locator(".jp-Notebook .jp-CodeCell.jp-mod-active")

    def delete(self, cell: Locator) -> None:
        self.select(cell)
        self.page.keyboard.press("d")
        self.page.keyboard.press("d")

    def prompt(self, cell: Locator) -> str:
        return cell.locator(".jp-InputPrompt").inner_text().strip()

    def is_running(self, cell: Locator) -> bool:
        return self.prompt(cell) == "[*]:"

    def finish(self, *cells: Locator) -> None:
        for cell in cells:
            wait_until(lambda: re.fullmatch(r"\[\d+\]:", self.prompt(cell)), f"the end of {cell.inner_text()[:60]!r}")

    def idle(self) -> None:
        # The page also shows a notebook without a kernel as idle.
        status = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        self.page.wait_for_function(f"{status} == 'idle'", timeout=1000 * PATIENCE)

    def errors(self) -> list[str]:
        """The errors in the notebook, which look like stderr on the page."""
        outputs = "jupyterapp.shell.currentWidget.content.widgets.flatMap(cell => cell.model.outputs?.toJSON() ?? [])"
        found = self.page.evaluate(f"{outputs}.filter(output => output.output_type == 'error')")
        return [f"{error['ename']}: {error['evalue']}" for error in found]

    def theme(self, name: str) -> None:
        self.page.evaluate("name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")
        self.page.wait_for_timeout(1000)

    def picture(self, name: str, cell: Locator | None = None) -> pathlib.Path:
        """Saves a screenshot, scrolled to the end of the cell."""
        if cell is not None:
            # Twice, as cells grow when they are first in view.
            for _ in range(2):
                cell.evaluate("cell => cell.scrollIntoView({block: 'end'})")
                self.page.wait_for_timeout(300)
        file = self.pictures / f"{name}.png"
        self.page.screenshot(path=file)
        return file


@contextlib.contextmanager
def notebook(browser: Browser, address: str, name: str, pictures: pathlib.Path):
    """Opens a notebook of the server. Its kernel ends with it, at the latest with the server."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000}, device_scale_factor=1)
    page.set_default_timeout(60_000)
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    opened = Notebook(page, pictures)
    try:
        opened.idle()
        yield opened
    except BaseException:
        opened.picture(f"failed-{pathlib.Path(name).stem}")
        raise
    opened.menu("Kernel", "Shut Down Kernel")
    page.wait_for_timeout(500)
    page.close()


@contextlib.contextmanager
def browser(chromium: str):
    with sync_playwright() as playwright:
        # CI runs as root, which Chromium's sandbox does not allow.
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextlib.contextmanager
def server(jupyter: str, folder: pathlib.Path):
    """Starts JupyterLab in a folder, with default settings, and yields its address."""
    with tempfile.TemporaryDirectory() as state, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        own = {
            "JUPYTER_CONFIG_DIR": f"{state}/config",
            "JUPYTERLAB_SETTINGS_DIR": f"{state}/settings",
            "JUPYTERLAB_WORKSPACES_DIR": f"{state}/workspaces",
        }
        silence = pathlib.Path(state, "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings")
        silence.parent.mkdir(parents=True)
        silence.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        arguments = ["lab", "--no-browser", "--allow-root", "--expose-app-in-browser", f"--ServerApp.port={port}"]
        settings = ["--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={folder}"]
        with open(folder / "server.log", "wb") as log:
            process = subprocess.Popen([jupyter, *arguments, *settings], stdout=log, stderr=log, env={**os.environ, **own})
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(f"{address}/api/status"), "JupyterLab's first answer")
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address) as reply:
            return reply.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def wait_until(is_so, what: str, patience: float = PATIENCE):
    """Polls until the answer is true, and returns it."""
    end = time.monotonic() + patience
    while not (answer := is_so()):
        if time.monotonic() > end:
            raise AssertionError(f"timed out after {patience:.0f} s waiting for {what}")
        time.sleep(0.1)
    return answer


def find_chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "Chromium not found: apt-get install chromium"
    return found

"""What tests of several stages share: where the real data lies, and a small simulated genome."""

import http.server
import json
import os
import shutil
import threading
from contextlib import ExitStack
from pathlib import Path

# before anything loads torch: tests that run side by side would wait for one another's threads
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Snakemake's plugin asks Slurm for its settings, and waits for 9 seconds where it is installed and does not run
os.environ.setdefault("SLURM_CONF", os.devnull)

import pytest
from hypothesis import settings

# The first call of a compiled loop takes a second; otherwise the profile stays what it is, here or under CI.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]
BROWSER_FLAGS = (
    "headless=new",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-sync",
    "hide-scrollbars",
    "disable-background-networking",
    "disable-component-update",
    "host-resolver-rules=MAP * ~NOTFOUND",
)


def pytest_collection_modifyitems(items):
    """The longest begin first, for where files run side by side."""
    items.sort(key=lambda item: not {"workflow", "slow"} & {mark.name for mark in item.iter_markers()})


@pytest.fixture(scope="session")
def data():
    """The folder of real data; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("GENOCONTRAST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data is absent: no folder {folder} (GENOCONTRAST_DATA names another)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory):
    """Encoded genomes of the tests stay out of the user's cache."""
    before = os.environ.get("GENOCONTRAST_CACHE")
    os.environ["GENOCONTRAST_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["GENOCONTRAST_CACHE"]
    else:
        os.environ["GENOCONTRAST_CACHE"] = before


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Folder of a small simulated genome."""
    from genocontrast.genome.simulate import simulate

    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, seed=7, megabases=2.0)
    return folder


@pytest.fixture
def serve():
    """Starts a web server on this machine with a request handler, which then says nothing; gives its address."""
    with ExitStack() as running:

        def start(handler):
            quiet = type("Quiet", (handler,), {"log_message": lambda *_: None})
            server = running.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), quiet))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            running.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium with the network off; a test that asks for it is skipped where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver on the PATH")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = chromium
    for flag in (*BROWSER_FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options=options, service=Service(driver))
    yield session
    session.quit()


@pytest.fixture
def opened(browser):
    """Opens a page; gives what the browser's console says and the addresses that were asked for."""

    def open_page(path):
        browser.get("about:blank")
        for log in ("browser", "performance"):
            browser.get_log(log)  # what came before
        browser.get(path.as_uri())
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
        return browser.get_log("browser"), {url for url in asked if not url.startswith("data:")}

    return open_page

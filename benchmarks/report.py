"""The report of 20,000 test examples: how long it takes to write, how large it is, how soon it opens.

The results are simulated, as those of the tests are, so that no model has to be trained. Bars: written in 60 s on 2
cores, attributions (a stage before) excluded; at most 8 MB; open in 2 s. The page is opened in headless Chromium, where
chromium and chromedriver are on the PATH; its load event comes after its script has drawn the map.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

from timing import arguments, environment, show, write

TESTS = Path(__file__).parents[1] / "tests" / "report" / "conftest.py"
FLAGS = ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "host-resolver-rules=MAP * ~NOTFOUND")
CONFIG = {"name": "demo", "genome": {"fasta": "genome.fa.gz", "promoters": "genes.gtf", "signal": ["atac.bw"]}}


def simulated() -> ModuleType:
    """The module that makes the results of the tests."""
    spec = importlib.util.spec_from_file_location("simulated_results", TESTS)
    if spec is None or spec.loader is None:
        raise SystemExit(f"error: no file {TESTS}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_seconds(page: Path, repeats: int) -> list[float] | None:
    """Seconds from navigation to the load event, each time anew; None without a browser."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        return None
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        browser = webdriver.Chrome(options=options, service=Service(driver))
        try:
            found = []
            for _ in range(repeats):
                browser.get("about:blank")
                browser.get(page.as_uri())
                script = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
                found.append(browser.execute_script(script) / 1000)
            return found
        finally:
            browser.quit()


def main() -> None:
    """Write the report, open it, and show the figures."""
    parser = arguments(__doc__ or "", repeats=3)
    parser.add_argument("--examples", type=int, default=20_000, help="test examples, half of them promoters")
    options = parser.parse_args()
    made = simulated()
    made.PAIRS = {"train": 1000, "validation": 500, "test": options.examples // 2}
    with tempfile.TemporaryDirectory() as folder:
        results, config = Path(folder) / "demo", Path(folder) / "config.json"
        made.write_results(results)
        config.write_text(json.dumps(CONFIG))
        command = [sys.executable, "-c", "from genocontrast.cli import app; app()", "report", "run"]
        seconds = []
        for _ in range(options.repeats):
            start = time.perf_counter()
            subprocess.run([*command, "--config", str(config), "--results", str(results)], check=True)
            seconds.append(time.perf_counter() - start)
        page = results / "report" / "report.html"
        loaded = load_seconds(page, options.repeats)
        rows = [
            {"figure": "written, s (whole process)", "value": statistics.median(seconds), "bar": 60.0},
            {"figure": "report.html, MB", "value": page.stat().st_size / 1e6, "bar": 8.0},
        ]
        if loaded:
            rows.append({"figure": "open, s", "value": statistics.median(loaded), "bar": 2.0})
    show(f"Report of {options.examples:,} test examples", rows)
    write(options.json, {"examples": options.examples, "rows": rows, "environment": environment(["matplotlib"])})


if __name__ == "__main__":
    main()

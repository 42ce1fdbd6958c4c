"""Several data sets in one run, files that are fetched, and the workflow inside another one."""

import hashlib
import http.server
import json
import shutil

import pandas as pd
import pytest
import yaml
from workflow_runs import ROOT, artefacts_in

pytestmark = pytest.mark.workflow


def test_each_data_set_has_its_report_and_one_page_compares_them(quick_folder):
    for name in ("quick", "other"):
        assert f"Data set {name}" in (quick_folder / f"results/{name}/report/report.html").read_text()
    page = (quick_folder / "results/compare.html").read_text()
    assert "quick" in page
    assert "other" in page


def test_each_data_set_has_its_own_settings(quick_folder):
    def read(name):
        return json.loads((quick_folder / "results" / name).read_text())

    assert [read(f"{name}/config.json")["seed"] for name in ("quick", "other")] == [1, 2]
    assert [read(f"{name}/evaluation/shortcut.json")["run"] for name in ("quick", "other")] == [True, False]
    scans = [quick_folder / f"results/{name}/evaluation/scan.bw" for name in ("quick", "other")]
    assert [path.is_file() for path in scans] == [False, True]
    weights = "training/model/model.safetensors"
    assert len({artefacts_in(quick_folder / "results" / name)[weights] for name in ("quick", "other")}) == 2


def test_what_the_user_asks_to_score_is_scored(quick_folder):
    folder = quick_folder / "results/quick/predictions/peaks"
    peaks = (quick_folder / "resources/simulated/peaks.narrowPeak").read_text().splitlines()
    scores = pd.read_csv(folder / "scores.tsv", sep="\t", comment="#")
    assert len(scores) == len(peaks)
    assert scores["probability"].between(0, 1).all()
    assert (folder / "scores.bw").stat().st_size > 1000
    assert "peaks" in (folder / "page.html").read_text()


def test_artefacts_name_no_machine_and_no_time(quick_folder):
    """What differs between two runs of the same inputs belongs into logs."""
    import socket

    told = [str(quick_folder), socket.gethostname()] if len(socket.gethostname()) > 6 else [str(quick_folder)]
    for name in artefacts_in(quick_folder / "results"):
        held = (quick_folder / "results" / name).read_bytes()
        assert not [word for word in told if word.encode() in held], name


def test_a_data_set_waits_for_the_one_that_encodes_their_genome(snakemake, quick_inputs, quick_config, fresh):
    shared = {key: value for key, value in quick_config.items() if key != "name"}
    (fresh / "datasets.tsv").write_text("name\tseed\nfirst\t1\nsecond\t2\n")
    planned = snakemake(fresh, {**shared, "datasets": "datasets.tsv"}, "--dag")
    assert planned.returncode == 0, planned.stderr
    numbers = {
        (line.split('"')[1].split("\\n")[0], "second" in line): line.split("[")[0].strip()
        for line in planned.stdout.splitlines()
        if "label" in line and ("dataset: first" in line or "dataset: second" in line)
    }
    assert f"{numbers['genome', False]} -> {numbers['genome', True]}" in planned.stdout


def test_a_wrong_row_stops_the_run_before_it_begins(snakemake, quick_config, fresh):
    shared = {key: value for key, value in quick_config.items() if key != "name"}
    (fresh / "datasets.tsv").write_text("name\tsede\nfirst\t1\n")
    finished = snakemake(fresh, {**shared, "datasets": "datasets.tsv"}, "--dry-run")
    assert finished.returncode != 0
    assert "datasets.tsv, line 2: unknown key 'sede'" in finished.stdout + finished.stderr
    assert not (fresh / "results").exists()


@pytest.fixture
def served(fresh, serve):
    """Address of a server of the simulated genome's files, on this machine; the files are gone from the folder."""
    (fresh / "resources").rename(fresh / "elsewhere")
    folder = str(fresh / "elsewhere/simulated")

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, directory=folder, **options)

        def do_HEAD(self):
            self.send_error(403)  # as where ENCODE redirects to: its addresses are signed for GET alone

    return serve(Files)


def fetching(config, served, **checksum):
    """The configuration with one of its files at an address."""
    return {**config, "downloads": {"inputs/my genes.gtf": {"url": f"{served}/genes.gtf", **checksum}}}


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_is_fetched_and_checked(snakemake, quick_config, fresh, served, kind):
    data = (fresh / "elsewhere/simulated/genes.gtf").read_bytes()
    config = fetching(quick_config, served, **{kind: hashlib.new(kind, data).hexdigest()})
    config["genome"] = {**config["genome"], "promoters": "inputs/my genes.gtf"}
    finished = snakemake(fresh, config, "--", "inputs/my genes.gtf")
    assert finished.returncode == 0, finished.stderr
    fetched, original = fresh / "inputs/my genes.gtf", fresh / "elsewhere/simulated/genes.gtf"
    assert fetched.read_bytes() == original.read_bytes()


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"md5": "0" * 32}])
def test_another_file_than_was_meant_is_refused(snakemake, quick_config, fresh, served, wrong):
    config = fetching(quick_config, served, **wrong)
    finished = snakemake(fresh, config, "--", "inputs/my genes.gtf")
    assert finished.returncode != 0
    assert "is not the file that was meant" in finished.stdout + finished.stderr
    assert not (fresh / "inputs/my genes.gtf").exists()


@pytest.mark.parametrize(("name", "fetched", "sets"), [("sacCer3", 14, 1), ("hg38", 9, 3)])
def test_the_shipped_configurations_of_public_data_are_planned_without_a_network(
    snakemake, tmp_path, name, fetched, sets
):
    config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    for download in config["downloads"].values():
        if "sha256" not in download:
            download["md5"] = download["md5"] or "0" * 32
    if "datasets" in config:
        shutil.copytree(ROOT / "config", tmp_path / "config")
    planned = snakemake(tmp_path, config, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    rows = [line.split() for line in planned.stdout.splitlines()]
    jobs = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "jobid:"}
    assert (jobs["download"], jobs["genome"], jobs["report"]) == (fetched, sets, sets)
    assert all(f"Fetching {path}" in planned.stdout for path in config["downloads"])


def test_another_workflow_takes_in_this_one(snakemake, quick_folder, quick_config, fresh):
    """With a rule of its own behind ours; what it asks of ours runs for real."""
    (fresh / "Snakefile").write_text(
        f"""
module promoters:
    snakefile: "{ROOT / "workflow/Snakefile"}"
    config: config["promoters"]

use rule * from promoters as promoters_*

rule count:
    default_target: True
    input:
        "results/quick/genome/promoters.bed",
    output:
        "count.txt",
    shell:
        "wc -l < {{input}} > {{output}}"
"""
    )
    finished = snakemake(fresh, {"promoters": quick_config}, snakefile=fresh / "Snakefile")
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    expected = len((quick_folder / "results/quick/genome/promoters.bed").read_text().splitlines())
    assert int((fresh / "count.txt").read_text()) == expected > 100

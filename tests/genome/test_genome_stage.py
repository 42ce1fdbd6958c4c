"""The stage from end to end on a genome small enough to count by hand, and on the simulated one."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from rich.console import Console

from genocontrast.artefacts import read_json, read_parquet
from genocontrast.config import parse_config
from genocontrast.errors import ConfigError, GenocontrastWarning, RegionError
from genocontrast.genome.check import summary
from genocontrast.genome.plausibility import doubts, remarks
from genocontrast.genome.signal import BEDGRAPH, BIGWIG
from genocontrast.genome.stage import prepare, run

FILES = ("promoters", "evidence", "open_chromatin", "excluded", "annotation")


def small(folder, **changes):
    """Four chromosomes, each with a promoter at 400 "+"; chr1 has one of every kind that goes."""
    rng = np.random.default_rng(0)
    sequences = {f"chr{n}": "".join(rng.choice(list("ACGT"), 2000)) for n in (1, 2, 3, 4)}
    sequences["chr1"] = sequences["chr1"][:1250] + "N" * 50 + sequences["chr1"][1300:].lower()
    write = lambda name, text: (folder / name).write_text(text) and str(folder / name)  # noqa: E731
    rows = [("chr1", 401, 900, "+", "t1"), ("chr1", 401, 700, "+", "t2"), ("chr1", 51, 90, "+", "edge")]
    rows += [("chr1", 701, 800, "-", "black"), ("chr1", 1301, 1400, "+", "unknown"), ("chr2", 401, 600, "+", "t3")]
    rows += [("chr3", 401, 600, "+", "t4"), ("chr4", 401, 600, "+", "t5"), ("chr4", 801, 1000, "-", "t6")]
    annotation = "".join(
        f'{c}\tx\t{kind}\t{s}\t{e}\t.\t{strand}\t.\tgene_id "g"; transcript_id "{name}";\n'
        for c, s, e, strand, name in rows
        for kind in ("gene", "transcript")
    )
    cuts = "".join(f"{chrom}\t{at}\t{at + 40}\n" for chrom in sequences for at in range(300, 420, 10))
    genome = {
        "fasta": write("g.fa", "".join(f">{chrom}\n{text}\n" for chrom, text in sequences.items())),
        "promoters": write("genes.gtf", annotation),
        "signal": [write("cuts.bed", cuts.replace("chr", ""))],
        "open_chromatin": [
            write("p.narrowPeak", "chr1\t380\t420\tp\t0\t.\t0\t0\t0\t9\n"),
            write("q.bed", "chr2\t9\t20\n"),
        ],
        "exclude": [write("black.bed", "chr1\t850\t860\n")],
        "evidence": [
            {
                "path": write("caps.bed", "chr2\t1000\t1001\tc\t0\t-\nchr2\t5\t9\tc\t0\t.\n"),
                "upstream": 50,
                "downstream": 20,
            }
        ],
        "annotation": {"path": str(folder / "genes.gtf"), "features": ["gene"]},
        "splits": {"train": ["chr1"], "validation": ["chr2"], "test": ["chr3"]},
    }
    return parse_config({"name": "small", "genome": genome | changes})


def test_promoters_and_what_each_filter_removed(tmp_path):
    prepared = prepare(small(tmp_path))
    windows = prepared.promoters[["chrom", "start", "end", "name", "strand", "tss"]].to_numpy().tolist()
    assert windows == [
        ["chr1", 200, 500, "t1", "+", 400],
        ["chr2", 200, 500, "t3", "+", 400],
        ["chr3", 200, 500, "t4", "+", 400],
    ]
    assert prepared.record["counts"] == {
        "transcripts": 9, "duplicate_tss": 1, "outside_chromosome": 1, "excluded": 1, "too_many_n": 1, "sealed": 0,
        "outside_splits": 2, "promoters": 3, "open_chromatin": 2, "evidence": 11, "evidence_with_tss": 0,
        "excluded_regions": 1,
    }  # fmt: skip


def test_promoters_may_be_chosen_among_the_start_sites(tmp_path):
    # One gene "g" on every chromosome and strand: chr1 keeps 50 "+" (edge) and 799 "-", of no use both.
    splits = {"train": ["chr4"], "validation": ["chr2"], "test": ["chr3"]}
    counts = prepare(small(tmp_path, tss_choice="most_5prime", splits=splits)).record["counts"]
    assert (counts["transcripts"], counts["not_most_5prime"], counts["promoters"]) == (9, 3, 4)
    prepared = prepare(small(tmp_path, tss_collapse=350))
    assert prepared.record["counts"]["collapsed_tss"] == 1
    assert prepared.promoters["name"].tolist() == ["t1", "t3", "t4"]
    assert (prepared.evidence["kind"] == "tss").sum() == 9


def typed(folder, key):
    """The annotation of `small` with a type of each gene: t1, t3 and t4 code for proteins, the others do not."""
    path = Path(small(folder).genome.promoters)
    lines = path.read_text().splitlines()
    coding = ('"t1"', '"t3"', '"t4"')
    kinds = ["protein_coding" if any(name in line for name in coding) else "lncRNA" for line in lines]
    path.write_text("".join(f'{line} {key} "{kind}";\n' for line, kind in zip(lines, kinds, strict=True)))
    return str(path)


@pytest.mark.parametrize("key", ["gene_type", "gene_biotype"])
def test_only_genes_of_some_types_make_promoters_and_all_are_evidence(tmp_path, key):
    config = small(tmp_path, promoter_gene_types=["protein_coding"])
    typed(tmp_path, key)
    prepared = prepare(config)
    assert prepared.promoters["name"].tolist() == ["t1", "t3", "t4"]
    assert prepared.record["counts"]["other_gene_type"] == 6
    assert prepared.record["counts"]["duplicate_tss"] == 0  # t2, of another type, starts where t1 does
    assert (prepared.evidence["kind"] == "tss").sum() == 9


def test_types_that_no_gene_has_are_refused_with_those_there_are(tmp_path):
    config = small(tmp_path, promoter_gene_types=["coding"])
    with pytest.raises(RegionError, match=r"genes\.gtf: no start site.*'?coding'?[\s\S]*names no gene_type"):
        prepare(config)
    typed(tmp_path, "gene_type")
    with pytest.raises(RegionError, match=r"no start site[\s\S]*name one of: lncRNA, protein_coding"):
        prepare(config)


def test_cage_peaks_make_promoters_at_their_summits(tmp_path):
    rows = [f"chr{n}\t390\t450\tc{n}\t{score}\t+\t420\t421\n" for n, score in ((1, 9), (2, 9), (3, 9), (4, 2))]
    (tmp_path / "cage.bed").write_text("".join(rows))
    changes = {"promoters": str(tmp_path / "cage.bed"), "tss_position": "summit", "tss_min_score": 5}
    prepared = prepare(small(tmp_path, **changes))
    assert prepared.promoters["tss"].tolist() == [420] * 3
    assert prepared.record["counts"]["low_score"] == 1


def test_a_choice_that_the_file_cannot_serve_is_refused(tmp_path):
    rows = "".join(f"chr{n}\t400\t500\t.\t.\t+\n" for n in (1, 2, 3, 4))
    (tmp_path / "tss.bed").write_text(rows)
    promoters = str(tmp_path / "tss.bed")
    with pytest.raises(RegionError, match=r"tss\.bed: 4 of 4 start sites name no gene"):
        prepare(small(tmp_path, promoters=promoters, tss_choice="most_5prime"))
    with pytest.raises(RegionError, match=r"tss\.bed: no region has a score"):
        prepare(small(tmp_path, promoters=promoters, tss_min_score=1))


def test_a_few_transcripts_without_strand_are_left_out_and_counted(tmp_path):
    rows = [f"chr{1 + n % 4}\t{400 + n}\t500\tt{n}\t0\t{'.' if n == 3 else '+'}\n" for n in range(12)]
    (tmp_path / "t.bed").write_text("".join(rows))
    with pytest.warns(GenocontrastWarning, match="1 of 12 regions have no strand"):
        prepared = prepare(small(tmp_path, promoters=str(tmp_path / "t.bed")))
    (entry,) = [entry for entry in prepared.record["files"] if entry["role"] == "promoters"]
    assert (entry["rows"], entry["kept"], entry["removed"]) == (12, 11, {"no_strand": 1})
    (tmp_path / "t.bed").write_text("".join(row.replace("+", ".") for row in rows[:6]) + "".join(rows[6:]))
    with pytest.raises(RegionError, match="6 of 12 regions have no strand"):
        prepare(small(tmp_path, promoters=str(tmp_path / "t.bed")))


def test_sealed_promoters_are_counted_apart(tmp_path):
    splits = {"train": ["chr1"], "validation": ["chr2"], "test": ["chr3"], "sealed": ["chr4"]}
    record = prepare(small(tmp_path, splits=splits)).record
    assert (record["counts"]["sealed"], record["counts"]["outside_splits"]) == (2, 0)
    assert record["splits"] == {"train": ["chr1"], "validation": ["chr2"], "test": ["chr3"], "sealed": ["chr4"]}
    assert [row["split"] for row in record["sequences"]] == ["train", "validation", "test", None]


def test_evidence_holds_every_tss_bare_and_the_rest_widened(tmp_path):
    evidence = prepare(small(tmp_path)).evidence
    sites = evidence[evidence["kind"] == "tss"]
    assert sorted(zip(sites["chrom"], sites["start"], strict=True)) == [
        ("chr1", 50), ("chr1", 400), ("chr1", 400), ("chr1", 799), ("chr1", 1300),
        ("chr2", 400), ("chr3", 400), ("chr4", 400), ("chr4", 999),
    ]  # fmt: skip
    assert (sites["end"] - sites["start"] == 1).all()
    assert set(sites["source"]) == {"genes.gtf:transcript,mRNA"}
    rest = evidence[evidence["kind"] == "evidence"]
    assert rest[["chrom", "start", "end", "source"]].to_numpy().tolist() == [
        ["chr2", 980, 1051, "caps.bed"], ["chr2", 0, 59, "caps.bed"]
    ]  # fmt: skip


def test_two_files_of_one_name_are_two_pieces_of_evidence(tmp_path):
    paths = [tmp_path / folder / "cage.bed" for folder in ("liver", "brain")]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text(f"chr1\t{100 * number}\t{100 * number + 50}\n")
    found = prepare(small(tmp_path, evidence=[{"path": str(path)} for path in paths])).evidence
    rows = found[found["kind"] == "evidence"]
    assert dict(zip(rows["source"], rows["start"], strict=True)) == {"cage.bed": 0, "cage.bed (2)": 100}


def test_evidence_with_a_measured_tss_may_be_skipped(tmp_path):
    (tmp_path / "genes.bed").write_text("chr1\t10\t90\tt3\t0\t+\nchr1\t500\t600\tnew\t0\t+\nchr1\t700\t800\n")
    evidence = {"path": str(tmp_path / "genes.bed"), "upstream": 5, "downstream": 5}
    for only, kept in ((False, [5, 495, 695]), (True, [495, 695])):
        prepared = prepare(small(tmp_path, evidence=[evidence | {"only_without_tss": only}]))
        assert prepared.evidence.query("kind == 'evidence'")["start"].tolist() == kept
    assert prepared.record["counts"]["evidence_with_tss"] == 1
    (entry,) = [entry for entry in prepared.record["files"] if entry["role"] == "evidence"]
    assert (entry["rows"], entry["kept"], entry["with_tss"]) == (3, 3, 1)


def track(folder, name, text):
    """Values as bedGraph, or as the bigWig of them."""
    path = folder / name
    rows = [line.split("\t") for line in text.splitlines()]
    if path.suffix == ".bw":
        with pyBigWig.open(str(path), "w") as handle:
            handle.addHeader([(f"chr{n}", 2000) for n in (1, 2, 3, 4)])
            for chrom, start, end, value in rows:
                handle.addEntries([f"chr{chrom}"], [int(start)], ends=[int(end)], values=[float(value)])
    else:
        path.write_text(text)
    return str(path)


VALUES = "1\t10\t20\t5\n1\t20\t25\t7\n1\t25\t30\t4.9\n1\t30\t31\t5\n3\t1990\t2000\t6\n4\t0\t9\t1\n"


@pytest.mark.parametrize("name", ["cage.bedgraph", "cage.bw"])
def test_bases_on_which_a_track_reaches_its_threshold_are_evidence(tmp_path, name):
    entry = {"path": track(tmp_path, name, VALUES), "threshold": 5}
    for wider, places in (
        ({}, [["chr1", 10, 25], ["chr1", 30, 31], ["chr3", 1990, 2000]]),
        ({"upstream": 7, "downstream": 12}, [["chr1", 0, 37], ["chr1", 18, 43], ["chr3", 1978, 2000]]),
    ):
        prepared = prepare(small(tmp_path, evidence=[entry | wider]))
        found = prepared.evidence.query("kind == 'evidence'")
        assert found[["chrom", "start", "end", "source"]].to_numpy().tolist() == [[*place, name] for place in places]
    (entry,) = [entry for entry in prepared.record["files"] if entry["role"] == "evidence"]
    assert (entry["rows"], entry["kept"]) == (3, 3)
    assert entry["renamed"] == ({} if name == "cage.bw" else {"1": "chr1", "3": "chr3", "4": "chr4"})


@pytest.mark.parametrize("name", ["cage.bdg", "cage.bw"])
@pytest.mark.parametrize(("sign", "highest"), [("", "7"), ("-", "0")])
def test_a_threshold_that_no_base_reaches_is_refused_with_the_highest_value(tmp_path, name, sign, highest):
    rows = VALUES.replace("\t5\n", f"\t{sign}5\n").replace("\t7\n", f"\t{sign}7\n").replace("\t4.9", f"\t{sign}4.9")
    text = rows.replace("\t6\n", f"\t{sign}6\n").replace("\t1\n", "\t0\n")
    evidence = [{"path": track(tmp_path, name, text), "threshold": 7.5}]
    message = rf"no base reaches the threshold of 7\.5: this track's highest value is {highest}\n"
    with pytest.raises(RegionError, match=message) as caught:
        prepare(small(tmp_path, evidence=evidence))
    assert caught.value.path == evidence[0]["path"]
    assert "negative values" in caught.value.remedy


@pytest.mark.parametrize("kind", [".bw", ".bigWig", ".bedGraph.gz", ".bdg", ".bg"])
def test_a_track_as_evidence_needs_a_threshold_and_features_with_names_are_none_of_it(kind):
    with pytest.raises(ConfigError, match=rf"genome\.evidence\.0.*cage{kind} is a track of values: add `threshold`"):
        small_evidence(path=f"a/cage{kind}")
    with pytest.raises(ConfigError, match=r"remove `only_without_tss`"):
        small_evidence(path=f"a/cage{kind}", threshold=1, only_without_tss=True)
    assert small_evidence(path=f"a/cage{kind}", threshold=1).threshold == 1
    for threshold in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="threshold"):
            small_evidence(path=f"a/cage{kind}", threshold=threshold)


@pytest.mark.parametrize("name", ["caps.bed", "peaks.narrowPeak.gz", "genes.gtf", "bw", "a.bw/caps"])
def test_a_threshold_of_regions_is_refused(name):
    with pytest.raises(ConfigError, match=r"holds regions, which have no threshold: remove it"):
        small_evidence(path=name, threshold=1)


def small_evidence(**entry):
    genome = {"fasta": "g.fa", "promoters": "g.gtf", "signal": ["s.bw"], "evidence": [entry]}
    return parse_config({"name": "x", "genome": genome}).genome.evidence[0]


def test_the_kinds_of_tracks_are_those_of_the_signal():
    for kind in BIGWIG | BEDGRAPH:
        assert small_evidence(path=f"cage{kind}", threshold=1)


def test_open_chromatin_always_has_a_summit(tmp_path):
    prepared = prepare(small(tmp_path))
    assert prepared.open_chromatin[["chrom", "summit"]].to_numpy().tolist() == [["chr1", 389], ["chr2", 14]]
    assert prepared.excluded.to_numpy().tolist() == [["chr1", 850, 860, "black.bed"]]
    assert set(prepared.annotation["feature"]) == {"gene"}


def test_the_record(tmp_path):
    record = prepare(small(tmp_path)).record
    first = record["sequences"][0]
    assert (first["chrom"], first["size"], first["n_fraction"], first["masked_fraction"]) == ("chr1", 2000, 0.025, 0.35)
    assert 0.4 < first["gc"] < 0.6
    assert [(row["role"], row["rows"], row["kept"]) for row in record["files"]] == [
        ("fasta", 4, 4), ("promoters", 9, 9), ("signal", 48, 48), ("open_chromatin", 1, 1), ("open_chromatin", 1, 1),
        ("exclude", 1, 1), ("evidence", 2, 2), ("annotation", 9, 9),
    ]  # fmt: skip
    assert record["files"][2]["renamed"] == {str(n): f"chr{n}" for n in (1, 2, 3, 4)}
    found = record["plausibility"]
    # Twelve fragments have both cuts within each 300-bp window, and nothing lies elsewhere on 2000 bp.
    assert found["signal_at_tss"] == pytest.approx(24 / 300)
    assert found["signal_genome"] == pytest.approx(24 / 2000)
    assert found["peaks_on_promoters"] == 0.5
    assert set(record["provenance"]["inputs"]) == {
        "fasta", "promoters", "signal", "open_chromatin", "open_chromatin.1", "exclude", "evidence", "annotation"
    }  # fmt: skip


def test_files_and_the_same_bytes_from_another_place(tmp_path):
    results = []
    for place in ("one", "another"):
        (tmp_path / place).mkdir()
        run(small(tmp_path / place), tmp_path / place / "results")
        folder = tmp_path / place / "results" / "genome"
        results.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert results[0] == results[1]
    assert set(results[0]) == {f"{name}.parquet" for name in FILES} | {"promoters.bed", "genome.json"}
    assert str(tmp_path).encode() not in b"".join(results[0].values())
    bed = results[0]["promoters.bed"].decode().splitlines()
    assert bed[0] == "chr1\t200\t500\tt1\t0\t+"
    frame, record = read_parquet(folder / "promoters.parquet")
    assert list(frame.columns) == ["chrom", "start", "end", "name", "score", "strand", "tss"]
    assert record == read_json(folder / "genome.json")["provenance"]


def test_optional_inputs_may_be_absent(tmp_path):
    config = small(tmp_path, open_chromatin=[], exclude=[], evidence=[], annotation=None)
    run(config, tmp_path / "results")
    frames = {name: read_parquet(tmp_path / "results" / "genome" / f"{name}.parquet")[0] for name in FILES}
    assert [len(frames[name]) for name in FILES] == [4, 9, 0, 0, 0]
    assert list(frames["open_chromatin"].columns) == ["chrom", "start", "end", "name", "score", "strand", "summit"]
    assert list(frames["excluded"].columns) == ["chrom", "start", "end", "source"]
    assert list(frames["annotation"].columns) == ["chrom", "start", "end", "feature"]
    assert frames["open_chromatin"]["start"].dtype == np.int64
    assert read_json(tmp_path / "results" / "genome" / "genome.json")["plausibility"]["peaks_on_promoters"] is None


def test_no_promoter_left_says_what_went(tmp_path):
    (tmp_path / "all.bed").write_text("".join(f"chr{n}\t0\t2000\n" for n in (1, 2, 3, 4)))
    with pytest.raises(RegionError, match=r"no promoter is left[\s\S]*excluded 7"):
        prepare(small(tmp_path, exclude=[str(tmp_path / "all.bed")]))


def test_signal_that_avoids_promoters_is_doubted(tmp_path):
    (tmp_path / "off.bed").write_text("".join(f"chr{n}\t1500\t1600\n" for n in (1, 2, 3, 4)))
    with pytest.warns(GenocontrastWarning, match="no higher than on their chromosomes"):
        run(small(tmp_path, signal=[str(tmp_path / "off.bed")]), tmp_path / "results")


def test_files_of_two_assemblies_are_doubted(tmp_path):
    (tmp_path / "blacklist.hg19.bed").write_text("chr1\t850\t860\n")
    record = prepare(small(tmp_path, exclude=[str(tmp_path / "blacklist.hg19.bed")])).record
    assert record["assembly"] is None
    assert doubts(record) == []
    record["assembly"] = {"name": "hg38", "agree": 3, "differ": {"chr2": (2000, 242_193_529)}}
    assert doubts(record) == [
        "chr2 has 2,000 bp, but 3 other sequences have the sizes of hg38, where it has 242,193,529"
    ]
    assert remarks(record) == ["blacklist.hg19.bed names hg19; the sequence has the sizes of hg38"]


def test_regions_by_class(tmp_path):
    rows = {(row["class"], row["name"]): row for row in prepare(small(tmp_path)).record["classes"]}
    assert rows["promoters", ""] == {
        "class": "promoters", "name": "", "regions": 3, "bp": 900, "clear_bp": 897, "bp_to_tss": 0.0
    }  # fmt: skip
    caps = rows["evidence", "caps.bed"]
    assert (caps["regions"], caps["bp"], caps["clear_bp"], caps["bp_to_tss"]) == (2, 130, 0, 461.0)
    assert rows["annotation", "gene"]["regions"] == 9
    peaks = rows["open chromatin", ""]
    # chr1:380-420 holds the TSS at 400, chr2:9-20 lies within evidence.
    assert (peaks["bp"], peaks["clear_bp"], peaks["bp_to_tss"]) == (51, 39, 190.5)


def test_a_failure_writes_nothing(tmp_path):
    (tmp_path / "bad.bed").write_text("chr1\t5\t4\n")
    with pytest.raises(RegionError, match=r"bad\.bed, line 1"):
        run(small(tmp_path, exclude=[str(tmp_path / "bad.bed")]), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_the_summary_says_what_was_found(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    console.print(summary(prepare(small(tmp_path)).record))
    text = console.file.getvalue()
    for part in (
        "chr1",
        "validation",
        "cuts.bed",
        "1 -> chr1",
        "and 2 more",
        "duplicate tss",
        "6.7 x",
        "Splits: train: chr1; validation: chr2; test: chr3",
        "50% of the peaks",
    ):
        assert part in text
    assert not list(tmp_path.glob("results"))


def test_the_summary_reads_the_written_record_and_shortens_many_sequences(tmp_path):
    run(small(tmp_path), tmp_path / "results")
    record = json.loads(Path(tmp_path / "results" / "genome" / "genome.json").read_text())
    record["sequences"] *= 20
    record["plausibility"] |= {"peaks_on_promoters": None, "signal_genome": 0.0}
    console = Console(file=io.StringIO(), width=200)
    console.print(summary(record))
    assert "... 40 more" in console.file.getvalue()
    assert "no peaks given" in console.file.getvalue()


def test_the_simulated_genome(simulated, tmp_path):
    config = parse_config(
        {
            "name": "demo",
            "genome": {
                "fasta": str(simulated / "genome.fa.gz"), "promoters": str(simulated / "genes.gtf"),
                "signal": [str(simulated / f"atac_rep{n}.bw") for n in (1, 2)],
                "open_chromatin": [str(simulated / "peaks.narrowPeak")], "exclude": [str(simulated / "blacklist.bed")],
            },
        }
    )  # fmt: skip
    prepared = prepare(config)
    elements = pd.read_csv(simulated / "elements.tsv", sep="\t")
    counts, found = prepared.record["counts"], prepared.record["plausibility"]
    assert counts["promoters"] + counts["excluded"] + counts["too_many_n"] + counts["outside_chromosome"] == (
        counts["transcripts"] - counts["duplicate_tss"] - counts["sealed"] - counts["outside_splits"]
    )
    assert counts["promoters"] > 0.8 * (elements["class"] == "promoter").sum()
    assert found["signal_at_tss"] > 2 * found["signal_genome"]
    assert (prepared.open_chromatin["summit"] >= prepared.open_chromatin["start"]).all()

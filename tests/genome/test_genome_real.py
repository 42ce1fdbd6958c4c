"""Facts of the real data that a shifted coordinate, a swapped strand or a lost chromosome would break."""

import numpy as np
import pandas as pd
import pytest

from genocontrast.config import parse_config
from genocontrast.genome import Genome, Signal, read_regions
from genocontrast.genome.promoters import inside, promoter_windows, start_sites
from genocontrast.genome.stage import prepare
from genocontrast.sequence import encode, gc_fraction, reverse_complement


@pytest.fixture(scope="module")
def yeast(data):
    return data / "yeast"


@pytest.fixture(scope="module")
def genome(yeast):
    return Genome(yeast / "S_cerevisiae.R64.fasta.gz")


@pytest.fixture(scope="module")
def cuts(yeast, genome):
    return Signal(yeast / "yeast_500k_SRR1822137.bedpe.gz", genome)


@pytest.fixture(scope="module")
def sites(yeast, genome):
    return start_sites(read_regions(yeast / "Xu_2009_ORF-Ts_V64.gff3.gz", genome, ["transcript"]))


def windows(sites, genome, upstream, downstream):
    found = promoter_windows(sites, upstream, downstream)
    return found[inside(found, genome.sizes)]


def test_the_yeast_genome(genome):
    assert len(genome.sizes) == 17
    assert (genome.sizes["chrI"], genome.sizes["chrIV"], genome.sizes["chrmt"]) == (230218, 1531933, 85779)
    assert sum(genome.sizes.values()) == 12_157_105


def test_genes_start_with_atg(yeast, genome):
    genes = read_regions(yeast / "S_cerevisiae.SGD.gff3.gz", genome, ["gene"])
    coding = genes[genes["name"].str.match(r"Y[A-P][LR]\d{3}[WC]|Q0")]
    starts = start_sites(coding)
    codons = genome.codes(promoter_windows(starts, 0, 3))
    assert (codons == encode("ATG")).all(1).mean() > 0.99


def test_fragments_say_chrm_where_the_sequence_says_chrmt(cuts):
    assert cuts.files == [
        {
            "file": "yeast_500k_SRR1822137.bedpe.gz",
            "rows": 467908,
            "kept": 467908,
            "removed": {},
            "renamed": {"chrM": "chrmt"},
        }
    ]


def test_every_cut_is_counted(cuts, genome):
    whole = pd.DataFrame([(chrom, 0, size) for chrom, size in genome.sizes.items()], columns=["chrom", "start", "end"])
    assert (cuts.mean(whole) * whole["end"]).sum() == pytest.approx(2 * 467908)


def test_promoters_are_poor_in_gc(sites, genome):
    assert gc_fraction(genome.codes(windows(sites, genome, 200, 100))).mean() == pytest.approx(0.366, abs=0.004)


def test_cuts_peak_upstream_of_the_tss_on_either_strand(sites, genome, cuts):
    for strand in "+-":
        on_strand = sites[sites["strand"] == strand]
        profile = {at: cuts.mean(windows(on_strand, genome, -at, at + 100)).mean() for at in range(-500, 500, 100)}
        assert max(profile, key=profile.get) == -200
        assert profile[-200] > 3 * profile[200]


@pytest.mark.parametrize(
    ("factor", "motif", "share"), [("Reb1", "TTACCCG", 0.37), ("Cbf1", "CACGTG", 0.62), ("Mcm1", None, None)]
)
def test_chip_exo_sites_hold_their_motif(yeast, genome, factor, motif, share):
    sites = read_regions(yeast / "chipexo" / f"{factor}_CX.bed", genome)
    assert set(sites["chrom"]) <= {chrom for chrom in genome.sizes if chrom != "chrmt"}
    if motif is None:
        return

    def holds(codes):
        pattern = encode(motif)
        views = np.lib.stride_tricks.sliding_window_view(codes, len(pattern), axis=1)
        return ((views == pattern).all(2) | (views == reverse_complement(pattern)).all(2)).any(1)

    assert holds(genome.codes(sites, width=51)).mean() == pytest.approx(share, abs=0.03)
    away = sites.assign(start=sites["start"] - 400, end=sites["end"] - 400)
    assert holds(genome.codes(away[away["start"] > 100], width=51)).mean() < 0.1


def test_published_peaks_read_whole(yeast, genome):
    peaks = read_regions(yeast / "atac_peaks_derived.narrowPeak", genome)
    assert len(peaks) == 2612
    assert ((peaks["summit"] >= peaks["start"]) & (peaks["summit"] < peaks["end"])).all()
    assert len(read_regions(yeast / "hmmratac_yeast500k_bedpe_accessible_regions.narrowPeak", genome)) == 1605


def test_the_stage_on_yeast(yeast):
    config = parse_config(
        {
            "name": "yeast",
            "genome": {
                "fasta": str(yeast / "S_cerevisiae.R64.fasta.gz"),
                "promoters": str(yeast / "Xu_2009_ORF-Ts_V64.gff3.gz"),
                "signal": [str(yeast / "yeast_500k_SRR1822137.bedpe.gz")],
                "open_chromatin": [str(yeast / "atac_peaks_derived.narrowPeak")],
                "evidence": [
                    {"path": str(yeast / "chipexo" / "Sua7_CX.bed"), "upstream": 100, "downstream": 100},
                    {
                        "path": str(yeast / "S_cerevisiae.SGD.gff3.gz"),
                        "features": ["gene", "tRNA_gene"],
                        "upstream": 500,
                    },
                ],
                "splits": {"sealed": ["chrXII", "chrXV"]},
            },
        }
    )
    prepared = prepare(config)
    record, found = prepared.record, prepared.record["plausibility"]
    assert record["counts"]["transcripts"] == 5171
    assert record["counts"]["sealed"] == 904
    assert len(prepared.promoters) == 5171 - 904
    assert not set(prepared.promoters["chrom"]) & {"chrXII", "chrXV", "chrmt"}
    assert {len(record["splits"][split]) for split in ("sealed",)} == {2}
    assert found["signal_at_tss"] > 2.4 * found["signal_genome"]
    assert found["peaks_on_promoters"] > 0.7
    renamed = [entry["renamed"] for entry in record["files"] if entry["file"] == "Sua7_CX.bed"]
    assert renamed[0]["chr10"] == "chrX"
    assert len(renamed[0]) == 16


def test_human_tss_are_open_and_rich_in_gc(data):
    human = data / "human_tiny"
    genome = Genome(human / "genome.fa.gz")
    sites = start_sites(read_regions(human / "tss_epdnew.bed", genome))
    whole = pd.DataFrame([(chrom, 0, size) for chrom, size in genome.sizes.items()], columns=["chrom", "start", "end"])
    assert len(genome.sizes) == 65
    dnase = Signal(human / "dnase_max10.bw", genome)
    assert dnase.mean(sites).mean() / dnase.mean(whole).mean() == pytest.approx(16, abs=2)
    assert gc_fraction(genome.codes(sites, 300)).mean() == pytest.approx(0.60, abs=0.01)
    assert gc_fraction(genome.codes(whole)).mean() == pytest.approx(0.42, abs=0.01)


def test_human_cage_follows_the_strand(data):
    """CAGE starts lie on the strand of their TSS, 5.6 against 0.6."""
    human = data / "human_tiny"
    genome = Genome(human / "genome.fa.gz")
    sites = start_sites(read_regions(human / "tss_epdnew.bed", genome))
    around = windows(sites, genome, 16, 16)
    plus, minus = (Signal(human / f"cage_{name}_max12.bw", genome).mean(around) for name in ("plus", "minus"))
    forward = (around["strand"] == "+").to_numpy()
    assert np.where(forward, plus, minus).mean() > 5 * np.where(forward, minus, plus).mean()

"""What the columns of BED, narrowPeak, GFF3 and GTF mean. In: text by line; out: regions by line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike
from genocontrast.errors import FileFormatError, GenocontrastError, RegionError
from genocontrast.genome.tables import by_value, suffix

COLUMNS_READ = 12
_NARROW_PEAK = 10
_PEAK_VALUES = {6: "signal_value", 7: "p_value", 8: "q_value"}
_PEAK_COLUMNS = "nine columns are read as broadPeak, ten as narrowPeak; cut -f1-6 leaves BED"
_TRANSCRIPTS = {"transcript", "mRNA", "gene"}
_POSITION, _INTEGER = r"\d{1,18}", r"-?\d{1,18}"
_COLUMNS = "write . where there is none; where the columns are not those of BED, cut -f1-3 leaves the regions"


def _gff(attribute: str) -> str:
    return rf"(?:^|;)\s*{attribute}=([^;]+)"


def _gtf(attribute: str) -> str:
    return rf'(?:^|;)\s*{attribute}\s+"?([^";]+)'


_NAMES = {
    "gff": (_gff("Name"), _gff("ID")),
    "gtf": (_gtf("transcript_id"), _gtf("gene_id"), r'^\s*([^\s;"=]+)\s*$'),
}
_GENES = {
    "gff": (_gff("gene_id"), _gff("Parent"), _gff("ID")),
    # AUGUSTUS and BRAKER write the bare name of a transcript, g1.t1 of the gene g1.
    "gtf": (_gtf("gene_id"), r'^\s*([^\s;"=]+?)(?:\.t\d+)?\s*$'),
}

# GENCODE says gene_type, Ensembl gene_biotype, and its GFF3 has a transcript's own biotype only.
_GENE_TYPES = {
    "gff": (_gff("gene_type"), _gff("gene_biotype"), _gff("biotype")),
    "gtf": (_gtf("gene_type"), _gtf("gene_biotype")),
}


def parse_bed(table: pd.DataFrame, path: PathLike) -> pd.DataFrame:
    """Regions of a BED, narrowPeak or broadPeak table; see `read_regions`. The index stays the line."""
    _need_columns(table, 3, path)
    text = table.reindex(columns=range(COLUMNS_READ), fill_value="")
    regions = pd.DataFrame(
        {
            "chrom": text[0],
            "start": _integers(text[1], "start", path),
            "end": _integers(text[2], "end", path),
            "name": text[3].replace("", "."),
            "score": _scores(text[4], path),
            "strand": _strands(text[5], path),
        }
    )
    _check_widths(regions, path, first=0)
    narrow = suffix(path) == ".narrowpeak" or table.shape[1] == _NARROW_PEAK
    broad = suffix(path) == ".broadpeak"
    if narrow or broad:
        _need_columns(table, _NARROW_PEAK - (not narrow), path)
        for column, name in _PEAK_VALUES.items():
            regions[name] = _numbers(text[column], name, path, _PEAK_COLUMNS)
    if narrow:
        regions["summit"] = _summits(regions, _integers(text[9], "summit", path), path)
    elif not broad and _all_match(text[6], _POSITION) and _all_match(text[7], _POSITION):
        # CAGE peaks, as FANTOM5 writes them: the thick part is one base, the representative TSS.
        thick, thick_end = text[6].astype("int64"), text[7].astype("int64")
        if (thick_end - thick == 1).all():
            regions["summit"] = _summits(regions, thick - regions["start"], path)
    return regions


def parse_annotation(table: pd.DataFrame, path: PathLike, features: Sequence[str] | None) -> pd.DataFrame:
    """Regions of a GFF3 or GTF table; see `read_regions`. The index stays the line."""
    _need_columns(table, 8, path)
    text = table.reindex(columns=range(9), fill_value="")
    if features:
        text = _take_features(text, features, path)
    # Whatever the extension says: GTF is often called .gff.
    kind = "gff" if text[8].str.match(r"\s*[^\s;\"=]+=").mean() > 0.5 else "gtf"
    regions = pd.DataFrame(
        {
            "chrom": text[0].map(unquote),
            "start": _integers(text[3], "start", path) - 1,
            "end": _integers(text[4], "end", path),
            "name": _attribute(text[8], _NAMES[kind]),
            "score": _scores(text[5], path),
            "strand": _strands(text[6], path),
            "feature": text[2],
            "gene": _attribute(text[8], _GENES[kind]),
            "gene_type": _attribute(text[8], _GENE_TYPES[kind]),
        }
    )
    _check_widths(regions, path, first=1)
    return regions


def _refuse(
    bad: pd.Series,
    values: pd.Series,
    problem: str,
    path: PathLike,
    remedy: str,
    error: type[GenocontrastError] = FileFormatError,
) -> None:
    """Raise for the first bad row, with its line and value, and say how many more there are."""
    if bad.any():
        others = int(bad.sum()) - 1
        first = int(np.argmax(bad.to_numpy()))
        value = values.iloc[first]
        raise error(
            problem + (f", as in {others:,} more of {len(bad):,} rows" if others else ""),
            path=path,
            line=int(bad.index[first]),
            value=value if isinstance(value, str) else int(value),
            remedy=remedy,
        )


def _need_columns(table: pd.DataFrame, least: int, path: PathLike) -> None:
    unnamed = by_value(table[0], lambda names: names.str.strip() == "")
    _refuse(unnamed, table[0], "the row names no chromosome", path, "name it in the first column")
    last = table[least - 1] if least <= table.shape[1] else pd.Series("", index=table.index)
    text = table.agg(" ".join, axis=1).str.strip() if (last == "").any() else last
    remedy = f"give each row {least} or more columns, separated by tabs, or leave the row out"
    _refuse(last == "", text, f"fewer than {least} columns", path, remedy)


def _integers(column: pd.Series, what: str, path: PathLike) -> pd.Series:
    if not _all_match(column, _INTEGER):
        remedy = "write plain digits; a line of headings begins with #"
        _refuse(~column.str.fullmatch(_INTEGER), column, f"the {what} is not an integer", path, remedy)
    return column.astype("int64")


def _all_match(column: pd.Series, pattern: str) -> bool:
    """Whether each row matches the pattern, which knows no line ends: asked at one go, ten times as fast."""
    return re.fullmatch(rf"(?:{pattern}\n)*", "\n".join(column) + "\n") is not None


def _scores(column: pd.Series, path: PathLike) -> pd.Series:
    scores = _numbers(column, "score", path, _COLUMNS)
    _refuse(scores.isin([np.inf, -np.inf]), column, "the score is infinite", path, _COLUMNS)
    return scores


def _numbers(column: pd.Series, what: str, path: PathLike, remedy: str) -> pd.Series:
    absent = by_value(column, lambda values: values.str.lower().isin([".", "", "nan", "na"]))
    numbers = by_value(column, lambda values: pd.to_numeric(values, errors="coerce").astype("float64")).mask(absent)
    _refuse(numbers.isna() & ~absent, column, f"the {what.replace('_', ' ')} is not a number", path, remedy)
    return numbers


def _strands(column: pd.Series, path: PathLike) -> pd.Series:
    strands = by_value(column, lambda values: values.replace({"": ".", "?": "."}))
    bad = ~strands.isin(["+", "-", "."])
    _refuse(bad, column, "the strand is none of + - .", path, _COLUMNS)
    return strands


def _check_widths(regions: pd.DataFrame, path: PathLike, first: int) -> None:
    """Refuse negative starts and empty regions; `first` is the number of the first base in the file's counting."""
    start, end = regions["start"], regions["end"]
    remedy = "correct the row or leave it out"
    problem = f"the region starts before the chromosome's first base, which is {first} in this format"
    _refuse(start < 0, start + first, problem, path, remedy, RegionError)
    if (end <= start).any():
        where = regions["chrom"] + ":" + (start + first).astype(str) + "-" + end.astype(str)
        _refuse(end <= start, where, "the region is empty or negative: end before start", path, remedy, RegionError)


def _summits(regions: pd.DataFrame, offsets: pd.Series, path: PathLike) -> pd.Series:
    width = regions["end"] - regions["start"]
    remedy = "column 10 is the summit's distance from the start, or -1; are the columns shifted?"
    _refuse((offsets > width) | (offsets < -1), offsets, "the summit lies outside its peak", path, remedy, RegionError)
    # Some peak callers write the end itself, which is half-open: the last base is meant.
    inside = np.minimum(offsets, width - 1)
    return (regions["start"] + inside).where(offsets >= 0, -1)


def _take_features(text: pd.DataFrame, features: Sequence[str], path: PathLike) -> pd.DataFrame:
    chosen = text[2].isin(features)
    if not chosen.any():
        has = ", ".join(f"{feature} ({count})" for feature, count in text[2].value_counts().head(12).items())
        remedy = f"choose from those it has: {has}"
        if {"exon", "CDS"} & set(text[2]) and not _TRANSCRIPTS & set(text[2]):
            remedy += "; none is a transcript, which gffread and AGAT can make of its exons"
        raise FileFormatError(f"no feature of type {' or '.join(features)}", path=path, remedy=remedy)
    return text[chosen]


def _attribute(column: pd.Series, patterns: Sequence[str]) -> pd.Series:
    """The first of some attributes that each row has, or '.'."""
    found = pd.Series(".", index=column.index)
    for pattern in reversed(patterns):
        values = column.str.extract(pattern, expand=False)
        found = found.mask(values.notna(), values)
    return found.map(unquote)

"""Named domain errors: what is wrong, where (file, line, value) and the remedy."""

from __future__ import annotations

import os


class GenocontrastError(Exception):
    """Base of all errors that a user can mend; the command line prints it without a traceback.

    Parameters
    ----------
    problem : str
        What is wrong, in one sentence.
    path : path, optional
        The file in which it was found.
    line : int, optional
        1-based line of that file.
    value : object, optional
        The offending value.
    remedy : str, optional
        What to do about it.
    """

    exit_code = 3

    def __init__(
        self,
        problem: str,
        *,
        path: str | os.PathLike[str] | None = None,
        line: int | None = None,
        value: object = None,
        remedy: str | None = None,
    ) -> None:
        # numpy's numbers as plain ones: a user reads 1.5, not np.float64(1.5)
        value = value.item() if hasattr(value, "item") else value
        self.problem, self.path, self.line, self.value, self.remedy = problem, path, line, value, remedy
        where = "" if path is None else f"{path}" + ("" if line is None else f", line {line}") + ": "
        got = "" if value is None else f" (got {value!r})"
        advice = "" if remedy is None else f"\n  remedy: {remedy}"
        super().__init__(f"{where}{problem}{got}{advice}")


class ConfigError(GenocontrastError):
    """The configuration has an unknown key or an impossible value."""


class FileFormatError(GenocontrastError):
    """A file is missing, truncated or not in the format that it claims."""


class OutputError(GenocontrastError):
    """A result cannot be written: the disk is full, or the folder is closed to this user."""


class NamingError(GenocontrastError):
    """Chromosome names of two files do not agree."""


class RegionError(GenocontrastError):
    """A region is empty, negative or lies outside its chromosome."""


class SplitError(GenocontrastError):
    """A split is empty, overlaps another one or holds a single class."""


class PoolError(GenocontrastError):
    """No candidate decoys are left, or fewer than the promoters need."""


class BalanceError(GenocontrastError):
    """The decoys are not like the promoters: the balance gate failed."""

    exit_code = 4


class BenchmarkError(GenocontrastError):
    """A frozen benchmark does not come out as it was frozen."""

    exit_code = 4


class LeakageError(GenocontrastError):
    """A test example was seen in training, and the audit was asked to be strict."""

    exit_code = 4


class ShapeError(GenocontrastError, ValueError):
    """An array or tensor does not have the shape, type or range that was asked for."""


class ModelError(GenocontrastError):
    """A model cannot be built, loaded or trained."""


class PlausibilityError(GenocontrastError):
    """Each file can be read, but together they would give no or a wrong result."""


class MissingToolError(GenocontrastError):
    """A program or optional package that a step needs is not installed."""


class GenocontrastWarning(UserWarning):
    """Something that a user should know about but that does not stop the run."""

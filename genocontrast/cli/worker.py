"""One of several processes that train together: `training.processes.spread` runs this module."""

import warnings

from genocontrast.cli import listen, main
from genocontrast.training.processes import end_with_parent, first_process, note


def work() -> None:
    """Run the command that was given; an error is told by the process that waits for this one."""
    end_with_parent()
    if first_process():
        listen()
    else:
        warnings.simplefilter("ignore")  # the first one tells
    try:
        main()
    except Exception as error:
        note(error)


if __name__ == "__main__":
    work()

"""gensim's skip-gram on a corpus of k-mer tokens, in an interpreter where gensim is installed: numpy and gensim only.

    python gensim_peer.py CORPUS VECTORS DIM WINDOW EPOCHS RATE

writes both tables in the order of the token numbers and prints seconds and memory of the training as JSON.
"""

import json
import logging
import os
import sys
import time

import numpy as np
from gensim.models import Word2Vec


def cpu_seconds() -> float:
    """CPU seconds of this process and its threads."""
    times = os.times()
    return times.user + times.system


def main() -> None:
    """One training."""
    corpus, vectors = sys.argv[1:3]
    dim, window, epochs = map(int, sys.argv[3:6])
    logging.getLogger("gensim").setLevel(logging.ERROR)
    model = Word2Vec(
        vector_size=dim,
        window=window,
        sg=1,
        hs=0,
        negative=5,
        ns_exponent=0.75,
        sample=0,
        min_count=1,
        workers=2,
        seed=1,
    )
    model.build_vocab(corpus_file=corpus)
    wall, cpu = time.perf_counter(), cpu_seconds()
    rate = float(sys.argv[6])
    model.train(
        corpus_file=corpus, total_words=model.corpus_total_words, total_examples=model.corpus_count, epochs=epochs,
        start_alpha=rate, end_alpha=1e-4,
    )  # fmt: skip
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    numbers = np.array([int(name) for name in model.wv.index_to_key])
    np.savez(vectors, numbers=numbers, words=model.wv.vectors, contexts=model.syn1neg)
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    print(json.dumps({"cpu_seconds": cpu, "seconds": wall, "peak_mb": peak}))


if __name__ == "__main__":
    main()

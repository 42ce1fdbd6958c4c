"""The paragraph of the methods text on the encoder and its training."""

from __future__ import annotations

from collections.abc import Callable

from genocontrast.config import Config, TrainingConfig
from genocontrast.report.wording import integer, listing, number, plural

Cite = Callable[[str], str]
_LESSONS = {
    "pool": "on all promoters of the training split against all candidate decoys",
    "random": "on random decoys",
    "gc": "on decoys of the same GC content",
    "open": "on open decoys",
    "nearby": "on nearby decoys",
}


def training_paragraph(config: Config, cite: Cite) -> str:
    """What was trained, on which losses and how, in the order in which it happened."""
    training = config.training
    sentences = [
        # each reference is numbered where it is first cited
        f"{_encoder(config, cite)} was trained on {_losses(training, cite)}, with AdamW {cite('adamw')} (learning rate "
        f"{training.learning_rate:g}, weight decay {training.weight_decay:g}), batches of {training.batch_pairs} "
        f"pairs, dropout {training.dropout:g} and random shifts of up to {training.max_shift} bp for both classes, for "
        f"at most {plural(training.epochs, 'epoch')}; training stopped after {plural(training.patience, 'epoch')} "
        "without a better validation loss, taken at the temperature that fits the epoch best.",
        *_averaged(training),
        *_views(training),
        *_before(training, cite),
        *_mining(training),
    ]
    return " ".join(sentences)


def _encoder(config: Config, cite: Cite) -> str:
    training = config.training
    either = "" if training.strand == "free" else f", so that either strand has the same embedding {cite('strand')},"
    if training.encoder == "kmers":
        pooled = {
            "mean": "the mean",
            "sif": "the mean, in which frequent k-mers weigh less,",
            "attention": "the mean by learned weights",
        }[training.pooling]
        return (
            f"An encoder that reads a window as its canonical {config.kmers.k}-mers{either} takes {pooled} of "
            f"their vectors, which start as described below (embeddings of {training.dim} dimensions). It"
        )
    strand = {
        "tied": "whose filters are tied in pairs of reverse complements",
        "twin": "applied to both strands and averaged",
        "free": "on the given strand only",
    }[training.strand]
    attention = f"attention with {plural(training.heads, 'head')}"
    summary = {"attention": attention, "summary": "maximum and mean", "both": f"maximum, mean and {attention}"}
    place = f", curves along the window of {training.knots} points" if training.knots else ""
    return (
        f"A convolutional encoder ({training.width} channels in bins of {training.stride} bp, "
        f"{plural(training.depth, 'residual block')}{place}, pooled over positions by {summary[training.pool]}, "
        f"embeddings of {training.dim} dimensions) {strand}{either}"
    )


def _losses(training: TrainingConfig, cite: Cite) -> str:
    losses = []
    if training.classification_weight:
        directions = " of promoters on either strand" if training.orientation == "stranded" else ""
        losses.append(f"a classification loss{directions}")
    if training.contrastive_weight:
        losses.append(
            f"{number(training.contrastive_weight, 2)} times InfoNCE {cite('infonce')} at temperature "
            f"{number(training.temperature, 2)} (promoters as one class, the batch's decoys as negatives, a promoter's "
            "own decoy twice)"
        )
    if training.surrogate_weight:
        losses.append(
            f"{number(training.surrogate_weight, 2)} times the loss of telling windows from random sequences of their "
            "own dinucleotide composition"
        )
    combined = "" if training.harmony == "sum" else f", their gradients combined by {training.harmony}"
    return " plus ".join(losses) + combined


def _averaged(training: TrainingConfig) -> list[str]:
    if not training.average:
        return []
    return [f"The model is a moving average of the weights (decay {training.average:g} for each batch)."]


def _views(training: TrainingConfig) -> list[str]:
    names = [name.replace("_", " ") for view in training.views for name in view]
    return [f"Training windows were changed at random ({listing(names)})."] if names else []


def _before(training: TrainingConfig, cite: Cite) -> list[str]:
    sentences = []
    if training.pretraining.windows != "none":
        where = {"open": "at open chromatin", "genome": "side by side"}[training.pretraining.windows]
        hidden = " and to name hidden bases" if training.pretraining.masked_weight else ""
        sentences.append(
            f"Before, the encoder was pretrained for {plural(training.pretraining.epochs, 'epoch')} on windows {where} "
            f"of the training split: to tell loci from their neighbourhoods by InfoNCE {cite('infonce')}{hidden}."
        )
    if training.curriculum:
        lessons = listing([_LESSONS[name] for name in training.curriculum])
        epochs = integer(training.curriculum_epochs)
        sentences.append(f"Before the matched pairs it was trained {lessons}, for at most {epochs} epochs each.")
    return sentences


def _mining(training: TrainingConfig) -> list[str]:
    if not training.mined_rounds:
        return []
    times = "once" if training.mined_rounds == 1 else f"{training.mined_rounds} times"
    return [
        f"Training was repeated {times}, each time with the training promoters paired anew, within the same caliper, "
        "with the candidates nearest to them in the embedding of the model before, at prices of the covariates that "
        "keep the classes' means alike; candidates more like a promoter than promoters are like one another were left "
        "out. The model of lowest loss on the matched validation pairs was kept."
    ]

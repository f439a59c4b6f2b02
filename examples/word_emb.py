"""Word vectors from an n-gram model: the next word is predicted from the four words before it.

    python examples/word_emb.py                          # learns from the documentation inside Python itself
    python examples/word_emb.py --corpus book.txt        # or from any text
    python examples/word_emb.py --compare                # is_sparse=True beside is_sparse=False

It prints the test perplexity after every epoch beside that of a unigram model, and the nearest neighbours of a few
words. It writes vectors.txt (word2vec text format, which gensim reads) and loss.png into --output.
Model: Bengio et al., "A Neural Probabilistic Language Model" (2003).
"""

import argparse
import math
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from corpus import CONTEXT, UserError, read_corpus

import fluidlite as fluid

try:
    from tqdm import tqdm
except ImportError:
    tqdm = None

DICT_SIZE = 10000 * 10
EMBED_SIZE = 64
IS_SPARSE = True

TABLE = "word_table"
HIDDEN_SIZE = 128
LEARNING_RATES = {"sgd": 0.5, "adam": 0.001, "sparse_adam": 0.001}


def word_emb(word, dict_size=DICT_SIZE, embed_size=EMBED_SIZE, is_sparse=IS_SPARSE):
    """The vectors of the words whose ids are in `word`, (N, 1) -> (N, embed_size)."""
    return fluid.layers.embedding(
        input=word,
        size=[dict_size, embed_size],
        dtype="float32",
        param_attr=fluid.ParamAttr(
            name=TABLE,  # look-ups that give the same name share the table
            initializer=fluid.initializer.Normal(scale=1 / math.sqrt(dict_size)),
        ),
        is_sparse=is_sparse,
    )


class Model(NamedTuple):
    train: fluid.Program
    test: fluid.Program
    startup: fluid.Program
    loss: fluid.Variable
    table_grad: fluid.Variable


def build_model(options, n_words):
    train, startup = fluid.Program(), fluid.Program()
    train.random_seed = startup.random_seed = options.seed
    with fluid.program_guard(train, startup), fluid.unique_name.guard():
        context = [fluid.data(f"word_{k}", [None, 1], dtype="int64") for k in range(CONTEXT)]
        target = fluid.data("next_word", [None, 1], dtype="int64")
        vectors = [word_emb(w, options.dict_size, options.embed_size, options.is_sparse) for w in context]
        hidden = fluid.layers.fc(fluid.layers.concat(vectors, axis=1), HIDDEN_SIZE, act="tanh")
        # One op for softmax and cross entropy: faster, and exact where a probability is almost 0.
        scores = fluid.layers.fc(hidden, n_words)
        loss = fluid.layers.mean(fluid.layers.softmax_with_cross_entropy(scores, target))
        test = train.clone(for_test=True)
        params_grads = add_optimizer(loss, options)
    table_grad = next(grad for param, grad in params_grads if param.name == TABLE)
    return Model(train, test, startup, loss, table_grad)


def add_optimizer(loss, options):
    rate = options.learning_rate
    if options.optimizer == "sgd":
        return fluid.optimizer.SGD(rate).minimize(loss)[1]
    if options.optimizer == "adam":
        return fluid.optimizer.Adam(rate, lazy_mode=options.is_sparse).minimize(loss)[1]
    # SparseAdam updates tables only: the gradients are made once and shared out between two optimizers.
    params_grads = fluid.backward.append_backward(loss)
    fluid.optimizer.SparseAdam(rate).apply_gradients([pg for pg in params_grads if pg[0].name == TABLE])
    fluid.optimizer.Adam(rate).apply_gradients([pg for pg in params_grads if pg[0].name != TABLE])
    return params_grads


def as_feed(windows):
    columns = np.ascontiguousarray(windows.T, np.int64)[:, :, None]
    return {**{f"word_{k}": columns[k] for k in range(CONTEXT)}, "next_word": columns[CONTEXT]}


class Progress:
    """A tqdm bar on a terminal; without tqdm a line that renews itself; in a log file a line now and then."""

    def __init__(self, title, total):
        self.title, self.total, self.done, self.start = title, total, 0, time.perf_counter()
        self.terminal = sys.stderr.isatty()
        self.bar = tqdm(total=total, desc=title, unit=" words", unit_scale=True) if tqdm and self.terminal else None
        self.pause = 0.2 if self.terminal else 5.0
        self.due = self.start + self.pause

    def update(self, words, loss):
        self.done += words
        if self.bar:
            self.bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            self.bar.update(words)
        elif time.perf_counter() >= self.due or self.done == self.total:
            self.due = time.perf_counter() + self.pause
            self.show(loss)

    def show(self, loss):
        share, rate = self.done / self.total, self.done / (time.perf_counter() - self.start)
        blocks = "#" * int(20 * share)
        line = f"{self.title}  [{blocks:.<20}] {share:4.0%}  loss {loss:.3f}  {rate:,.0f} words/s"
        print("\r" + line if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr, flush=True)

    def close(self):
        if self.bar:
            self.bar.close()
        elif self.terminal:
            print(file=sys.stderr)


def train_steps(exe, model, corpus, batch_size, order, title, steps):
    """One step for each batch of the windows in `order`; `steps` gets (end in seconds, words, loss) of each."""
    progress = Progress(title, len(order))
    try:
        for at in range(0, len(order), batch_size):
            batch = corpus.train[order[at : at + batch_size]]
            (loss,) = exe.run(model.train, feed=as_feed(batch), fetch_list=[model.loss])
            loss = loss.item()
            if not math.isfinite(loss):
                raise UserError(f"the loss is {loss} after {len(steps)} steps: try a smaller --learning-rate")
            steps.append((time.perf_counter(), len(batch), loss))
            progress.update(len(batch), loss)
    finally:
        progress.close()


def perplexity(exe, model, windows, batch_size=1024):
    """exp of the mean negative log probability of the words that come next."""
    total = 0.0
    for at in range(0, len(windows), batch_size):
        batch = windows[at : at + batch_size]
        (loss,) = exe.run(model.test, feed=as_feed(batch), fetch_list=[model.loss.name])
        total += float(loss[0]) * len(batch)
    return math.exp(min(total / len(windows), 700))


def train(options, corpus, exe, model, steps, tests):
    """All epochs. `steps` and `tests`, the latter of (epoch, perplexity), fill up as they come."""
    rng = np.random.default_rng(options.seed)
    for epoch in range(1, options.epochs + 1):
        order = rng.permutation(len(corpus.train))
        title = f"epoch {epoch}/{options.epochs}"
        train_steps(exe, model, corpus, options.batch_size, order, title, steps)
        tests.append((epoch, perplexity(exe, model, corpus.test)))
        print(f"{title}: test perplexity {tests[-1][1]:.1f} (unigram {corpus.unigram_perplexity:.1f})", flush=True)


def print_neighbours(words, vectors):
    """The five nearest words, by cosine, of the most frequent words with five letters or more."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    shown = [k for k, w in enumerate(words) if len(w) >= 5 and k > 0][:8] or range(1, len(words))[:8]
    print("\nnearest neighbours by cosine:")
    for k in shown:
        cosine = unit @ unit[k]
        cosine[[0, k]] = -2
        nearest = np.argsort(-cosine)[: min(5, len(words) - 2)]
        print(f"  {words[k]:12} " + "  ".join(f"{words[j]} {cosine[j]:.2f}" for j in nearest))


def save_word2vec(path, words, vectors):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n")
        for word, vector in zip(words, vectors, strict=True):
            file.write(word + " " + " ".join(f"{x:.6g}" for x in vector) + "\n")


def save_curve(path, corpus, steps, tests):
    """Loss and perplexity are one quantity in two units, so they share the axes: perplexity = exp(loss)."""
    try:
        from matplotlib import ticker
        from matplotlib.figure import Figure
    except ImportError:
        print("loss curve:   none, because matplotlib is not installed (pip install matplotlib)")
        return
    _, words, loss = np.array(steps).T
    n = max(1, len(loss) // 200)
    seen, loss = (x[: len(x) // n * n].reshape(-1, n).mean(axis=1) for x in (np.cumsum(words), loss))
    unigram = corpus.unigram_perplexity
    figure = Figure(figsize=(8, 4.5), layout="constrained")  # without pyplot: drawn by Agg, no display is needed
    axes = figure.add_subplot()
    axes.plot(seen, loss, color="tab:blue", linewidth=1, label="training text")
    if tests:
        epoch, test = np.array(tests).T
        label = f"test text, perplexity {test[-1]:.0f} at the end"
        axes.plot(epoch * len(corpus.train), np.log(test), "o-", color="tab:orange", label=label)
    label = f"unigram model on the test text, perplexity {unigram:.0f}"
    axes.axhline(math.log(unigram), color="gray", linestyle="--", label=label)
    axes.set(title="Loss of the n-gram model", xlabel="words trained on", ylabel="loss (nats per word)", xlim=0)
    axes.xaxis.set_major_formatter(ticker.EngFormatter())
    axes.grid(alpha=0.3)
    axes.legend()
    right = axes.twinx()
    right.set(yscale="log", ylim=np.exp(axes.get_ylim()), ylabel="perplexity")
    right.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    right.yaxis.set_minor_locator(ticker.NullLocator())
    figure.savefig(path, dpi=120)
    print(f"loss curve:   {path}")


def run(options, corpus):
    options.output.mkdir(parents=True, exist_ok=True)
    model = build_model(options, len(corpus.words))
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(model.startup)
    start, steps, tests, status = time.perf_counter(), [], [], 0
    try:
        train(options, corpus, exe, model, steps, tests)
    except KeyboardInterrupt:
        print("\nInterrupted: training ends here, and what has been learned is saved.", flush=True)
        status = 130
    print(f"trained for {time.perf_counter() - start:.1f} s")
    table = fluid.global_scope().find_var(TABLE).get_tensor()
    vectors = np.array(table)[: len(corpus.words)]
    print_neighbours(corpus.words, vectors)
    path = options.output / "vectors.txt"
    save_word2vec(path, corpus.words, vectors)
    print(f"\nword vectors: {path} ({len(vectors):,} words, {vectors.shape[1]} numbers each, word2vec text format)")
    if steps:
        save_curve(options.output / "loss.png", corpus, steps, tests)
    return status


def peak_memory():
    """The largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


class Measured(NamedTuple):
    seconds: float  # median of a step
    memory: int  # bytes by which the peak grew since before the model was made
    grad_bytes: int
    grad_shape: str
    loss: float  # mean of the last 20 steps


def measure(options, corpus, is_sparse):
    options.is_sparse = is_sparse
    before, steps = peak_memory(), []
    model = build_model(options, len(corpus.words))
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(model.startup)
    order = np.random.default_rng(options.seed).integers(len(corpus.train), size=options.steps * options.batch_size)
    train_steps(exe, model, corpus, options.batch_size, order, f"is_sparse={is_sparse}", steps)
    memory = peak_memory() - before
    ends, _, losses = np.array(steps).T
    feed = as_feed(corpus.train[order[: options.batch_size]])
    (grad,) = exe.run(model.train, feed=feed, fetch_list=[model.table_grad])
    if is_sparse:
        size, shape = grad.rows.nbytes + grad.value.nbytes, f"rows {grad.rows.shape}, value {grad.value.shape}"
    else:
        size, shape = grad.nbytes, f"array {grad.shape}"
    return Measured(float(np.median(np.diff(ends))), memory, size, shape, float(losses[-20:].mean()))


def compare(options, corpus):
    """Each way in a process of its own: only so is a peak of memory the peak of one of them."""
    print(f"{options.steps} steps each way, batch {options.batch_size}, optimizer {options.optimizer}", flush=True)
    results = {}
    for is_sparse in (True, False):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            results[is_sparse] = pool.submit(measure, options, corpus, is_sparse).result()
    print(f"\n{'is_sparse':10}{'ms per step':>13}{'memory':>12}{'gradient of the table':>24}{'loss':>8}")
    for is_sparse, m in results.items():
        print(f"{is_sparse!s:10}{1e3 * m.seconds:13.2f}{m.memory / 1e6:9.1f} MB", end="")
        print(f"{m.grad_bytes:18,} bytes{m.loss:8.3f}  {m.grad_shape}")
    sparse, dense = results[True], results[False]
    time_ratio, size_ratio = dense.seconds / sparse.seconds, dense.grad_bytes / sparse.grad_bytes
    print(f"\nis_sparse=True takes 1/{time_ratio:.1f} of the time, and its gradient 1/{size_ratio:,.0f} of the bytes.")
    print("(ms per step: median; memory: growth of the process's peak resident size from before the model was made,")
    print("table and optimizer state included; loss: mean of the last 20 steps.)")
    return 0


def parse_arguments(argv):
    rates = ", ".join(f"{rate} for {name}" for name, rate in LEARNING_RATES.items())
    parser = argparse.ArgumentParser(usage="%(prog)s [options]", description="Train word vectors with an n-gram model.")
    add = parser.add_argument
    add("--corpus", metavar="FILE", help="a text in UTF-8; default: the documentation inside Python")
    add("--output", type=Path, default=Path("word_emb_output"), help="folder for the results, default ./%(default)s")
    add("--is-sparse", action=argparse.BooleanOptionalAction, default=IS_SPARSE, help="gradients of touched rows only")
    add("--optimizer", choices=list(LEARNING_RATES), default="adam", help="default %(default)s; lazy if sparse")
    add("--learning-rate", type=float, help=f"default {rates}")
    add("--dict-size", type=int, default=DICT_SIZE, help="rows of the table and limit of words, default %(default)s")
    add("--embed-size", type=int, default=EMBED_SIZE, help="width of a word vector, default %(default)s")
    add("--epochs", type=int, default=6, help="default %(default)s")
    add("--batch-size", type=int, default=128, help="default %(default)s")
    add("--seed", type=int, default=1, help="the same seed gives the same run, default %(default)s")
    add("--compare", action="store_true", help="measure is_sparse=True beside is_sparse=False instead of training")
    add("--steps", type=int, default=300, help="steps of --compare, each way, default %(default)s")
    options = parser.parse_args(argv)
    least = {"dict_size": 2, "embed_size": 1, "epochs": 1, "batch_size": 1, "seed": 1, "steps": 2}
    for name, smallest in least.items():
        if getattr(options, name) < smallest:
            parser.error(f"--{name.replace('_', '-')} must be at least {smallest}, not {getattr(options, name)}")
    if options.learning_rate is None:
        options.learning_rate = LEARNING_RATES[options.optimizer]
    if not (math.isfinite(options.learning_rate) and options.learning_rate > 0):
        parser.error(f"--learning-rate must be a positive number, not {options.learning_rate}")
    if options.optimizer == "sparse_adam" and (options.compare or not options.is_sparse):
        flag = "--compare, which also trains with is_sparse=False" if options.compare else "--no-is-sparse"
        parser.error(f"--optimizer sparse_adam needs sparse gradients and cannot go with {flag}; use adam or sgd")
    return options


def main(argv=None):
    options = parse_arguments(argv)
    try:
        corpus = read_corpus(options.corpus, options.dict_size)
        source = options.corpus or "the documentation inside Python (pydoc_data.topics)"
        print(f"corpus: {source}; {len(corpus.train):,} words to train on, {len(corpus.test):,} to test on")
        print(f"table:  {options.dict_size:,} x {options.embed_size}; the vocabulary is {len(corpus.words):,} words")
        if options.compare:
            return compare(options, corpus)
        with fluid.scope_guard(fluid.Scope()):
            return run(options, corpus)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except OSError as error:
        message = f"cannot use {error.filename}: {error.strerror}"
    except BrokenProcessPool:
        message = "a process that measured has died, perhaps because memory ran out: try a smaller --dict-size"
    except (UserError, fluid.EnforceNotMet) as error:
        message = str(error)
    print(f"word_emb: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())

"""What sparse Downpour reaches beside scikit-learn on the same 2^20 hashed features.

    python tests/benchmarks/clicks.py            logistic regression, Adagrad and FTRL
    python tests/benchmarks/clicks.py --pairs    a factorization machine where pairs matter

The problem is drawn from a seed (synthetic:clicks), 200,000 examples of which 40,000 are
held out, by the same split for all. scikit-learn minimises the same objective, mean log loss
plus l2/2 |weights|^2, with L-BFGS to a tight tolerance; the bias is not penalised.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from distbelief.app.datasets.sources.clicks import clicks
from distbelief.app.datasets.split.division import Shares, at_random
from distbelief.app.models.files import read_model
from distbelief.app.models.metrics import score

EXAMPLES, FEATURES, FIELDS, L2 = 200_000, 2**20, 20, 6.25e-5
PAIR_FIELDS, PAIR_FEATURES = 8, 2**14
COMMON = ("--batch-size=256", "--n-push=1", "--n-fetch=1")


def train(*words: str) -> tuple[Path, str, float]:
    """Run the command; the model, what it said in the end, and the seconds it trained."""
    folder = Path(tempfile.mkdtemp())
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", "train", *COMMON, *words, f"--folder={folder}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    said = done.stderr + done.stdout
    for line in re.findall(r"^tables.*$", said, re.MULTILINE):
        print(f"    {line}")
    return Path(done.stdout.rpartition("model: ")[2].strip()), said, time.monotonic() - began


def data_words(fields: int, features: int, rank: int) -> list[str]:
    options = {"examples": EXAMPLES, "features": features, "fields": fields, "rank": rank}
    return ["--data=synthetic:clicks", *(f"--data-option={k}={v}" for k, v in options.items())]


def told(name: str, train_loss: float, weights: float, held_out: float, seconds: float) -> None:
    print(
        f"{name:28} objective {train_loss + weights:.5f} (log loss {train_loss:.5f})  "
        f"held-out log loss {held_out:.5f}  {seconds:6.1f} s"
    )


def logistic(passes: int) -> None:
    drawn = clicks(EXAMPLES, FEATURES, FIELDS)
    parts = at_random(Shares(EXAMPLES, 0.2), 0)
    train_rows, heldout_rows = parts.train[:], parts.heldout[:]
    x, y = drawn.features[train_rows], drawn.targets[train_rows]
    x_out, y_out = drawn.features[heldout_rows], drawn.targets[heldout_rows]
    best = log_loss(y_out, drawn.chances[heldout_rows])
    print(f"held-out log loss of the truth {best:.5f}")
    began = time.monotonic()
    theirs = LogisticRegression(C=1 / (L2 * len(y)), tol=1e-6, max_iter=2000).fit(x, y)
    seconds = time.monotonic() - began
    penalty = L2 / 2 * float(np.square(theirs.coef_).sum())
    losses = (log_loss(y, theirs.predict_proba(x)), log_loss(y_out, theirs.predict_proba(x_out)))
    told("scikit-learn, L-BFGS", losses[0], penalty, losses[1], seconds)
    rules = {
        "Downpour, Adagrad": ("--optimizer=adagrad", "--initial-accumulator=1e-6"),
        "Downpour, FTRL": ("--optimizer=ftrl", "--ftrl-beta=0.001"),
    }
    same = ("--model=logistic", "--learning-rate=0.05", f"--l2={L2}")
    for name, words in rules.items():
        file, _, seconds = train(
            *data_words(FIELDS, FEATURES, 0), *same, f"--passes={passes}", *words
        )
        saved = read_model(file)
        source = saved.source()
        mine = score(source, x, y).loss, score(source, x_out, y_out).loss
        weights = saved.flat()[:-1]
        told(name, mine[0], L2 / 2 * float(np.square(weights).sum()), mine[1], seconds)


def pairs(passes: int) -> None:
    drawn = clicks(EXAMPLES, PAIR_FEATURES, PAIR_FIELDS, rank=4)
    heldout = at_random(Shares(EXAMPLES, 0.2), 0).heldout[:]
    truth = log_loss(drawn.targets[heldout], drawn.chances[heldout])
    print(f"held-out log loss of the truth {truth:.5f}")
    rate = ("--learning-rate=0.1", "--initial-accumulator=0.01", f"--passes={passes}")
    for words in (("--model=logistic",), ("--model=fm", "--rank=8")):
        file, _, seconds = train(
            *data_words(PAIR_FIELDS, PAIR_FEATURES, 4), "--table-numbers=1", *words, *rate
        )
        source = read_model(file).source()
        loss = score(source, drawn.features[heldout], drawn.targets[heldout]).loss
        print(f"{' '.join(words):28} held-out log loss {loss:.5f}  {seconds:6.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--passes", type=int, default=8)
    arguments = parser.parse_args()
    (pairs if arguments.pairs else logistic)(arguments.passes)


if __name__ == "__main__":
    main()

"""Train a small classifier on so many generated points and store it as FOLDER/model.joblib."""

import sys
from pathlib import Path

import joblib  # type: ignore[import-not-found]
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

SEED = 7


def main(folder: str, count: int) -> None:
    """Three clouds of points in four dimensions, told apart by logistic regression."""
    points, labels = make_blobs(n_samples=count, n_features=4, centers=3, cluster_std=2.0, random_state=SEED)
    classifier = LogisticRegression(max_iter=1000).fit(points, labels)
    joblib.dump(classifier, Path(folder) / "model.joblib")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

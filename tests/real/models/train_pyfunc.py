"""Train a small regression on generated points and store it as an MLflow model in FOLDER."""

import sys

import mlflow.sklearn
import pandas as pd  # type: ignore[import-untyped]
from mlflow.models import infer_signature
from sklearn.datasets import make_regression
from sklearn.linear_model import LinearRegression

SEED = 7


def main(folder: str) -> None:
    """A line through points in three dimensions, with a signature, so that MLflow checks what it is sent."""
    points, values = make_regression(n_samples=200, n_features=3, noise=1.0, random_state=SEED)
    frame = pd.DataFrame(points, columns=["height", "width", "depth"])
    model = LinearRegression().fit(frame, values)
    mlflow.sklearn.save_model(model, folder, signature=infer_signature(frame, model.predict(frame)))


if __name__ == "__main__":
    main(sys.argv[1])

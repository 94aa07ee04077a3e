"""Registers two versions of a model on the MLflow server at URL: run, figures, tags, and a file besides."""

import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

ROWS = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]
LABELS = [0, 0, 1, 1]


def main(url: str) -> None:
    """Train, log and register."""
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("cards")
    client = MlflowClient(url)
    for number, penalty in enumerate((0.1, 10.0), start=1):
        model = LogisticRegression(C=penalty).fit(ROWS, LABELS)
        with mlflow.start_run():
            mlflow.log_metric("auc", round(0.8 + number / 100, 2))
            mlflow.log_metric("loss", round(0.5 - number / 100, 2))
            mlflow.set_tag("mlflow.source.git.commit", f"{number}" * 40)
            # Folders within folders, and names that have to be quoted in a URL.
            extra = Path(f"notes {number}.txt")
            extra.write_text(f"penalty {penalty}, ümlaut\n", encoding="utf-8")
            # Named, or it would look for them in a process of its own, for a minute.
            needs = ["scikit-learn"]
            logged = mlflow.sklearn.log_model(
                model, name="model", extra_files=[str(extra)], pip_requirements=needs
            )
        registered = mlflow.register_model(logged.model_uri, "fraud")
        client.set_model_version_tag("fraud", registered.version, "team", "risk")
        client.update_model_version("fraud", registered.version, description=f"penalty {penalty}")


if __name__ == "__main__":
    main(sys.argv[1])

"""From a trial's spec to its folder: token store, encoder step, losses, loop, checkpoints. No ray, mlflow or optuna."""

"""The search for hyper-parameters: on a part later than the one the trees grow on, and the same for the same data."""

from __future__ import annotations

from dataclasses import replace

from ml.boosting import BoostedTrees, Labelled
from ml.buy_till_you_die import BuyTillYouDie
from ml.metrics import mean_log_loss
from ml.spec import ModelSpec, TreeParameters

MOST_TRIALS = 40
# On fewer rows a search mostly finds what fits the validation part by chance.
_ROWS_A_TRIAL = 2_000
# What growing trees until they stop costs, in seconds on one core: to start with, and for each cell of the features.
_SECONDS_A_TRIAL, _SECONDS_A_CELL = 0.3, 1.5e-6


def trials_for(rows: int, features: int, *, seconds: float) -> int:
    """How many settings to try on so many rows.

    The budget of seconds becomes a number of trials by fixed rates, never by a clock: a busy machine would otherwise
    find another model in the same data.

    Args:
        rows: Rows the trees grow on.
        features: Columns they read.
        seconds: How long the search may take, about, on a core of 2020 or later; 0 for none.
    """
    affordable = int(seconds / (_SECONDS_A_TRIAL + _SECONDS_A_CELL * rows * features))
    return max(0, min(MOST_TRIALS, affordable, rows // _ROWS_A_TRIAL))


def tune(
    spec: ModelSpec,
    train: Labelled,
    validation: Labelled,
    *,
    trials: int,
    start: BuyTillYouDie | None = None,
    seed: int = 0,
    n_jobs: int = 2,
) -> tuple[TreeParameters, float]:
    """Searches for the parameters with the least log loss on the validation part.

    Optuna's tree-structured Parzen estimator, seeded; the spec's own parameters are tried first, so that a search never
    ends with worse ones.

    Args:
        spec: The model, with the parameters to begin with.
        train: Earlier rows (x, y).
        validation: Later rows, which also stop the trees.
        trials: How many settings to try; with fewer than two, the spec's own are kept.
        start: What the trees start from.
        seed: Of the search and the trees.
        n_jobs: Threads; never changes the result.

    Returns:
        The parameters, and their log loss on the validation part; NaN where nothing was tried.
    """
    if trials < 2:
        return spec.trees, float("nan")
    # Imported here: it takes a second that scoring should not pay.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given = spec.trees

    def loss(trial: optuna.Trial) -> float:
        chosen = replace(
            given,
            max_depth=trial.suggest_int("max_depth", 2, 7),
            learning_rate=trial.suggest_float("learning_rate", 0.03, 0.2, log=True),
            min_child_weight=trial.suggest_float("min_child_weight", 1.0, 100.0, log=True),
            subsample=trial.suggest_float("subsample", 0.5, 1.0),
            colsample_bytree=trial.suggest_float("colsample_bytree", 0.3, 1.0),
            reg_lambda=trial.suggest_float("reg_lambda", 0.1, 100.0, log=True),
        )
        trees = BoostedTrees(replace(spec, trees=chosen), seed=seed, n_jobs=n_jobs)
        trees.fit(*train, validation=validation, start=start)
        x, y = validation
        return mean_log_loss(y, trees.predict_proba(x)[:, 1])

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({name: getattr(given, name) for name in _SEARCHED})
    study.optimize(loss, n_trials=trials)
    return replace(given, **study.best_params), float(study.best_value)


_SEARCHED = ("max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda")

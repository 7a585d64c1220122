"""Resume a search by Optuna from the database in the sweep's directory."""

import logging
import warnings
from pathlib import Path

from omegaconf import DictConfig

from ser_lightning.utils.errors import UserError, first_line

log = logging.getLogger("ser_lightning.sweep")


def resume_search(sweeper: DictConfig) -> None:
    """Change the sweeper's config so that it runs the trials that are left: ``n_trials`` counts the full search.

    Trials that were interrupted are tried again, with the same values: their directories hold what was done.
    Raises: UserError where the database cannot be read.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, prefix = sweeper.storage or "", "sqlite:///"
    database = Path(storage.removeprefix(prefix))
    if not storage.startswith(prefix) or not database.is_file():
        return
    try:
        study = optuna.create_study(
            study_name=sweeper.study_name, storage=storage, direction=sweeper.direction, load_if_exists=True
        )
        trials = study.get_trials(deepcopy=False)
    except SQLAlchemyError as error:
        raise UserError(
            f"{database} cannot be read ({first_line(error)}): begin the search anew in its own hydra.sweep.dir"
        ) from error
    states = optuna.trial.TrialState
    for trial in trials:
        if trial.state == states.RUNNING:
            study.tell(trial.number, state=states.FAIL)
            with warnings.catch_warnings():  # to say that enqueueing is new would help nobody
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.enqueue_trial(trial.params)
    n_done = sum(trial.state in (states.COMPLETE, states.PRUNED) for trial in trials)
    sweeper.n_trials = max(0, sweeper.n_trials - n_done)
    if sweeper.sampler.get("seed") is not None:
        sweeper.sampler.seed += len(trials)  # not the first trials' values once more
    log.info("trials done before: %d, left: %d", n_done, sweeper.n_trials)

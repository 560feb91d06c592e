"""How much each parameter mattered in a run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from agentopt.protocols import Objective
from agentopt.space import SearchSpace
from agentopt.trial import Trial

FEWEST = 20
"""With fewer complete trials than this, an estimate would say nothing."""


def importance(complete: Sequence[Trial], objective: Objective, space: SearchSpace) -> Mapping[str, float] | str:
    """Returns each parameter's share in reaching the best tenth of the trials, the largest first, or why there is none.

    It is Optuna's PED-ANOVA (local, on the best tenth) of the complete trials' first values, those of `objective`.
    """
    if len(complete) < FEWEST:
        return f"Too few trials to tell: {len(complete)} are complete, and an estimate needs {FEWEST}."
    if len({trial.values[0] for trial in complete}) == 1:
        return "All complete trials have the same value, so no parameter can be said to matter."
    import optuna

    distributions = space.to_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study()
            for trial in complete:
                loss = objective.loss(trial.values[0])
                params = space.optuna_params(trial.params)
                study.add_trial(optuna.create_trial(value=loss, params=params, distributions=distributions))
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError, KeyError) as error:
        return f"It cannot be estimated: {error}"
    finally:
        optuna.logging.set_verbosity(before)
    if not any(shares.values()):
        return "The best trials do not differ from the others in any one parameter."
    return dict(sorted(shares.items(), key=lambda item: -item[1]))

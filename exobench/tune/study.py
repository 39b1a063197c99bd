"""The study that all workers share: who tries what, whose worker died, and what is left to do."""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.provenance import code_version, hardware, package_versions
from exobench.seeds import derived_seed
from exobench.tune.settings import TuneSettings
from exobench.tune.space import Space, Value, key_of

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

KEY, TRY, REASON, NOT_COUNTED = "key", "try", "reason", "not_counted"
"""Attributes of a trial: what its values are known by, how often they were tried before, why it failed, and whether
its place among the n_trials is free again."""
STARTS = "starts"
"""Attribute of a study: what the values that it was given to begin with are known by."""
MADE_BY = "made_by"
"""Attribute of a study: code and machines that worked on it."""
FEWEST = 3
"""Trials after which a search without a success is given up."""
_MOST_TRIES = 2
_SUGGESTIONS = 200
"""Suggestions in a row that were tried before; then the space is taken to be exhausted."""


def load_optuna() -> Any:
    """The package optuna, quiet.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("exobench.tune needs the package optuna: pip install 'exobench[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(settings: TuneSettings, folder: Path, worker_seed: int) -> optuna.study.Study:
    """Creates the study or joins it.

    Args:
        settings: of the search.
        folder: of the study.
        worker_seed: of this worker's suggestions.
    """
    optuna = load_optuna()
    folder.mkdir(parents=True, exist_ok=True)
    storage = settings.storage
    if storage is None:
        backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
        storage = optuna.storages.JournalStorage(backend)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=4)
    try:
        with locked(folder):  # fresh databases refuse two creators at once
            study = optuna.create_study(
                study_name=folder.name,
                storage=storage,
                directions=settings.directions,
                sampler=_sampler(worker_seed),
                pruner=pruner if settings.prune else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
            n_known = len(study.get_trials(deepcopy=False))
    except (ImportError, OSError, ValueError, optuna.exceptions.OptunaError) as error:
        reason = " ".join(str(error).split())
        raise ExobenchError(f"storage={settings.storage}: the study cannot be opened ({reason}).") from error
    if n_known:  # a worker that starts again would suggest again what it did at first
        study.sampler = _sampler(derived_seed("resumed", worker_seed, n_known) % 2**32)
    return study


def sign(study: optuna.study.Study, folder: Path, device: str) -> None:
    """Notes in the study which code on which machine works on it, once for each."""
    maker = {"versions": {**code_version(), **package_versions()}, "hardware": hardware(device)}
    with locked(folder):
        known = study.user_attrs.get(MADE_BY, [])
        if maker not in known:
            study.set_user_attr(MADE_BY, [*known, maker])


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    return load_optuna().samplers.TPESampler(constant_liar=True, multivariate=False, seed=seed)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the study for a moment; the operating system lets go when its holder dies."""
    with (folder / ".study.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Board:
    """Hands out trials and takes them back.

    Args:
        study: shared.
        space: what is tuned.
        folder: of the study.
        settings: of the search.
        starts: values that are tried after the defaults.
    """

    def __init__(
        self,
        study: optuna.study.Study,
        space: Space,
        folder: Path,
        settings: TuneSettings,
        starts: Sequence[Mapping[str, Value]] = (),
    ) -> None:
        self._starts = starts
        self.study, self._space, self._folder, self._settings = study, space, folder, settings
        self._state = load_optuna().trial.TrialState
        self._beats = folder / "heartbeats"
        self._beats.mkdir(exist_ok=True)

    def take(self) -> tuple[optuna.trial.Trial, dict[str, Value]] | None:
        """A trial for this worker; None where all are done or with other workers."""
        with locked(self._folder):
            self._reap()
            self._enqueue_starts()
            if self.n_done + self.n_running >= self._settings.n_trials:
                return None
            return self._new()

    @property
    def n_running(self) -> int:
        """Trials that a worker is at."""
        return len(self._in(self._state.RUNNING))

    @property
    def n_done(self) -> int:
        """Trials that are over for good."""
        over = self._in(self._state.COMPLETE, self._state.PRUNED, self._state.FAIL)
        return sum(NOT_COUNTED not in trial.user_attrs for trial in over)

    def only_failures(self) -> bool:
        """Whether so many trials failed, and none succeeded, that the fault is not theirs."""
        failed = [trial for trial in self._in(self._state.FAIL) if NOT_COUNTED not in trial.user_attrs]
        return len(failed) >= FEWEST and not self._in(self._state.COMPLETE, self._state.PRUNED)

    def finish(self, trial: optuna.trial.Trial, values: list[float], facts: Mapping[str, Any]) -> None:
        """Notes the objectives of a finished trial."""
        with self._own(trial):
            for name, value in facts.items():
                trial.set_user_attr(name, value)
            self.study.tell(trial, values)

    def prune(self, trial: optuna.trial.Trial) -> None:
        """Notes that a trial ended early."""
        with self._own(trial):
            self.study.tell(trial, state=self._state.PRUNED)

    def fail(self, trial: optuna.trial.Trial, reason: str) -> None:
        """Notes a failure that would come again."""
        with self._own(trial):
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=self._state.FAIL)

    def hand_back(self, trial: optuna.trial.Trial, values: Mapping[str, Value]) -> None:
        """Leaves a trial that was interrupted to whoever comes next; the fit goes on where it was."""
        with self._own(trial):
            trial.set_user_attr(REASON, "stopped, to be gone on with")
            trial.set_user_attr(NOT_COUNTED, True)
            self.study.tell(trial, state=self._state.FAIL)
            self.study.enqueue_trial(dict(values), user_attrs={TRY: trial.user_attrs[TRY]})

    @contextmanager
    def alive(self, trial: optuna.trial.Trial) -> Iterator[None]:
        """Touches the trial's file until the end of the block."""
        path, end = self._beats / str(trial.number), threading.Event()

        def beat() -> None:
            while not end.wait(self._settings.beat_seconds):
                path.touch()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _enqueue_starts(self) -> None:
        """Once a study: the settings that it is to improve on, then those that the board was given."""
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(self._space.defaults, user_attrs={TRY: 0})
        known = self.study.user_attrs.get(STARTS, [key_of(self._space.defaults)])
        new = {key_of(values): values for values in self._starts if key_of(values) not in known}
        for values in new.values():
            self.study.enqueue_trial(dict(values), user_attrs={TRY: 0})
        if new:
            self.study.set_user_attr(STARTS, [*known, *new])

    def _new(self) -> tuple[optuna.trial.Trial, dict[str, Value]] | None:
        known = {t.user_attrs[KEY] for t in self.study.get_trials(deepcopy=False) if KEY in t.user_attrs}
        for _ in range(_SUGGESTIONS):
            trial = self.study.ask()
            (self._beats / str(trial.number)).touch()
            values = self._space.suggest(trial)
            key = key_of(values)
            again = trial.user_attrs.get(TRY)
            if again is not None or key not in known:
                trial.set_user_attr(KEY, key)
                trial.set_user_attr(TRY, again or 0)
                return trial, values
            trial.set_user_attr(NOT_COUNTED, True)
            trial.set_user_attr(REASON, "these values were tried before")
            self.study.tell(trial, state=self._state.FAIL)
        log.warning("the search space seems exhausted: %d suggestions in a row were tried before.", _SUGGESTIONS)
        return None

    def _reap(self) -> None:
        """Fails trials without a sign of life, and gives their values one more try; for the holder of the lock."""
        for trial in self._in(self._state.RUNNING):
            age = self._silence(trial.number)
            if age is not None and age < self._settings.stale_seconds:
                continue
            tries = int(trial.user_attrs.get(TRY, 0)) + 1
            last = tries >= _MOST_TRIES
            storage, number = self.study._storage, trial.number
            storage.set_trial_user_attr(trial._trial_id, REASON, f"its worker died, try {tries} of {_MOST_TRIES}")
            if not last:
                storage.set_trial_user_attr(trial._trial_id, NOT_COUNTED, True)
            self.study.tell(number, state=self._state.FAIL)
            if not last:
                self.study.enqueue_trial(dict(trial.params), user_attrs={TRY: tries})
            log.warning("trial %d: its worker died%s.", number, "" if last else "; it is tried again")

    def _silence(self, number: int) -> float | None:
        """Seconds since a trial's last sign of life by the clock of the file system, or None without one."""
        now = self._beats / "now"
        now.touch()
        try:
            return now.stat().st_mtime - (self._beats / str(number)).stat().st_mtime
        except FileNotFoundError:
            return None

    def _in(self, *states: Any) -> list[Any]:
        return self.study.get_trials(deepcopy=False, states=states)

    @contextmanager
    def _own(self, trial: optuna.trial.Trial) -> Iterator[None]:
        """Holds the lock; where others took this worker for dead, its result is theirs to find in the fit's folder."""
        with locked(self._folder):
            mine = self.study.get_trials(deepcopy=False)[trial.number]
            if mine.state != self._state.RUNNING:
                raise TakenAway(f"trial {trial.number} was given to another worker, because this one was silent.")
            yield
        (self._beats / str(trial.number)).unlink(missing_ok=True)


class TakenAway(Exception):
    """Another worker has this one's trial."""


def wait_a_moment(seconds: float) -> None:
    """Between two looks at a study that others work on."""
    time.sleep(min(seconds, 1.0))

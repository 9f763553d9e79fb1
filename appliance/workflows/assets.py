"""Which asset each experiment of a night is, and what was tried; a view of the ledger kept in memory."""

from collections.abc import Mapping

from appliance import tasks
from appliance.ledger import Ledger
from appliance.records import Constant, Verdict


class Assets:
    """Experiment → asset. Experiment 0 is the baseline."""

    def __init__(self, book: Ledger) -> None:
        self._book = book
        self._sha256 = {0: book.plan.baseline_sha256}
        self._constants: dict[int, dict[str, Constant]] = {0: tasks.read_constants(self.files(0))}
        self._tried: dict[str, int] = {tasks.fingerprint(self.files(0)): 0}
        for experiment in book.experiments():
            files = book.load_asset(experiment.asset_sha256)
            self.add(experiment.experiment, experiment.asset_sha256, files, ran=experiment.verdict is not Verdict.REFUSED)

    def add(self, experiment: int, sha256: str, files: Mapping[str, str], *, ran: bool) -> None:
        """Take in a proposal's asset; a refused one is kept and may be proposed again as part of something else."""
        self._sha256[experiment] = sha256
        if ran:
            self._constants[experiment] = tasks.read_constants(files)
            self._tried.setdefault(tasks.fingerprint(files), experiment)

    def sha256(self, experiment: int) -> str:
        """Asset of an experiment."""
        return self._sha256[experiment]

    def files(self, experiment: int) -> dict[str, str]:
        """Its files."""
        return self._book.load_asset(self._sha256[experiment])

    def tried(self, before: int) -> set[str]:
        """Fingerprints of what ran in earlier experiments."""
        return {fingerprint for fingerprint, experiment in self._tried.items() if experiment < before}

    def configurations(self) -> Mapping[int, Mapping[str, Constant]]:
        """Experiment → constants, of those that ran."""
        return self._constants

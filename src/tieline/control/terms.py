"""On what terms each market takes a kind of job: speed, reasons against, time before the start."""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.control.replicas import Replicas
from tieline.model.accelerator import Accelerator
from tieline.model.errors import InputError
from tieline.model.job import JobKind
from tieline.model.network import Network, Tenant
from tieline.model.rates import RateBook
from tieline.model.snapshot import Snapshot
from tieline.model.units import SECONDS_PER_HOUR
from tieline.scheduling.filters import chip_bars, place_bars


class Row(NamedTuple):
    """One kind in every market, each of shape (M,)."""

    rate: NDArray[np.float64]
    """0 wherever anything bars the kind."""
    bars: NDArray[np.uint32]
    """Bits of `Reason`."""
    stage: NDArray[np.float64]
    """Time before the work begins [s]; inf where barred."""
    charge: NDArray[np.float64]
    """`stage` and all else that counts like time before the work [s]; inf where barred."""
    pace: NDArray[np.float64]
    """1 / rate; inf where barred."""
    absent: NDArray[np.bool_]
    """Whether data must be brought before a start."""

    def faster(self, factor: float) -> "Row":
        """Give the terms for work that goes on `factor` times as fast everywhere."""
        return self._replace(rate=self.rate * factor, pace=self.pace / factor)


class Terms:
    """Works out rate, bars and staging of a kind in every market.

    Markets differ in what the pools are (model, trust, stacks) and where they stand
    (region). Both are worked out once per kind and combined, so a thousand sites cost as
    much as the few dozen natures and regions they have.
    """

    def __init__(
        self,
        network: Network,
        accelerators: Mapping[str, Accelerator],
        rates: RateBook,
        snapshot: Snapshot,
        *,
        moves_data: bool = False,
    ) -> None:
        """Group the markets of the snapshot by what they are and where they stand.

        Parameters
        ----------
        moves_data
            Whether data is moved into the caches of regions before jobs start.
        """
        self._moves_data = moves_data
        self._usd_per_s = (network.usd_per_accelerator_hour or inf) / SECONDS_PER_HOUR
        self._rates = rates
        self._accelerators = accelerators
        self._datasets = {dataset.id: dataset for dataset in network.datasets}
        self._regions = [region.id for region in network.regions]
        self._market_region = snapshot.markets["region"]
        pools = [network.pools[p] for p in snapshot.market_pools[snapshot.markets["first"]]]
        natures = [(pool.accelerator, pool.trust, pool.stacks) for pool in pools]
        distinct = {nature: i for i, nature in enumerate(dict.fromkeys(natures))}
        self._market_nature = np.array([distinct[nature] for nature in natures])
        self._nature_pool = [pools[natures.index(nature)] for nature in distinct]

    def of(self, kind: JobKind, tenant: Tenant, replicas: Replicas, now: float) -> Row:
        """Give the terms of the kind in every market.

        Parameters
        ----------
        replicas
            Who holds which dataset.
        now
            [s].

        Raises
        ------
        InputError
            The kind uses a dataset that the network does not have, or a rate is negative or
            not finite.
        """
        unknown = [name for name in kind.datasets if name not in self._datasets]
        if unknown:
            raise InputError(
                f"a job of tenant {kind.tenant} uses dataset {unknown[0]}, which the network "
                "does not have; name one of its datasets, or add it to the network"
            )
        datasets = [self._datasets[name] for name in kind.datasets]
        staging, charge = self._staging(kind, replicas, now)
        fits = replicas.fit(replicas.rows(kind.datasets)) | (not self._moves_data)
        rates, chip = [], []
        for pool in self._nature_pool:
            accelerator = self._accelerators[pool.accelerator]
            rates.append(self._rates.rate(kind.workload, pool.accelerator, kind.count).value)
            if not 0 <= rates[-1] < inf:
                raise InputError(
                    f"the rate of {kind.workload} on {pool.accelerator} is {rates[-1]}; "
                    "allowed: a finite number, 0 or more"
                )
            chip.append(int(chip_bars(kind, pool, accelerator, tenant, datasets, rates[-1])))
        place = [
            int(place_bars(kind, region, datasets, float(time_s), fits=bool(room)))
            for region, time_s, room in zip(self._regions, staging, fits, strict=True)
        ]
        bars = (
            np.array(chip, np.uint32)[self._market_nature]
            | np.array(place, np.uint32)[self._market_region]
        )
        rate = np.where(bars == 0, np.array(rates)[self._market_nature], 0.0)
        stage = np.where(bars == 0, staging[self._market_region], np.inf)
        charge = np.where(bars == 0, charge[self._market_region], np.inf)
        pace = np.divide(1.0, rate, out=np.full(len(rate), np.inf), where=rate > 0)
        absent = self._absent(kind, replicas)
        return Row(rate, bars, stage, charge, pace, absent)

    def data(
        self, kind: JobKind, replicas: Replicas, now: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Give what changes with replicas and transfers: stage, charge and absent as in `Row`.

        Of markets that the kind may use; in others it means nothing.
        """
        staging, charge = self._staging(kind, replicas, now)
        region = self._market_region
        return staging[region], charge[region], self._absent(kind, replicas)

    def _staging(
        self, kind: JobKind, replicas: Replicas, now: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the time to bring the kind's data to each region, and the charge [s]; axis R."""
        staging, usd = np.zeros(len(self._regions)), np.zeros(len(self._regions))
        for dataset in replicas.rows(kind.datasets).tolist():
            time_s, cost = replicas.time_and_cost(dataset, now)
            staging += time_s
            usd += cost
        return staging, staging + usd / (self._usd_per_s * kind.count)

    def _absent(self, kind: JobKind, replicas: Replicas) -> NDArray[np.bool_]:
        """Give the markets where the kind's data must be brought before a start; axis M."""
        if not (kind.datasets and self._moves_data):
            return np.zeros(len(self._market_region), np.bool_)
        return np.asarray(~replicas.present(replicas.rows(kind.datasets))[self._market_region])

"""How work gets from the region where it comes up to the one where it is served.

At home, over one link, or over two. All ways of a pair of regions are there, so that a plan can
split work over them, and another link only adds ways: it never makes a plan dearer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import PlanSpec

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ways:
    """Axis V: first the regions themselves, then single links, then pairs of them."""

    start: _Ints
    """Axis V: region in which the work comes up."""
    end: _Ints
    """Axis V: region in which it is served."""
    links: _Ints
    """Axes V, 2: directed links (2i is link i as written, 2i + 1 the way back); -1 for none."""
    rtt_s: _Floats
    """Axis V."""
    usd_per_byte: _Floats
    """Axis V."""
    names: tuple[str, ...]
    """Axis V: the regions on the way, such as `east>west`."""

    @property
    def away(self) -> NDArray[np.bool_]:
        """Axis V: it is served in another region."""
        away: NDArray[np.bool_] = self.start != self.end
        return away

    def usable(self, max_rtt_s: float, bytes_s: float) -> NDArray[np.bool_]:
        """Give the ways that work may take; axis V.

        Work without traffic loads no link: one way between two regions is as good as another.
        """
        short = ~self.away | (self.rtt_s <= max_rtt_s)
        if bytes_s > 0:
            return short
        pairs = self.start * (self.start.max() + 1) + self.end
        _, first = np.unique(np.where(short, pairs, -1), return_index=True)
        once = np.zeros(len(short), np.bool_)
        once[first] = True
        return short & once


def ways_of(spec: PlanSpec) -> Ways:
    """Give all ways over at most two links between the regions of a plan."""
    row = {one.region.id: i for i, one in enumerate(spec.regions)}
    home = np.arange(len(row))
    ends = np.array([[row[end] for end in link.ends] for link in spec.links], np.int64)
    ends = ends.reshape(-1, 2)
    start, end = ends.reshape(-1), ends[:, ::-1].reshape(-1)
    first, then = np.nonzero((end[:, None] == start) & (start[:, None] != end))
    none = np.full(len(home), -1)
    links = np.concatenate(
        [
            np.column_stack([none, none]),
            np.column_stack([np.arange(len(start)), np.full(len(start), -1)]),
            np.column_stack([first, then]),
        ]
    )
    names = [one.region.id for one in spec.regions]
    stops = [
        *((i,) for i in home.tolist()),
        *zip(start.tolist(), end.tolist(), strict=True),
        *zip(start[first].tolist(), end[first].tolist(), end[then].tolist(), strict=True),
    ]
    rtt = np.append(np.repeat([link.rtt_s for link in spec.links], 2), 0.0)
    usd = np.append(np.repeat([link.usd_per_byte for link in spec.links], 2), 0.0)
    return Ways(
        start=np.concatenate([home, start, start[first]]),
        end=np.concatenate([home, end, end[then]]),
        links=links,
        rtt_s=rtt[links].sum(axis=1),
        usd_per_byte=usd[links].sum(axis=1),
        names=tuple(">".join(names[i] for i in way) for way in stops),
    )

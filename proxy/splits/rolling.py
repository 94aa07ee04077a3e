"""Rolling: a canary that takes its place endpoint by endpoint."""

from __future__ import annotations

from proxy.splits.canary import CanarySplit


class RollingSplit(CanarySplit):
    """`rolling`: keys are divided as by `canary`; the weight also says which endpoints take part.

    Which ones is worked out when the table is made (`proxy.walk`): at weight w the first part w of the
    canary's endpoints serves, and the first part w of the stable's does not any more. So each endpoint of the
    canary is given its requests one after the other, and a pair of machines that trade places never works
    for both.
    """

    kind = "rolling"
    walks = True

from tieline.planning.inputs import Inputs


def conflict(inputs: Inputs) -> str:
    return "conflict"


def unlimited(inputs: Inputs) -> str:
    return "unlimited"

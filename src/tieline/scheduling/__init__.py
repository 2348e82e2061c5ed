"""decide(snapshot, policy, now) -> decision: filters, order, clearing, packing, explanation.

Pure and deterministic: the same snapshot, policy and time give the same decision.
"""

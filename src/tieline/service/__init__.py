"""The live side: the loop that runs a network, what it tells, and the HTTP API in front of it.

composition    the one place that names concrete engines and stores
loop           load, look, reconcile, decide, record, tell    sites   one site, its own thread
roster         the jobs in memory                             views   what is told of it all
control_plane  one method per question or request
api, api_*     one route per method        answers  from views to the wire
access         who may do what             callers  who asks: tokens, oidc
guard, server  what is turned away         errors   from errors to statuses
trail, logs    what is kept of requests    metrics  what Prometheus is told
"""

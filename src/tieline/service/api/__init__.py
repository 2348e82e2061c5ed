"""HTTP in front of a control plane.

app       the application                    jobs, network, tokens  one route per method
routing   a route with its rule and threads  bodies    what comes in
forward   on to the leader                   guard, limits, server  what is turned away
trail     what is kept of each request
"""

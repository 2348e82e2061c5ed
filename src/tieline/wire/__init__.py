"""What goes over the wire between the service and its clients: one definition for both ends.

Every field that is not in a base unit carries its unit; times are UTC epochs in seconds. A
field may be added, none is renamed or given another meaning under the same `/v1`.
"""

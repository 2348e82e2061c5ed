"""The policies, one file each; `tieline.scheduling.registry` lists them."""

"""Engines: what runs jobs at a site. The contract is `tieline.control.ports.Engine`."""

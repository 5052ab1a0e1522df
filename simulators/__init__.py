"""Simulated bodies, wearables, gateways and recordings: everything the tests and the demo are fed with."""

"""MQTT 5 and 3.1.1 as the endpoint speaks it: codec, session and rights. Every module here is pure."""

"""The edge: everything between a wearable and the durable uplink to ingest."""

"""The ingest worker: sources, validation, filters and stores."""

"""From the journal to InfluxDB and its relatives: lines, what an answer means, forwarding, backfill, verification."""

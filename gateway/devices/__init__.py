"""Device drivers: how each kind of wearable is recognised, started and understood. A new device is one file here."""

"""The alert engine: conditions, alarm signals, notification and the station page."""

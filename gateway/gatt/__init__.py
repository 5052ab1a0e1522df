"""What travels in GATT characteristics: one pair of encode and decode per file, nothing but bytes and values."""

"""The shared core: the words, the wire format, time, and the durable journal that every service builds on."""

"""What `wardlight decode` knows: one table of frames, each with the decoder that explains itself."""

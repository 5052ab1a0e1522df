"""The station page: what a nurse sees."""

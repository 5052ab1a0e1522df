"""Getting an alarm to a person: the outbox and its channels."""

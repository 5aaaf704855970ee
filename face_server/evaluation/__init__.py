"""Measures what the daemon does, through the public parts that it is made of. Nothing else imports this package."""

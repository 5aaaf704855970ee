"""What `face-server doctor` looks at: each check makes findings of what was examined, and changes nothing."""

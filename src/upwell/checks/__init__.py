"""Public promises of each kind of plugin; they run on every plugin by discovery."""

"""The core of the HTTP door: resources, rights, locks and validation, without I/O."""

"""The floor: frames, records, entries and line formats as bytes, without I/O."""

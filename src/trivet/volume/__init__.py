"""The file-system core: names, attributes, extents and dirty data, without I/O."""

"""Whether content is whole, and is what its name and MIME type say; checked while it streams, without I/O."""

"""One bank server: journal, records, blobs and foreign entries on its disk."""

"""The face that speaks Google Drive v3: methods, parameters and shapes of the published protocol."""

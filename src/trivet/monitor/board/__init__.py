"""The live board's figures, counted once for everybody who looks, and the board in the terminal."""

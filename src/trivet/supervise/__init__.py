"""The processes of a drive: started, watched, started again."""

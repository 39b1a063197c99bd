"""The page: run records in, a folder out that opens from the file system. Reads records only; imports no method."""

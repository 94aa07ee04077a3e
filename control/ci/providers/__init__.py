"""The platforms a pipeline can be written for, one a file."""

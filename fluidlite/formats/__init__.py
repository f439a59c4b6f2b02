"""The bytes of Fluid's files: streams of tensors, protobuf messages, pickled arrays. Nothing here knows a Program.

Readers take a `Source` (files.py), which checks every size that a file claims against the bytes that are there, before
anything is allocated. What they find wrong is an InvalidArgumentError that names the file.
"""

"""Reads files from unknown sources. It checks their format before it allocates memory for their content.

Read files.py (a regular file of a bounded size), text.py (UTF-8), plain.py (JSON with limits), arrays.py (one
.npy), members.py (.npz, several .npy), and safetensors.py (.safetensors). The packages that use these modules
(`checkpoint`, `schedules`, `data`, `compress`) check the content.
"""

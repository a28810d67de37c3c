"""The resources that are named by what they are near: their names, and what becomes of each."""

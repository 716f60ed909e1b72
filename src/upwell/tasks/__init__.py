"""One file a task: how probable is the target?"""

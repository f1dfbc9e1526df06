"""A plug-in of rnn_tasks: the task FirstLetter, the layer LeakyRNN, and configs for both.

This file imports nothing, so that ``rnn-tasks respond`` loads the layer without loading Lightning.
"""

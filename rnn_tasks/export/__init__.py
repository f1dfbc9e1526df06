"""Trained networks as ONNX files, for programs without PyTorch."""

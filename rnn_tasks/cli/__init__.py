"""The trainer's commands: fit, validate, test and predict, by LightningCLI."""

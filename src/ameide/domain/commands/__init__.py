"""The command services: who may say a command, what it locks, which decision it takes."""

"""What is trained: one file per task, each a `monocap.train.engine.Task`."""

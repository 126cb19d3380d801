"""All verbs that exist. Nothing here imports numpy or anything that is slow to import, so that --help is quick."""

from __future__ import annotations

from tyro.extras import SubcommandApp

from monocap.cli import verbs_motion, verbs_parts, verbs_research, verbs_training


def build() -> SubcommandApp:
    """The program, its verbs in the order of --help."""
    app = SubcommandApp()
    verbs_motion.add(app)
    verbs_parts.add(app)
    verbs_research.add(app)
    verbs_training.add(app)

    @app.command
    def doctor() -> int:
        """What works on this machine, and the exact remedy for what does not."""
        from monocap.cli.doctor import run

        return run()

    return app

"""Those who are compared, side by side: each on a stage of its own, so that a round of a measure
goes over all of them before the next round begins, and the machine's moods touch all alike.
"""
import contextlib
import signal
import subprocess

from stage import Failure, Stage


class Room:
    """To be used by `with`. Who fails leaves with a note; the others go on."""

    def __init__(self, figures, section, size, subjects):
        self.figures, self.section, self.size, self.subjects = figures, section, size, subjects
        self.stages, self.values, self.stack = {}, {}, contextlib.ExitStack()

    def __enter__(self):
        if self.size is not None:
            print(f"    {self.section}: {self.size:,}", flush=True)
        with self.stack as stack:
            for number, subject in enumerate(self.subjects):
                self.stages[subject] = stack.enter_context(Stage(f"{self.size}-{number}"))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def each(self, step):
        """step(subject, stage) for all that are still there."""
        for subject, stage in list(self.stages.items()):
            try:
                step(subject, stage)
            except subprocess.TimeoutExpired as failure:
                self.leave(subject, f"not within {failure.timeout:g} s")
            except (Failure, OSError) as failure:
                self.leave(subject, str(failure))

    def leave(self, subject, why):
        self.note(subject, why)
        stage = self.stages.pop(subject)
        if stage.server:
            stage.server.stop(signal.SIGKILL)

    def note(self, subject, text):
        self.figures.note(self.section, subject.name, self.size, text)

    def keep(self, measure, subject, value):
        self.values.setdefault((measure, subject.name), []).append(value)

    def report(self):
        for (measure, name), values in self.values.items():
            self.figures.add(measure, name, self.size, values)

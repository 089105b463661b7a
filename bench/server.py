"""A contestant that stays up: a process that prints a JSON line when it is ready, and one more for every `run`."""
import json
import shlex
import subprocess


class Server:
    def __init__(self, command, environment, errors=None):
        self.command = shlex.join(command)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                                        env=environment)
        self.facts = self.read()

    def read(self):
        """Its next line; what ended() says where it has none."""
        line = self.process.stdout.readline()
        return json.loads(line) if line else self.ended(self.process.wait())

    def ended(self, code):
        raise SystemExit(f'{self.command}: ended with code {code}')

    def run(self):
        self.process.stdin.write('run\n')
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

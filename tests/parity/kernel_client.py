"""A kernel process, and a front end that measures it.

Tested with jupyter_client 8.
"""

import pathlib
import queue
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

PATIENCE = 300


@dataclass
class Done:
    """The outcome of a request."""

    seconds: float
    status: str
    text: str = ""
    problem: str = ""
    kinds: dict[str, int] = field(default_factory=dict)


class Kernel:
    """Starts a kernel from a kernelspec's `argv`, which contains `{connection_file}`."""

    def __init__(self, argv: list[str], env: dict[str, str] | None = None):
        self.folder = tempfile.TemporaryDirectory()
        file = str(pathlib.Path(self.folder.name, "connection.json"))
        write_connection_file(file)
        self.log = open(pathlib.Path(self.folder.name, "log"), "w+b")
        argv = [word.replace("{connection_file}", file) for word in argv]
        start = time.monotonic()
        self.process = subprocess.Popen(argv, env=env, stdout=self.log, stderr=self.log)
        self.client = BlockingKernelClient(connection_file=file)
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.kernel_info(reply=True, timeout=PATIENCE)
        self.ready = time.monotonic() - start
        self.client.wait_for_ready(timeout=PATIENCE)

    def execute(self, code: str) -> Done:
        return self.finish(self.begin(code))

    def begin(self, code: str) -> tuple[str, float]:
        start = time.monotonic()
        return self.client.execute(code), start

    def finish(self, begun: tuple[str, float]) -> Done:
        """Reads up to the idle status and the reply."""
        request, start = begun
        kinds, texts, problem = {}, [], ""
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != request:
                continue
            if kind == "status" and content["execution_state"] == "idle":
                break
            kinds[kind] = kinds.get(kind, 0) + 1
            if kind == "stream":
                texts.append(content["text"])
            elif kind in ("execute_result", "display_data", "update_display_data"):
                texts.append(content["data"].get("text/plain", "") + "\n")
            elif kind == "error":
                problem = f"{content['ename']}: {content['evalue']}"
        while (reply := self.client.get_shell_msg(timeout=PATIENCE))["parent_header"].get("msg_id") != request:
            pass
        return Done(time.monotonic() - start, reply["content"]["status"], "".join(texts), problem, kinds)

    def must(self, code: str) -> Done:
        """Runs a cell that must succeed."""
        done = self.execute(code)
        assert done.status == "ok" and not done.problem, f"{done.problem}\n{done.text}\nin: {code}"
        return done

    def wait_for_text(self, begun: tuple[str, float]) -> None:
        """Waits for the first output of a running cell."""
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == begun[0] and message["msg_type"] == "stream":
                return

    def complete(self, code: str) -> tuple[float, list[str]]:
        start = time.monotonic()
        reply = self.client.complete(code, reply=True, timeout=PATIENCE)
        return time.monotonic() - start, reply["content"].get("matches", [])

    def interrupt(self) -> None:
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))

    def memory(self, which: str = "VmRSS") -> float:
        """The memory of the kernel process in MB; `VmHWM` is the peak."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(which))
        return int(line.split()[1]) / 1000

    def stop(self) -> None:
        self.client.shutdown()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.client.stop_channels()
        self.log.close()
        self.folder.cleanup()

    def drain(self) -> None:
        try:
            while True:
                self.client.get_iopub_msg(timeout=0.1)
        except queue.Empty:
            pass

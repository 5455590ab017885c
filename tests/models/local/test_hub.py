"""Models of huggingface.co are announced, downloaded once, and found in the cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.build import build_model

pytestmark = pytest.mark.training
pytest.importorskip("torch")


SCRIPT = """
import sys
from atari_vlm.errors import ModelUnusable
from atari_vlm.models.local.hub import download
for asked in sys.argv[1:]:
    name, _, commit = asked.partition("@")
    try:
        print("FOLDER", download(name, revision=commit or None))
    except ModelUnusable as error:
        print("ERROR", error)
"""


def download(model_ids, endpoint, cache, **more):
    """Download in a new process, because huggingface_hub reads its address on import."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *model_ids],
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin",
            "HOME": str(cache),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_DISABLE_XET": "1",
            **more,
        },
        timeout=600,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(model_ids), done.stderr
    return lines, done.stderr


class HubHandler(BaseHTTPRequestHandler):
    """A stand-in for huggingface.co with one repository, tiny/vlm."""

    files = {"config.json": b"{}", "model.safetensors": b"0" * 5000, "code.py": b"boom"}  # noqa: RUF012

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        commit = "a" * 40
        if "/tiny/vlm" not in self.path:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif "/resolve/" in self.path:
            body = self.files[self.path.rpartition("/")[2]]
            self._send(200, body, {"ETag": f'"{len(body)}"', "X-Repo-Commit": commit})
        elif "/tree/" in self.path:
            rows = [
                {"type": "file", "path": name, "size": len(body), "oid": "0"}
                for name, body in self.files.items()
            ]
            self._send(200, json.dumps(rows).encode(), {})
        else:
            rows = [{"rfilename": name, "size": len(body)} for name, body in self.files.items()]
            found = {"id": "tiny/vlm", "sha": commit, "siblings": rows}
            self._send(200, json.dumps(found).encode(), {})

    def _send(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_hub_model_is_announced_and_downloaded_once(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        (folder, missing), notices = download(["tiny/vlm", "tiny/other"], address, tmp_path)
        trusted = tmp_path / "trusted"
        (with_code,), code_notices = download([f"tiny/vlm@{'a' * 40}"], address, trusted)
    finally:
        server.shutdown()
        server.server_close()
    assert folder.startswith("FOLDER ")
    assert "Downloading tiny/vlm from huggingface.co: 0.00 GB in 2 files" in notices
    assert not list(tmp_path.glob("models*/**/code.py"))  # code comes only with a commit
    assert "in 3 files" in code_notices
    assert with_code.endswith("a" * 40)
    assert list(trusted.rglob("code.py"))
    assert "shows no model of that name" in missing
    (again, unreachable), notices = download(["tiny/vlm", "tiny/new"], address, tmp_path)
    assert (again, notices) == (folder, "")  # the server is gone, and not asked
    assert "ERROR tiny/new is not in the local cache, and huggingface.co cannot" in unreachable
    (offline,), _ = download(["tiny/new"], address, tmp_path, HF_HUB_OFFLINE="1")
    assert "unset HF_HUB_OFFLINE" in offline


def test_catalogue_names_that_cannot_load_name_the_server_command():
    with pytest.raises(ModelUnusable, match=r"Qwen/Qwen2-VL-7B-Instruct is not .* Or run `vllm"):
        build_model("qwen-vl")
    with pytest.raises(ModelUnusable, match=r"Python code of its own, .* Or run `lmdeploy"):
        build_model("cogvlm2")

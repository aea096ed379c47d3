#!/usr/bin/python3
"""The part of systemctl that a deployment uses, for tsm2-edge.service alone, where systemd cannot run.

The service is a process of its own with Type=notify: READY=1 and STATUS= are read from its socket. It is not restarted
when it fails. State lies in /run/stand-in.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time

FOLDER = "/run/stand-in"
FILE = FOLDER + "/state"
COMMAND = ["tsm2-edge", "run", "/etc/tsm2-edge/tsm2-edge.toml"]
START_SECONDS = 60


def state():
    try:
        return json.load(open(FILE))
    except FileNotFoundError:
        return {"ActiveState": "inactive", "StatusText": "", "NRestarts": "0", "pid": 0}


def write(**changes):
    text = json.dumps(state() | changes)
    with open(FILE + ".part", "w") as part:
        part.write(text)
    os.rename(FILE + ".part", FILE)


def supervise():
    path = FOLDER + "/notify"
    if os.path.exists(path):
        os.unlink(path)
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(path)
    notices.settimeout(0.1)
    log = open(FOLDER + "/log", "ab")
    service = subprocess.Popen(COMMAND, env=os.environ | {"NOTIFY_SOCKET": path}, stdout=log, stderr=log)
    signal.signal(signal.SIGTERM, lambda *_: service.terminate())
    write(pid=os.getpid(), ActiveState="activating")
    while service.poll() is None:
        try:
            lines = notices.recv(4096).decode().splitlines()
        except TimeoutError:
            continue
        for line in lines:
            if line == "READY=1":
                write(ActiveState="active", ActiveEnterTimestamp=time.ctime())
            elif line.startswith("STATUS="):
                write(StatusText=line.removeprefix("STATUS="))
    ended = "inactive" if service.returncode == 0 else "failed"
    write(pid=0, ActiveState=ended, StatusText="")


def stop():
    pid = state()["pid"]
    if pid:
        os.kill(pid, signal.SIGTERM)
        while state()["pid"]:
            time.sleep(0.05)


def restart():
    stop()
    write(ActiveState="activating", pid=0, StatusText="")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, __file__, "supervise"], start_new_session=True, **quiet)
    for _ in range(START_SECONDS * 20):
        if state()["ActiveState"] != "activating":
            break
        time.sleep(0.05)
    sys.exit(state()["ActiveState"] != "active")


def main(command, *arguments):
    os.makedirs(FOLDER, exist_ok=True)
    if command == "is-system-running":
        print("running")
    elif command == "is-active":
        print(state()["ActiveState"])
        sys.exit(state()["ActiveState"] != "active")
    elif command == "show":
        name = arguments[arguments.index("--property") + 1]
        print(f"{name}={state().get(name, '')}")
    elif command in ("enable", "disable"):
        write(UnitFileState=command + "d")
    elif command == "stop":
        stop()
    elif command == "restart":
        restart()
    elif command == "supervise":
        supervise()
    else:
        sys.exit(f"systemctl {command}: not in this stand-in")


main(*sys.argv[1:])

"""The walls around a submission, tried from inside: each system call, file and byte that it must
not have.
"""

import contextlib
import dataclasses
import errno
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kernel
import pytest
from quadratics import COURSE

import marking
from marking.grader import BY_NAME
from marking.sandbox import control_group, launch, seccomp, visible, walls
from marking.sandbox.parent import Limits, Lost, Running, bubblewrap, prepared_sandbox
from marking.sandbox.walls import prepared_walls

MACHINE = platform.machine()
contained = pytest.mark.skipif(bubblewrap() is None, reason="there is no bubblewrap here")
filtered = pytest.mark.skipif(seccomp.program() is None, reason="no filter for this machine")
with_numbers = pytest.mark.skipif(kernel.libseccomp() is None, reason="there is no libseccomp here")
LIMITS = Limits(timeout=60, cell=30)

# calls by which others have got out of sandboxes, hidden memory, or talked to each other
REFUSED = (
    *("unshare setns mount umount2 pivot_root chroot open_tree move_mount fsopen fsmount").split(),
    *("fork vfork execve execveat ptrace process_vm_readv process_vm_writev kcmp").split(),
    *("pidfd_open pidfd_getfd pidfd_send_signal io_uring_setup io_uring_enter").split(),
    *("io_uring_register keyctl add_key request_key userfaultfd bpf perf_event_open").split(),
    *("memfd_create shmget shmat shmctl semget semop semctl msgget msgsnd msgrcv msgctl").split(),
    *("mq_open mq_unlink flock personality inotify_init1 inotify_init fanotify_init").split(),
    *("kexec_load kexec_file_load init_module finit_module delete_module quotactl").split(),
    *("setpriority sched_setscheduler sched_setattr sched_setaffinity ioprio_set").split(),
    *("setuid setgid setresuid setresgid setgroups setfsuid capset setsid setpgid").split(),
    *("socket bind connect listen accept accept4 sendmsg sendmmsg recvmsg setsockopt").split(),
    *("signalfd4 timer_create timerfd_create rt_sigqueueinfo syslog reboot swapon").split(),
    *("swapoff sethostname setdomainname settimeofday clock_settime adjtimex acct").split(),
    *("iopl ioperm modify_ldt name_to_handle_at open_by_handle_at lookup_dcookie").split(),
    *("seccomp mlock mlock2 mlockall mincore readahead fadvise64 sync syncfs mknodat").split(),
    *("mknod chown fchownat migrate_pages move_pages mbind set_mempolicy vmsplice").split(),
    *("tee splice remap_file_pages io_setup io_submit getpmsg ustat uselib").split(),
)
MISSING = ("clone3", "memfd_secret", "landlock_create_ruleset", "futex_waitv", "mount_setattr")
UNSUPPORTED = ("getxattr", "listxattr", "setxattr", "fsetxattr", "lremovexattr")


@pytest.fixture(scope="module")
def sandbox():
    """Walls of this machine."""
    with prepared_sandbox(COURSE, LIMITS) as made:
        yield made


REPORT = "def report():\n    return torch.tensor(list(json.dumps(found).encode()))\n"


def started(sandbox, code):
    """A submission that has run this code."""
    head = "import ctypes, errno, json, os, sys, torch\nfound = {}\n"
    return Running(sandbox, [(1, head), (2, code), (3, REPORT)], time.monotonic() + 60)


def told(running):
    """What it has kept in `found`."""
    assert running.errors == []
    request = {"kind": "call", "name": "solve.report", "variable": "report", "place": BY_NAME}
    request["args"] = []
    reply, arrays = running.exchange(request)
    assert "error" not in reply, reply
    return json.loads(bytes(arrays[0].tolist()))


def found_in(sandbox, code):
    """What a submission finds by running this code."""
    running = started(sandbox, code)
    try:
        return told(running)
    finally:
        running.close()


# --- system calls, from inside

CALL = (
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "def call(number, *args):\n"
    "    done = libc.syscall(ctypes.c_long(number), *map(ctypes.c_void_p, args))\n"
    "    return ctypes.get_errno() if done == -1 else 0\n"
)


@contained
@filtered
@with_numbers
def test_calls_that_lead_out_are_refused_inside(sandbox):
    numbers = {name: kernel.number_of(name, MACHINE) for name in (*REFUSED, *MISSING, *UNSUPPORTED)}
    known = {name: number for name, number in numbers.items() if number is not None}
    code = f"for name, number in {known}.items():\n    found[name] = call(number)\n"
    found = found_in(sandbox, CALL + code)
    assert len(found) > 110
    for name, error in found.items():
        expected = errno.EPERM
        if name in MISSING:
            expected = errno.ENOSYS
        elif name in UNSUPPORTED:
            expected = errno.EOPNOTSUPP
        assert error == expected, name


@contained
@filtered
def test_no_socket_can_be_opened_but_a_pair(sandbox):
    code = (
        "import socket\n"
        "for family in range(0, 46):\n"
        "    for kind in (1, 2, 3, 5):\n"
        "        try: socket.socket(family, kind); found[f'{family} {kind}'] = 0\n"
        "        except OSError as error: found[f'{family} {kind}'] = error.errno\n"
        "one, two = socket.socketpair()\n"
        "one.sendall(b'x'); found['pair'] = two.recv(1).decode()\n"
        "one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "try: one.sendto(b'x', '\\0name'); found['named'] = 0\n"
        "except OSError as error: found['named'] = error.errno\n"
        "try: socket.socketpair(socket.AF_INET); found['inet'] = 0\n"
        "except OSError as error: found['inet'] = error.errno\n"
    )
    found = found_in(sandbox, code)
    assert found.pop("pair") == "x"
    assert set(found.values()) == {errno.EPERM}


@contained
@filtered
@pytest.mark.skipif(MACHINE != "x86_64", reason="code of this machine")
@pytest.mark.parametrize(
    ("way", "code"),
    [("int 0x80", "b814000000cd80c3"), ("x32", "b8270000400f05c3")],  # getpid
)
def test_calls_in_another_way_end_the_process(sandbox, way, code):
    run = (
        f"import mmap\ncode = bytes.fromhex('{code}')\n"
        "page = mmap.mmap(-1, 4096, prot=7)\npage.write(code)\n"
        "start = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "ctypes.CFUNCTYPE(ctypes.c_long)(start)()\n"
    )
    with pytest.raises(Lost, match="its process ended"):
        started(sandbox, run).close()


# --- who it is, and what it has

FACTS = """
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp', 'Groups'):
    found[name] = status[name].strip()
found['user'] = [os.getuid(), os.geteuid(), os.getgid(), os.getegid()]
found['files'] = sorted(int(name) for name in os.listdir('/proc/self/fd'))
found['processes'] = sorted(name for name in os.listdir('/proc') if name.isdecimal())
found['devices'] = sorted(os.listdir('/dev'))
found['environment'] = dict(os.environ)
found['command'] = open('/proc/self/cmdline').read()
found['host'] = os.uname().nodename
found['mounts'] = open('/proc/self/mountinfo').read().splitlines()
"""


@contained
def test_it_is_nobody_and_has_nothing(sandbox):
    found = found_in(sandbox, FACTS)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[name], 16) == 0, name
    assert found["NoNewPrivs"] == "1"
    if seccomp.program() is not None:
        assert found["Seccomp"] == "2"
    assert found["user"] == [65534] * 4
    assert set(found["Groups"].split()) <= {"65534"}
    assert len(found["files"]) == 5  # three that lead nowhere, the line, and the listing itself
    assert found["processes"] == ["1"]
    devices = {"fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom"}
    assert set(found["devices"]) == {*devices, "zero"}
    assert found["host"] == "submission"
    assert set(found["environment"]) - {"PWD"} == {
        *("HOME", "TMPDIR", "PATH", "LANG", "OMP_NUM_THREADS", "MPLBACKEND"),
        "TORCH_COMPILE_DISABLE",
    }
    words = found["command"].strip("\0").split("\0")
    assert words[1:4] == ["-I", "-B", "/room/child.py"]
    assert len(words) == 5
    assert words[4].isdecimal()
    for line in found["mounts"]:
        place, options = line.split()[4:6]
        writable = place in ("/tmp", "/proc") or place.startswith("/dev/")
        assert writable or "ro" in options.split(","), line
        assert "nosuid" in options.split(","), line


@contained
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can be someone else")
def test_for_root_each_runs_as_a_user_of_its_own_whose_threads_are_limited(sandbox):
    assert sandbox.walls.own_user
    code = (
        "import threading\nthreading.stack_size(65536)\nstop = threading.Event()\n"
        "found['threads'] = 0\n"
        "try:\n"
        "    while found['threads'] < 5000:\n"
        "        threading.Thread(target=stop.wait, daemon=True).start(); found['threads'] += 1\n"
        "except RuntimeError: pass\n"
    )
    running = started(sandbox, code)
    try:
        found = told(running)
        inside = children_of(running.process.pid)
        users = {os.stat(f"/proc/{pid}").st_uid for pid in inside}
        assert inside
        assert all(60_000 <= user < 61_000 for user in users)
    finally:
        running.close()
    assert found["threads"] < LIMITS.processes


def children_of(process):
    """The processes that a process has started, and theirs."""
    own = [
        int(name)
        for name in os.listdir("/proc")
        if name.isdecimal() and parent_of(name) == str(process)
    ]
    return [*own, *(pid for child in own for pid in children_of(child))]


def parent_of(process):
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text()
        return dict(line.split(":\t", 1) for line in status.splitlines())["PPid"]
    return ""


@contained
def test_the_seed_is_in_no_command_line_and_no_environment(sandbox, monkeypatch):
    seen = []
    popen = subprocess.Popen

    def spy(command, **options):
        seen.append((command, options["env"], options["pass_fds"]))
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", spy)
    monkeypatch.setenv("SEED", "8472918")
    started(sandbox, "x = 1").close()
    ((command, environment, passed),) = seen
    assert "8472918" not in str((command, environment))
    assert len(passed) <= 2  # the line, and the filter


# --- what it can read

PLANT = """
for top, folders, files in os.walk('/'):
    folders[:] = [name for name in folders if (top, name) != ('/', 'proc')]
    for name in files:
        path = os.path.join(top, name)
        if name.endswith(ENDINGS) or any(word in path for word in WORDS):
            found[path] = os.access(path, os.R_OK) and os.path.getsize(path)
"""


def installed(folder, name, *files):
    """Have a distribution in a folder, with a record of these files."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    record = [*files, f"{about.name}/METADATA", f"{about.name}/RECORD", f"../../bin/{name}"]
    (about / "RECORD").write_text("".join(f"{path},,\n" for path in record))
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"NAME = {path!r}\n")


@contained
@pytest.mark.parametrize("more", [0, 40])
def test_of_a_folder_with_packages_only_these_are_seen(tmp_path, monkeypatch, more):
    site = tmp_path / "checkout" / "site-packages"
    installed(site, "helpful", "helpful/__init__.py", "helpful_too.py")
    installed(site, "quadratics_too", "quadratics.py", "bank_of_answers.py")
    for number in range(20 if not more else 0):
        installed(site, f"package{number}", f"package{number}.py")
    (site / "exchange" / "ada").mkdir(parents=True)
    (site / "exchange" / "ada" / "ada.ipynb").write_text("secret")
    (site / "ben.ipynb").write_text("secret")
    (site / "solutions.py").write_text("secret = 1")
    for number in range(more):
        (site / f"{number}.ipynb").write_text("secret")
    (tmp_path / "checkout" / "seed.txt").write_text("secret")
    monkeypatch.syspath_prepend(str(site))
    code = (
        "import helpful, helpful_too, importlib.metadata\n"
        "found['version'] = importlib.metadata.version('helpful')\n"
        "ENDINGS, WORDS = ('.ipynb', '.csv'), ('solutions', 'seed.txt', 'quadratics', 'bank_of')\n"
        f"{PLANT}"
        "for module in ('solutions', 'bank_of_answers', 'exchange.ada'):\n"
        "    try: found[module] = hasattr(__import__(module), 'secret')\n"
        "    except ImportError: found[module] = False\n"
        f"found['beside'] = os.listdir({str(tmp_path / 'checkout')!r})\n"
    )
    with prepared_sandbox(COURSE, LIMITS) as sandbox:
        found = found_in(sandbox, code)
    assert found.pop("version") == "1.0"
    assert found.pop("beside") == ["site-packages"]
    assert [found.pop(name) for name in ("solutions", "bank_of_answers", "exchange.ada")] == [
        False
    ] * 3
    assert not any(size for path, size in found.items() if str(tmp_path) in path), found


@contained
def test_no_checkout_no_programs_and_nothing_of_others_is_seen(sandbox):
    checkout = Path(marking.__file__).parents[1]
    code = (
        "ENDINGS, WORDS = ('.ipynb', '.csv', '.git'), ('nbgrader/exchange', 'course_id')\n"
        f"{PLANT}"
        "found = {path: size for path, size in found.items() if size}\n"
        "found['top'] = sorted(os.listdir('/'))\n"
        "found['usr'] = sorted(os.listdir('/usr'))\n"
        "found['etc'] = sorted(os.listdir('/etc'))\n"
        f"found['checkout'] = os.path.isdir({str(checkout)!r}) and os.listdir({str(checkout)!r})\n"
    )
    found = found_in(sandbox, code)
    standard = ("/matplotlib/", "/site-packages/", "/dist-packages/", "/python3")
    assert all(any(part in path for part in standard) for path in found if path.startswith("/"))
    assert not {"home", "root", "var", "mnt", "media", "srv", "opt"} & set(found["top"]) - {
        Path(sys.prefix).parts[1],
        Path(sys.base_prefix).parts[1],
    }
    assert set(found["usr"]) <= {"lib", "lib64", "lib32", "share", "bin", "local"}
    names = {"alternatives", "ld.so.cache", "localtime", "matplotlibrc", "passwd"}
    assert set(found["etc"]) <= names
    inside = {path.name for path in (Path(sys.prefix), Path(sys.base_prefix))}
    assert not found["checkout"] or set(found["checkout"]) <= inside


@contained
def test_of_proc_there_is_its_own_process_alone(sandbox):
    code = (
        "for name in ('keys', 'key-users', 'locks', 'kallsyms', 'timer_list', 'config.gz'):\n"
        "    if os.path.exists(f'/proc/{name}'): found[name] = open(f'/proc/{name}').read()\n"
        "for name in ('sys', 'fs', 'bus', 'irq', 'sysvipc', 'driver'):\n"
        "    if os.path.exists(f'/proc/{name}'): found[name] = os.listdir(f'/proc/{name}')\n"
    )
    assert not any(found_in(sandbox, code).values())


def test_editable_installs_and_hidden_packages_are_not_in_the_list(tmp_path, monkeypatch):
    installed(tmp_path, "own", "__editable___own_finder.py", "own.pth")
    (tmp_path / "own-1.0.dist-info" / "direct_url.json").write_text(
        json.dumps({"url": f"file://{tmp_path}", "dir_info": {"editable": True}})
    )
    installed(tmp_path, "answers", "answers/__init__.py", "tables.py")
    installed(tmp_path, "compiled", "secret.cpython-311-x86_64-linux-gnu.so")
    installed(tmp_path, "plain", "plain/__init__.py", "__pycache__/plain.pyc")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), str(tmp_path / "nowhere")])
    seen = dict(visible.packages_seen(["answers", "secret"]))
    assert seen == {str(tmp_path): ("plain", "plain-1.0.dist-info")}


def test_a_package_that_is_only_linked_to_is_seen_where_it_lies(tmp_path, monkeypatch):
    installed(tmp_path / "site", "linked", "linked/__init__.py")
    shutil.move(tmp_path / "site" / "linked", tmp_path / "elsewhere")
    (tmp_path / "site" / "linked").symlink_to(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert str(tmp_path / "elsewhere") in visible.view_for(()).whole


# --- what it can fill

FILL = """
import socket, tempfile
kept, filled = [], 0
def fill(file):
    os.set_blocking(file, False)
    count = 0
    try:
        while True: count += os.write(file, b'x' * 65536)
    except OSError: return count
try:
    while True:
        pair = socket.socketpair(); kept.append(pair)
        filled += fill(pair[0].fileno()) + fill(pair[1].fileno())
except OSError as error: found['sockets'] = [filled, errno.errorcode[error.errno]]
kept.clear(); filled = 0
try:
    while True:
        pair = os.pipe(); kept.append(pair)
        filled += fill(pair[1])
except OSError as error: found['pipes'] = [filled, errno.errorcode[error.errno]]
for pair in kept: os.close(pair[0]); os.close(pair[1])
count = 0
try:
    while count < 200_000:
        open(f'/tmp/{count}', 'x').close(); count += 1
except OSError as error: found['files'] = [count, errno.errorcode[error.errno]]
for number in range(count): os.unlink(f'/tmp/{number}')
count = 0
try:
    while count < 1000:
        open(f'/tmp/{count}', 'wb').write(b'x' * 2**20); count += 1
except OSError as error: found['megabytes'] = [count, errno.errorcode[error.errno]]
for place in ('/', '/dev', '/dev/shm', '/room', '/usr', '/etc', '/proc'):
    try: open(f'{place}/file', 'x'); found[place] = 0
    except OSError as error: found[place] = error.errno
try: os.openpty(); found['terminal'] = 0
except OSError as error: found['terminal'] = error.errno
import resource
found['limits'] = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource)
    if name.startswith('RLIMIT_')}
"""


@contained
def test_what_its_limits_do_not_count_is_bounded_too(sandbox):
    found = found_in(sandbox, FILL)
    sent, why = found["sockets"]
    assert why == "EMFILE"
    assert sent < 80 * 2**20
    sent, why = found["pipes"]
    assert why == "EMFILE"
    assert sent < 20 * 2**20
    if sandbox.walls.own_mounts:
        assert found["files"][0] <= LIMITS.disk * walls.FILES_IN_A_MEGABYTE
        assert found["files"][1] == "ENOSPC"
    assert found["megabytes"][0] <= LIMITS.disk
    assert found["megabytes"][1] == "ENOSPC"
    for place in ("/", "/dev", "/dev/shm", "/room", "/usr", "/etc"):
        assert found[place] == errno.EROFS, place
    assert found["/proc"]
    assert found["terminal"]
    for name, value in LIMITS.resources().items():
        if name in found["limits"]:
            soft, hard = found["limits"][name]
            assert soft == hard
            assert 0 <= hard <= value, name


# --- two at once


@contained
@filtered
def test_two_at_once_share_nothing(sandbox):
    read = os.__file__
    code = (
        "import fcntl\n"
        "for name in ('user', 'mnt', 'pid', 'net', 'ipc', 'uts'):\n"
        "    found[name] = os.readlink(f'/proc/self/ns/{name}')\n"
        f"file = open({read!r})\nfile.read()\n"
        "for kind in ('lockf', 'flock'):\n"
        "    try: getattr(fcntl, kind)(file, fcntl.LOCK_SH); found[kind] = 0\n"
        "    except OSError as error: found[kind] = error.errno\n"
        "found['temporary'] = os.listdir('/tmp')\nopen('/tmp/mine', 'x')\n"
    )
    os.utime(read, ns=(10**18, os.stat(read).st_mtime_ns))  # long ago
    running = [started(sandbox, code) for _ in range(2)]
    try:
        one, two = map(told, running)
    finally:
        for each in running:
            each.close()
    assert os.stat(read).st_atime_ns == 10**18
    for name in ("user", "mnt", "pid", "net", "ipc", "uts"):
        assert one[name] != two[name]
        assert one[name] != os.readlink(f"/proc/self/ns/{name}")
    seen = sandbox.walls.below("/tmp")  # an environment may lie there
    environment = {Path(folder).name for folder in seen}
    for each in (one, two):
        assert each["lockf"] == each["flock"] == errno.EPERM
        assert set(each["temporary"]) == environment  # no file of the other


def test_the_keyring_of_the_session_is_left_behind(tmp_path):
    """The launcher itself, with a program in bubblewrap's place."""
    show = "print(*[line for line in open('/proc/self/mountinfo') if 'tmpfs' in line][-1:])"
    command = [sys.executable, "-I", launch.__file__, "", "", "0", "0", sys.executable, "-c", show]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    code = (
        "import ctypes, sys\nfrom marking.sandbox import launch\n"
        "number = launch.KEYCTL.get(launch.platform.machine())\n"
        "def session(): return launch.libc.syscall(number, 0, -3, 1)\n"
        "one = session(); launch.leave_keyring(); two = session()\n"
        "print(one, two)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    one, two = map(int, done.stdout.split())
    assert one != two or one == two == -1  # no keyrings in this kernel


# --- what must go on working


@contained
def test_what_a_course_needs_works_inside(sandbox):
    code = (
        "import asyncio, pathlib, shutil, subprocess, tempfile, threading\n"
        "import matplotlib.pyplot as plt\nimport numpy as np\n"
        "plt.plot([1, 2]); plt.savefig('figure.png')\n"
        "found['figure'] = os.path.getsize('figure.png') > 1000\n"
        "os.mkdir('figures'); shutil.copy2('figure.png', 'figures/copy.png')\n"
        "shutil.copytree('figures', 'tree')\n"
        "keep = found.setdefault\n"
        "threads = [threading.Thread(target=keep, args=(f't{k}', k)) for k in range(9)]\n"
        "for one in threads: one.start()\n"
        "for one in threads: one.join()\n"
        "torch.set_num_threads(2)\n"
        "a = torch.randn(300, 300, requires_grad=True); (a @ a).sum().backward()\n"
        "found['gradient'] = a.grad.shape[0]\n"
        "data = torch.utils.data.DataLoader(torch.arange(8), batch_size=4, shuffle=True)\n"
        "found['loader'] = sum(batch.sum().item() for batch in data)\n"
        "await asyncio.sleep(0.01)\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    torch.save({'a': a}, pathlib.Path(folder, 'a.pt'))\n"
        "    found['loaded'] = torch.load(pathlib.Path(folder, 'a.pt'))['a'].shape[0]\n"
        "import getpass\nfound['user'] = getpass.getuser()\n"
        "try: subprocess.run(['ls']); found['program'] = ''\n"
        "except OSError as error: found['program'] = type(error).__name__\n"
    )
    found = found_in(sandbox, code)
    assert found["figure"] is True
    assert [found[f"t{k}"] for k in range(9)] == list(range(9))
    assert found["gradient"] == found["loaded"] == 300
    assert found["loader"] == 28
    assert found["user"] == "nobody"
    if seccomp.program() is not None:
        assert found["program"] == "PermissionError"


# --- machines that have less


@contained
def test_beside_an_environment_in_tmp_nothing_can_be_written(sandbox):
    code = """
for place in (HERE, HERE + "/..", HERE + "/../..", "/tmp"):
    try:
        open(place + "/new", "w").close()
        found[place] = "written"
    except OSError as error:
        found[place] = errno.errorcode[error.errno]
"""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        here = Path(folder, "lib", "site-packages")
        here.mkdir(parents=True)
        view = sandbox.walls.view
        view = dataclasses.replace(view, packages={**view.packages, str(here): ()})
        walls_there = dataclasses.replace(sandbox.walls, view=view)
        there = dataclasses.replace(sandbox, walls=walls_there)
        found = found_in(there, f"HERE = {str(here)!r}\n{code}")
    assert list(found.values()) == ["EROFS", "EROFS", "EROFS", "written"]


@contained
def test_without_mounts_of_our_own_bubblewrap_makes_them(sandbox):
    plain = dataclasses.replace(sandbox.walls, own_mounts=False, own_user=False)
    assert "the number of files of a submission is not limited" in plain.missing()
    less = dataclasses.replace(sandbox, walls=plain)
    code = f"{FACTS}\nfound = {{'tmp': [line for line in found['mounts'] if ' /tmp ' in line]}}\n"
    ((line,),) = found_in(less, code).values()
    assert "rw" in line
    assert f"size={LIMITS.disk * 1024}k" in line


@contained
def test_an_older_bubblewrap_is_used_for_what_it_can(tmp_path, monkeypatch):
    older = tmp_path / "bwrap"
    older.write_text(
        '#!/bin/sh\ncase "$*" in *--disable-userns*) echo "Unknown option" >&2; exit 1;; esac\n'
        f'exec {shutil.which("bwrap")} "$@"\n'
    )
    older.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with prepared_sandbox(COURSE, LIMITS) as sandbox:
        assert sandbox.bwrap == str(older)
        assert not sandbox.walls.no_namespaces
        assert found_in(sandbox, "found['here'] = True") == {"here": True}


FAKE_SYSTEMD = """#!/bin/sh
echo "$@" >> {log}
[ -n "$XDG_RUNTIME_DIR" ] || exit 1
while [ "$1" != "--" ]; do shift; done
shift
exec "$@"
"""


@contained
def test_a_control_group_is_used_where_systemd_makes_one(tmp_path, monkeypatch):
    log = tmp_path / "log"
    fake = tmp_path / "systemd-run"
    fake.write_text(FAKE_SYSTEMD.format(log=log))
    fake.chmod(0o755)
    controllers = tmp_path / "controllers"
    controllers.write_text("cpu memory pids\n")
    monkeypatch.setattr(control_group, "CONTROLLERS", controllers)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/of-the-teacher")
    with prepared_sandbox(COURSE, LIMITS) as sandbox:
        found = found_in(sandbox, FACTS)
        assert not any("control group" in words for words in sandbox.walls.missing())
    assert "XDG_RUNTIME_DIR" not in found["environment"]
    trial, used = log.read_text().splitlines()
    most = LIMITS.memory + LIMITS.disk + control_group.BESIDE
    for line in (trial, used):
        assert f"-p MemoryMax={most}M -p MemorySwapMax=0 -p TasksMax=72 --" in line
        assert ("--user" in line.split()) is (os.geteuid() != 0)
    assert "child.py" in used


@pytest.mark.parametrize("controllers", ["cpu pids", None])
def test_without_version_2_of_control_groups_there_is_none(tmp_path, monkeypatch, controllers):
    if controllers is not None:
        (tmp_path / "controllers").write_text(controllers)
    monkeypatch.setattr(control_group, "CONTROLLERS", tmp_path / "controllers")
    assert control_group.group_command(1, 1) == ()


def test_systemd_that_does_not_answer_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "controllers").write_text("memory pids")
    monkeypatch.setattr(control_group, "CONTROLLERS", tmp_path / "controllers")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert control_group.group_command(1, 1) == ()
    (tmp_path / "systemd-run").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "systemd-run").chmod(0o755)
    assert control_group.group_command(1, 1) == ()


def test_a_python_that_does_not_start_inside_is_said_before_anything_is_graded(
    tmp_path, monkeypatch
):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: no such thing' >&2\nexit 1\n")
    broken.chmod(0o755)
    (tmp_path / "made" / "room").mkdir(parents=True)
    with pytest.raises(OSError, match="does not start in it: bwrap: no such thing"):
        prepared_walls(str(broken), tmp_path / "made", ())

"""Becomes a service of a unit where no systemd runs: reads the unit, lays its restrictions on this process, executes.

    confine.py UNIT FOLDER EXECUTABLE [WORDS…]

FOLDER stands for the machine: FOLDER/lib is shown as /var/lib, FOLDER/cache as /var/cache, FOLDER/run as /run, what the link
FOLDER/postgresql leads to as /run/postgresql, and EXECUTABLE as /run/test/holdfast. WORDS are those of the executable, or begin
with the path of another one. Without WORDS the line of ExecStart is executed, with /usr/bin/holdfast and /etc/holdfast/ below
/run/test.

Every line of [Service] is applied, or named in LEFT with the reason; any other one is an error, so this follows the unit.
Must be run by root (125 and "cannot: …" where the machine does not let us).
"""

import ctypes
import errno
import os
import resource
import shlex
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)

# Needs a process that stays, a control group, or somebody whom nobody is here.
LEFT = {
    "Type": "notifications are tried in service_manager.rs",
    "Restart": "a supervisor's",
    "RestartSec": "a supervisor's",
    "RestartPreventExitStatus": "a supervisor's",
    "ExecReload": "a supervisor's; tried in certificates.rs",
    "TimeoutStartSec": "a supervisor's",
    "TimeoutStopSec": "a supervisor's",
    "WatchdogSec": "a supervisor's; tried in service_manager.rs",
    "DevicePolicy": "needs a control group; other devices are not in /dev",
    "KeyringMode": "no key ring is used",
    "RemoveIPC": "what a supervisor does when the user's last process has ended",
}
# Who the service is here: `holdfast` is made by sysusers, which the machine has not seen. Everybody has this one.
USER = "daemon"
DIRECTORIES = {"StateDirectory": ("%S", "lib"), "CacheDirectory": ("%C", "cache"), "RuntimeDirectory": ("%t", "run")}
SPECIFIERS = {"%S": "/var/lib", "%C": "/var/cache", "%t": "/run", "%d": "/run/credentials"}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
NAMESPACES = {
    "time": 0x80,
    "mnt": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
MS_RDONLY, MS_NOSUID, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 8, 4096, 16384, 1 << 18
ALLOW, NE, EQ, GT, MASKED = 0x7FFF0000, 1, 4, 6, 7


def checked(what, result):
    if result < 0:
        number = ctypes.get_errno()
        print(f"cannot: {what}: {os.strerror(number)}", file=sys.stderr)
        os._exit(125)


def lines_of(unit):
    """Key and value of every line of [Service], in order; one unknown ends everything."""
    section, lines = "", []
    for line in open(unit):
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            lines.append(line.split("=", 1))
    unknown = sorted({key for key, _ in lines} - set(LEFT) - APPLIED)
    if unknown:
        sys.exit(f"the unit says {', '.join(unknown)}: apply it in confine.py, or say there why not")
    return lines


def expanded(text):
    for specifier, place in SPECIFIERS.items():
        text = text.replace(specifier, place)
    return text


def yes(unit, key):
    return (key, "yes") in unit


# --- files


def mount(source, target, kind=None, flags=0, options=None):
    words = [word and word.encode() for word in (source, target, kind)]
    checked(f"mount {target}", libc.mount(*words, ctypes.c_ulong(flags), options and options.encode()))


def bind(source, target):
    if not os.path.isdir(source) and not os.path.exists(target):
        open(target, "w").close()
    mount(source, target, None, MS_BIND | MS_REC)


def read_only(path, on=True, everything=False):
    """mount_setattr(2): as ProtectSystem=strict does, with all that is mounted below."""
    attributes = (ctypes.c_uint64 * 4)(*((1, 0) if on else (0, 1)), 0, 0)
    flags = 0x8000 if everything else 0
    checked(f"make {path} read-only", libc.syscall(442, -100, path.encode(), flags, attributes, 32))


def show_files(unit, folder, executable, person):
    checked("have mounts of our own", libc.unshare(0x20000))
    mount(None, "/", None, MS_PRIVATE | MS_REC)
    for name in ("test", "credentials"):
        os.makedirs(f"{folder}/run/{name}", exist_ok=True)
    bind(executable, f"{folder}/run/test/holdfast")
    os.makedirs(f"{folder}/run/postgresql", exist_ok=True)
    bind(os.path.realpath(f"{folder}/postgresql"), f"{folder}/run/postgresql")
    writable = []
    for key, value in unit:
        if key in DIRECTORIES:
            mode = int(dict(unit)[key + "Mode"], 8)
            for name in value.split():
                place = f"{folder}/{DIRECTORIES[key][1]}/{name}"
                os.makedirs(place, exist_ok=True)
                os.chown(place, person.pw_uid, person.pw_gid)
                os.chmod(place, mode)
                writable.append(f"{SPECIFIERS[DIRECTORIES[key][0]]}/{name}")
    for name in ("lib", "cache", "run"):
        bind(f"{folder}/{name}", "/run" if name == "run" else f"/var/{name}")
    for place in writable:
        bind(place, place)
    if yes(unit, "PrivateDevices"):
        devices()
    if ("ProtectSystem", "strict") in unit:
        read_only("/", everything=True)
        for place in [*writable, "/proc", "/dev/shm"]:
            read_only(place, on=False)
    if yes(unit, "PrivateTmp"):
        for place in ("/tmp", "/var/tmp"):
            mount("tmpfs", place, "tmpfs", MS_NOSUID, "mode=1777")
            writable.append(place)
    if yes(unit, "ProtectHome"):
        for place in ("/home", "/root"):
            mount("tmpfs", place, "tmpfs", MS_RDONLY, "mode=000")
    for key, value in unit:
        if key == "InaccessiblePaths":
            for place in [word.lstrip("-") for word in value.split()]:
                if os.path.exists(place):
                    mount("tmpfs", place, "tmpfs", MS_RDONLY, "mode=000")
    proc = [f"hidepid={v}" for k, v in unit if k == "ProtectProc"] + [f"subset={v}" for k, v in unit if k == "ProcSubset"]
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC, ",".join(proc))


def devices():
    os.makedirs("/run/test/dev", exist_ok=True)
    mount("tmpfs", "/run/test/dev", "tmpfs", MS_NOSUID, "mode=755")
    for name in ("null", "zero", "full", "random", "urandom", "tty", "shm"):
        if name == "shm":
            os.mkdir("/run/test/dev/shm")
        bind(f"/dev/{name}", f"/run/test/dev/{name}")
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"/run/test/dev/{name}")
    bind("/run/test/dev", "/dev")


# --- rights


def prctl(what, *arguments):
    checked(f"prctl {what}", libc.prctl(what, *arguments, *[0] * (4 - len(arguments))))


def drop_capabilities():
    last = int(LAST_CAPABILITY)
    for capability in range(last + 1):
        prctl(24, capability)
    prctl(47, 4)  # no ambient ones


def become(unit, person):
    if ("CapabilityBoundingSet", "") in unit:
        drop_capabilities()
    os.setgroups([])
    os.setresgid(person.pw_gid, person.pw_gid, person.pw_gid)
    os.setresuid(person.pw_uid, person.pw_uid, person.pw_uid)
    if yes(unit, "PrivateUsers"):
        # systemd maps root, too; who is not root may map nobody but himself
        prctl(4, 1)
        checked("have users of our own", libc.unshare(0x10000000))
        for name, text in (("setgroups", "deny"), ("uid_map", f"{person.pw_uid} {person.pw_uid} 1"), ("gid_map", f"{person.pw_gid} {person.pw_gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        # all are given anew there, until the next program
        drop_capabilities()
    if yes(unit, "NoNewPrivileges"):
        prctl(38, 1)


# --- system calls


class Argument(ctypes.Structure):
    _fields_ = [("number", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """One filter of the kernel; of several the strictest answer counts."""

    def __init__(self, otherwise):
        self.context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(otherwise)))

    def rule(self, action, name, *arguments):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            return  # another machine's
        array = (Argument * max(1, len(arguments)))(*[Argument(*one) for one in arguments])
        result = seccomp.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number, len(arguments), array)
        if result < 0 and result != -errno.EEXIST and number >= 0:
            sys.exit(f"no rule for {name}: {os.strerror(-result)}")

    def load(self):
        result = seccomp.seccomp_load(self.context)
        if result < 0:
            sys.exit(f"cannot: filter system calls: {os.strerror(-result)}")


def refused(number):
    return 0x00050000 | number


def sets_of_calls():
    """The names of systemd's own sets, as this machine's systemd knows them."""
    said = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    sets, name = {}, ""
    for line in said.splitlines():
        if line.startswith("@"):
            name = line.strip()
            sets[name] = []
        elif line.startswith(" ") and not line.strip().startswith("#") and name:
            sets[name].append(line.strip())
        elif line.startswith("#"):
            name = ""
    return sets


def calls_in(sets, words):
    found = set()
    for word in words:
        found |= calls_in(sets, sets[word]) if word.startswith("@") else {word}
    return found


def filters(unit, sets):
    """Made while everything can be read still; loaded last."""
    all_filters = []
    values = [value for key, value in unit if key == "SystemCallFilter"]
    if values:
        allowed = calls_in(sets, ["@default"])
        for value in values:
            words = value.lstrip("~").split()
            allowed = allowed - calls_in(sets, words) if value.startswith("~") else allowed | calls_in(sets, words)
        listed = Filter(refused(getattr(errno, dict(unit)["SystemCallErrorNumber"])))
        for name in sorted(allowed):
            listed.rule(ALLOW, name)
        all_filters.append(listed)
    rest = Filter(ALLOW)
    given = dict(unit)
    if "RestrictAddressFamilies" in given:
        families = [FAMILIES[name] for name in given["RestrictAddressFamilies"].split()]
        for family in set(range(64)) - set(families):
            rest.rule(refused(errno.EAFNOSUPPORT), "socket", (0, EQ, family, 0))
        rest.rule(refused(errno.EAFNOSUPPORT), "socket", (0, GT, 63, 0))
    if "RestrictNamespaces" in given:
        kept = given["RestrictNamespaces"].replace("yes", "").split()
        for name, flag in NAMESPACES.items():
            if name not in kept:
                for call, at in (("unshare", 0), ("clone", 0), ("setns", 1)):
                    rest.rule(refused(errno.EPERM), call, (at, MASKED, flag, flag))
        rest.rule(refused(errno.EPERM), "setns", (1, EQ, 0, 0))
        rest.rule(refused(errno.ENOSYS), "clone3")
    if yes(unit, "MemoryDenyWriteExecute"):
        rest.rule(refused(errno.EPERM), "mmap", (2, MASKED, 6, 6))
        for call in ("mprotect", "pkey_mprotect"):
            rest.rule(refused(errno.EPERM), call, (2, MASKED, 4, 4))
        rest.rule(refused(errno.EPERM), "shmat", (2, MASKED, 0o100000, 0o100000))
    if yes(unit, "RestrictRealtime"):
        for policy in (1, 2, 6):
            rest.rule(refused(errno.EPERM), "sched_setscheduler", (1, EQ, policy, 0))
    if yes(unit, "RestrictSUIDSGID"):
        for bit in (0o4000, 0o2000):
            for call, at in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2), ("mknod", 1), ("mknodat", 2), ("creat", 1)):
                rest.rule(refused(errno.EPERM), call, (at, MASKED, bit, bit))
            for call, at in (("open", 1), ("openat", 2)):
                rest.rule(refused(errno.EPERM), call, (at, MASKED, os.O_CREAT, os.O_CREAT), (at + 1, MASKED, bit, bit))
    if yes(unit, "LockPersonality"):
        rest.rule(refused(errno.EPERM), "personality", (0, NE, 0xFFFFFFFF, 0))
    for key, word in (("ProtectHostname", "sethostname setdomainname"), ("ProtectKernelLogs", "syslog"), ("ProtectKernelModules", "@module"), ("ProtectClock", "@clock")):
        if yes(unit, key):
            for name in calls_in(sets, word.split()):
                rest.rule(refused(errno.EPERM), name)
    # the list last: it does not let further filters be loaded
    return [rest, *all_filters]


# --- all of it

APPLIED = {
    *DIRECTORIES,
    *(key + "Mode" for key in DIRECTORIES),
    *"ExecStart User Group LoadCredential Environment LimitNOFILE Nice IOSchedulingClass IOSchedulingPriority UMask".split(),
    *"CapabilityBoundingSet AmbientCapabilities NoNewPrivileges PrivateUsers ProtectHostname".split(),
    *"ProtectSystem ProtectHome PrivateTmp PrivateDevices PrivateMounts ProtectProc ProcSubset InaccessiblePaths".split(),
    # /sys is read-only, and of /proc only the processes are there
    *"ProtectKernelTunables ProtectControlGroups ProtectKernelLogs ProtectKernelModules ProtectClock".split(),
    *"RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality".split(),
    *"MemoryDenyWriteExecute SystemCallArchitectures SystemCallFilter SystemCallErrorNumber".split(),
}


def environment(unit, person):
    """What systemd gives, then the unit's own. Nothing of ours is handed down."""
    out = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}
    out.update({"USER": person.pw_name, "LOGNAME": person.pw_name, "HOME": person.pw_dir, "SHELL": person.pw_shell})
    out["CREDENTIALS_DIRECTORY"] = SPECIFIERS["%d"]
    for key, value in unit:
        if key == "Environment":
            name, text = value.split("=", 1)
            out[name] = expanded(text)
    return out


def credentials(unit, folder, person):
    """Copies that only the service can read."""
    place = f"{folder}/run/credentials"
    os.makedirs(place, exist_ok=True)
    for value in [value for key, value in unit if key == "LoadCredential"]:
        name = value.split(":", 1)[0]
        # whole at once: another service that begins at the same time reads the same place
        whole = f"{place}/{name}.{os.getpid()}"
        with open(f"{folder}/credentials/{name}", "rb") as secret, open(whole, "wb") as copy:
            copy.write(secret.read())
        os.chown(whole, person.pw_uid, person.pw_gid)
        os.chmod(whole, 0o400)
        os.replace(whole, f"{place}/{name}")


def main():
    unit_file, folder, executable, *words = sys.argv[1:]
    unit = [tuple(line) for line in lines_of(unit_file)]
    given = dict(unit)
    person = pwd.getpwnam(USER)
    if os.geteuid() != 0:
        print("cannot: only root lays restrictions on others", file=sys.stderr)
        os._exit(125)
    if not words:
        line = given["ExecStart"].replace("/usr/bin/holdfast", "/run/test/holdfast").replace("/etc/holdfast/", "/run/test/")
        words = shlex.split(line)
    elif not words[0].startswith("/"):
        words = ["/run/test/holdfast", *words]
    ready = filters(unit, sets_of_calls())
    credentials(unit, folder, person)
    variables = environment(unit, person)
    # more than the machine lets us have is not to be had
    limit = min(int(given["LimitNOFILE"]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.setpriority(os.PRIO_PROCESS, 0, int(given.get("Nice", 0)))
    if "IOSchedulingClass" in given:
        level = ["-c", {"best-effort": "2", "idle": "3"}[given["IOSchedulingClass"]], "-n", given["IOSchedulingPriority"]]
        subprocess.run(["ionice", *level, "-p", str(os.getpid())], check=True)
    if yes(unit, "ProtectHostname"):
        checked("have a host name of our own", libc.unshare(0x4000000))
    show_files(unit, folder, executable, person)
    os.chdir("/")
    os.umask(int(given["UMask"], 8))
    become(unit, person)
    for one in ready:
        one.load()
    os.execve(words[0], words, variables)


if __name__ == "__main__":
    import pwd

    LAST_CAPABILITY = open("/proc/sys/kernel/cap_last_cap").read()
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    main()

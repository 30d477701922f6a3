"""Leaves what would run later on the host, each in another way that may keep it in its place."""

import os


def write(path, text="evil", mode=0o755):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def lock(path, mode):
    write(f"{path}/in/.envrc", mode=0o111)
    os.chmod(f"{path}/in", mode)
    os.chmod(path, mode)


mark = os.environ["RINGFENCE_SANDBOX"][-12:]
for name, mode in (("write", 0o300), ("read", 0o400), ("none", 0o000), ("seen", 0o500)):
    lock(f"locked-{name}", mode)
write("taken/.envrc")
os.mkdir(f"taken/.envrc.quarantined-{mark}")
write(f".opencode/plugin/{'x' * 252}.js")
os.makedirs("pipe/.git")
os.mkfifo("pipe/.git/config")
os.mkfifo("pipe/.envrc")
write("e\x1b[2J\n/.envrc")
os.makedirs(b"bytes\xff\xfe/.git/hooks")
with open(b"bytes\xff\xfe/.git/hooks/pre-commit", "w") as file:
    file.write("evil")
write("case/.GIT/Config", "[core]\n\tfsmonitor = evil\n")
write("stuff/HEAD", "ref: refs/heads/main\n")
write("stuff/objects/x")
write("stuff/config", "[core]\n\tfsmonitor = evil\n")
write("pointed/.git", "gitdir: .git/modules/../../../stuff\n")
write("todo/.git/rebase-merge/git-rebase-todo", "exec ./evil\n")
os.symlink("innocent", ".vscode")
write("innocent/tasks.json")
with open("script", "a") as file:  # which a hook of the repository is a hard link to
    file.write("evil")
deep = "deep"
for _ in range(70):
    deep += "/d"
os.makedirs(deep)
write(f"{deep}/.envrc")
with open("sparse", "w") as file:
    os.truncate("sparse", 8 << 30)
os.chmod(".", 0o311)

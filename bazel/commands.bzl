"""Tests that are commands: scripts of this tree, and programs that were built, with arguments."""

def tollgate_command_test(name, command, labels, size = "medium", data = [], exclusive = False, manual = False):
    """One command that ends with 0.

    command: its words, in which {tree} is this tree and {built} the folder that holds what was built.
    It runs in the tree itself, which Bazel does not watch: so its result is never kept.
    manual: it runs only where it is named.
    """
    native.sh_test(
        name = name,
        size = size,
        srcs = ["//bazel:command_test.sh"],
        args = ["'%s'" % word for word in command],
        data = ["//:CMakeLists.txt"] + data,
        tags = labels + ["external", "local"] + (["exclusive"] if exclusive else []) + (["manual"] if manual else []),
    )

def tollgate_python_tests(name, prefix, srcs, labels, size, data, of_cmake = []):
    """One test a file, run by pytest from .cache/venv (scripts/install-packages).

    of_cmake: those that need what CMake built, and so run only where they are named.
    """
    for file in srcs:
        tollgate_command_test(
            name = prefix + file[:-len(".py")],
            command = [
                "{tree}/.cache/venv/bin/python",
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "{tree}/%s/%s" % (native.package_name(), file),
            ],
            data = data,
            labels = labels,
            manual = file in of_cmake,
            size = size,
        )

def _program_folder_impl(ctx):
    links = []
    for program in ctx.attr.programs:
        file = program[DefaultInfo].files_to_run.executable
        link = ctx.actions.declare_file(ctx.label.name + "/" + file.basename)
        ctx.actions.symlink(output = link, target_file = file, is_executable = True)
        links.append(link)
    runfiles = ctx.runfiles(files = links)
    for program in ctx.attr.programs:
        runfiles = runfiles.merge(program[DefaultInfo].default_runfiles)
    return [DefaultInfo(files = depset(links), runfiles = runfiles)]

# Programs side by side in one folder, where tests look for them.
program_folder = rule(
    implementation = _program_folder_impl,
    attrs = {"programs": attr.label_list()},
)

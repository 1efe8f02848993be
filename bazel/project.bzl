"""The project's version, read off CMakeLists.txt: a release changes it there and nowhere else."""

def _project_version_impl(repository):
    text = repository.read(Label("//:CMakeLists.txt"))
    words = text[text.index("project("):].split("VERSION", 1)[1].split(" ")
    repository.file("BUILD.bazel")
    repository.file("version.bzl", 'VERSION = "%s"\n' % words[1])

project_version = repository_rule(
    implementation = _project_version_impl,
    local = True,
)

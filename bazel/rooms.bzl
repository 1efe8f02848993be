"""Rooms, programs and tests, as cmake/rooms.cmake has them, under the same names.

Includes are written from the top of the tree: #include "token/digest.h". An action sees the headers of
what its target depends on, and no others.
"""

# Two are left out on purpose: an override need not use all that it is given, and a field that an
# initializer leaves out has its default.
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror=return-type",
    "-Werror=unused-result",
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
]

# For objects of a library that shows nothing but its API (validator/embedded).
HIDDEN = [
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-fno-semantic-interposition",
    "-ffunction-sections",
    "-fdata-sections",
]

# Hidden, such an object has its own copy of a type's description; UBSan knows a type by its address.
HIDDEN_FROM_UBSAN = select({
    "//bazel:address": ["-fno-sanitize=vptr"],
    "//conditions:default": [],
})

# What gcc alone knows.
NO_GNU_UNIQUE = select({
    "//bazel:clang": [],
    "//conditions:default": ["-fno-gnu-unique"],
})

_STRICT = select({
    # Not where code is instrumented: g++ then sees what is not there.
    "//bazel:address": [],
    "//bazel:thread": [],
    "//bazel:thread_safety": ["-Werror", "-Wthread-safety", "-Werror=thread-safety"],
    "//conditions:default": ["-Werror"],
})

# Who compiles a room's sources anew: hidden, or with rules that can be taken out.
_COMPILED_ANEW = ["//tests/simulation:__pkg__", "//tests/unit/base:__pkg__", "//validator/embedded:__pkg__"]

def _copts(copts):
    return WARNINGS + _STRICT + copts

def _under_tsan():
    return select({
        "//bazel:thread": ["//tests/tsan:abseil_locks"],
        "//conditions:default": [],
    })

def tollgate_room(name, visibility, srcs = [], hdrs = [], deps = [], copts = [], local_defines = [], **kwargs):
    """One library of one room."""
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        copts = _copts(copts),
        local_defines = local_defines,
        deps = deps,
        visibility = visibility,
        **kwargs
    )
    native.exports_files([file for file in srcs + hdrs if not file.startswith("//")], visibility = _COMPILED_ANEW)
    native.filegroup(
        name = name + ".sources",
        srcs = srcs,
        visibility = _COMPILED_ANEW,
    )
    native.filegroup(
        name = name + ".headers",
        srcs = hdrs,
        visibility = _COMPILED_ANEW,
    )

def tollgate_headers(name, hdrs, visibility, deps = [], includes = []):
    """Headers that several targets share and none of them compiles."""
    native.cc_library(
        name = name,
        hdrs = hdrs,
        includes = includes,
        deps = deps,
        visibility = visibility,
    )

def tollgate_program(name, srcs, deps = [], copts = [], local_defines = [], visibility = ["//:__pkg__"], **kwargs):
    """One executable."""
    native.cc_binary(
        name = name,
        srcs = srcs,
        copts = _copts(copts),
        local_defines = local_defines,
        deps = deps + _under_tsan(),
        visibility = visibility,
        **kwargs
    )

def tollgate_test(
        name,
        srcs,
        deps = [],
        labels = ["unit"],
        size = "medium",
        single_threaded = False,
        copts = [],
        data = []):
    """One gtest program. Its tags are CMake's labels; its size is the least whose time is not below CMake's.

    What is tested is optimized as it ships; the test's own code is not, because to optimize what runs
    once takes a third of the compiler's time.
    """
    native.cc_test(
        name = name,
        srcs = srcs,
        copts = _copts(["-O0"] + copts),
        data = data,
        local_defines = [
            'TOLLGATE_SOURCE_DIR=\\".\\"',
            'TOLLGATE_BIN_DIR=\\"bin\\"',
        ],
        size = size,
        tags = labels + ([] if single_threaded else ["threads"]),
        deps = deps + ["@GTest//:gmock", "@GTest//:gtest_main"] + _under_tsan(),
    )

def tollgate_fuzz(name, srcs, corpus, deps):
    """One fuzz target, which replays its corpus: tests/fuzz."""
    native.cc_test(
        name = name,
        srcs = srcs,
        args = [native.package_name() + "/corpus/" + corpus],
        copts = _copts([]),
        data = native.glob(["corpus/" + corpus + "/**"]),
        tags = ["fuzz"],
        deps = deps + _under_tsan(),
    )

def tollgate_module(name, srcs):
    """What a test loads before a program: lib<name>.so."""
    native.cc_binary(
        name = "lib" + name + ".so",
        srcs = srcs,
        linkopts = ["-ldl"],
        linkshared = True,
        visibility = ["//tests:__subpackages__"],
    )
    native.alias(
        name = name,
        actual = "lib" + name + ".so",
        visibility = ["//tests:__subpackages__"],
    )

def tollgate_shared_library(name, file, version_script, srcs, hdrs, interface, deps, visibility):
    """A library that others link at run time, and that shows nothing but its API.

    file: its name, which is its soname too. interface: what is to be seen of it.
    """
    native.cc_binary(
        name = file,
        srcs = srcs + hdrs,
        additional_linker_inputs = [version_script],
        copts = _copts(HIDDEN) + HIDDEN_FROM_UBSAN,
        linkopts = [
            "-Wl,-soname," + file,
            "-Wl,--version-script=$(location %s)" % version_script,
            "-Wl,-Bsymbolic",
            "-Wl,--gc-sections",
            # The log's thread may be in it for as long as the process lives.
            "-Wl,-z,nodelete",
        ] + select({
            "//bazel:address": [],
            "//bazel:thread": [],
            "//conditions:default": ["-Wl,-z,defs"],
        }),
        linkshared = True,
        visibility = visibility,
        deps = deps + interface,
    )
    native.cc_import(
        name = name + ".imported",
        shared_library = file,
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        visibility = visibility,
        deps = interface + [name + ".imported"],
    )

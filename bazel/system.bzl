"""The libraries of the system, each under the name that CMake knows it by: absl::strings is
@absl//:strings, and yaml-cpp is @yaml-cpp//:yaml-cpp.

Their headers lie where the compiler looks by itself; what a target adds is what is linked.
"""

# Of Abseil, what stands behind others' inline functions.
_CORE = ["absl_throw_delegate", "absl_raw_logging_internal", "absl_log_severity", "absl_base", "absl_spinlock_wait"]
_STRINGS = ["absl_strings", "absl_strings_internal", "absl_int128"] + _CORE
_OPTIONAL = ["absl_bad_optional_access"] + _CORE
_VARIANT = ["absl_bad_variant_access"] + _CORE
_TIME = ["absl_time", "absl_civil_time", "absl_time_zone"] + _STRINGS
_SYNCHRONIZATION = ["absl_synchronization"] + _TIME
_CORD = ["absl_cord", "absl_cord_internal", "absl_cordz_info", "absl_cordz_functions", "absl_cordz_handle"] + _STRINGS
_STATUS = ["absl_status"] + _OPTIONAL + _CORD
_HASH = ["absl_hash", "absl_city", "absl_low_level_hash"] + _VARIANT + _OPTIONAL + _STRINGS
_TABLE = ["absl_raw_hash_set", "absl_hashtablez_sampler"] + _HASH

# Repository -> library -> what is linked.
_LIBRARIES = {
    "absl": {
        "base": _CORE,
        "cleanup": [],
        "cord": _CORD,
        "core_headers": [],
        "flat_hash_map": _TABLE,
        "flat_hash_set": _TABLE,
        "hash": _HASH,
        "optional": _OPTIONAL,
        "span": _CORE,
        "status": _STATUS,
        "statusor": ["absl_statusor"] + _VARIANT + _STATUS,
        "str_format": ["absl_str_format_internal"] + _STRINGS,
        "strings": _STRINGS,
        "synchronization": _SYNCHRONIZATION,
        "time": _TIME,
        "variant": _VARIANT,
    },
    "benchmark": {"benchmark": ["benchmark"]},
    "Boost": {"headers": []},
    "CLI11": {"CLI11": []},
    "gRPC": {
        "grpc++": ["grpc++", "grpc", "gpr"] + _SYNCHRONIZATION + _STATUS,
        "grpc++_reflection": ["grpc++_reflection"],
    },
    "GTest": {
        "gmock": ["gmock", "gtest"],
        "gtest_main": ["gtest_main", "gtest"],
    },
    "nlohmann_json": {"nlohmann_json": []},
    "OpenSSL": {
        "Crypto": ["crypto"],
        "SSL": ["ssl", "crypto"],
    },
    "PkgConfig": {
        "sodium": ["sodium"],
        "utf8proc": ["utf8proc"],
    },
    "prometheus-cpp": {"core": ["prometheus-cpp-core"]},
    "protobuf": {"libprotobuf": ["protobuf"]},
    "re2": {"re2": ["re2"]},
    "RocksDB": {"rocksdb-shared": ["rocksdb"]},
    "spdlog": {"spdlog": ["spdlog", "fmt"]},
    "Threads": {"Threads": ["pthread"]},
    "yaml-cpp": {"yaml-cpp": ["yaml-cpp"]},
}

_DEFINES = {
    "spdlog": ["SPDLOG_SHARED_LIB", "SPDLOG_COMPILED_LIB", "SPDLOG_FMT_EXTERNAL"],
}

# Programs that a build runs.
_PROGRAMS = {
    "gRPC": "bin/grpc_cpp_plugin",
    "protobuf": "bin/protoc",
}

# Whoever may not be named by everybody: the one room that knows it, and that room's tests.
_VISIBILITY = {
    "RocksDB": ["@//storage/rocksdb:__pkg__", "@//tests/unit/storage:__pkg__"],
}

def _build_file(repository, libraries):
    lines = ["package(default_visibility = %r)" % _VISIBILITY.get(repository, ["//visibility:public"])]
    if repository in _PROGRAMS:
        lines.append("exports_files([%r])" % _PROGRAMS[repository])
    for name, linked in libraries.items():
        lines.append("cc_library(name = %r, linkopts = %r, defines = %r)" % (
            name,
            ["-l" + library for library in linked],
            _DEFINES.get(repository, []),
        ))
    return "\n".join(lines)

def system_libraries():
    for repository, libraries in _LIBRARIES.items():
        native.new_local_repository(
            name = repository,
            path = "/usr",
            build_file_content = _build_file(repository, libraries),
        )

"""The contracts, compiled by the system's protoc and gRPC's plugin for it."""

def _generated_impl(ctx):
    outputs = []
    headers = []
    sources = []
    folder = ctx.label.package + "/"
    into = ctx.bin_dir.path + "/" + folder + ctx.attr.into
    lite = "lite:" if ctx.attr.lite else ""

    # A contract is compiled with all others in sight; who may include what comes of it, the libraries say.
    for files, endings, flags, plugins in [
        (ctx.files.messages, [".pb.h", ".pb.cc"], ["--cpp_out=" + lite + into], []),
        (
            ctx.files.services,
            [".grpc.pb.h", ".grpc.pb.cc"],
            ["--grpc_out=" + into, "--plugin=protoc-gen-grpc=" + ctx.executable._plugin.path],
            [ctx.executable._plugin],
        ),
    ]:
        for file in files:
            stem = ctx.attr.into + file.short_path[len(folder):-len(".proto")]
            made = [ctx.actions.declare_file(stem + ending) for ending in endings]
            headers.append(made[0])
            sources.append(made[1])
            ctx.actions.run(
                executable = ctx.executable._protoc,
                arguments = flags + ["-I" + ctx.label.package, file.path],
                inputs = depset([file] + ctx.files.imports),
                tools = plugins,
                outputs = made,
                mnemonic = "Protoc",
                progress_message = "Generating from %s" % file.short_path,
            )
    outputs = headers + sources
    return [
        DefaultInfo(files = depset(outputs)),
        OutputGroupInfo(headers = depset(headers), sources = depset(sources)),
    ]

_generated = rule(
    implementation = _generated_impl,
    attrs = {
        "messages": attr.label_list(allow_files = [".proto"]),
        "services": attr.label_list(allow_files = [".proto"]),
        "imports": attr.label_list(allow_files = [".proto"]),
        "into": attr.string(),
        "lite": attr.bool(),
        "_protoc": attr.label(
            default = "@protobuf//:bin/protoc",
            allow_single_file = True,
            executable = True,
            cfg = "host",
        ),
        "_plugin": attr.label(
            default = "@gRPC//:bin/grpc_cpp_plugin",
            allow_single_file = True,
            executable = True,
            cfg = "host",
        ),
    },
)

def tollgate_protos(name, visibility, messages = [], services = [], deps = [], copts = [], into = "", lite = False):
    """One library of what protoc makes of contracts.

    messages, services: the contracts whose messages, and whose stubs, are in it.
    into: a folder of its own for what is made, because another library makes the same names.
    lite: in protoc's lite mode.
    """
    _generated(
        name = name + ".generated",
        messages = messages,
        services = services,
        imports = native.glob(["**/*.proto"]),
        into = into + "/" if into else "",
        lite = lite,
        visibility = ["//visibility:private"],
    )
    for group in ["headers", "sources"]:
        native.filegroup(
            name = name + "." + group,
            srcs = [name + ".generated"],
            output_group = group,
            visibility = ["//visibility:private"],
        )
    native.cc_library(
        name = name,
        srcs = [name + ".sources"],
        hdrs = [name + ".headers"],
        copts = copts,
        includes = [into or "."],
        deps = deps,
        visibility = visibility,
    )
